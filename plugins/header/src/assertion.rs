//! A signed assertion: a JWT (RFC 7519), read strictly (THREATS section 1).
//!
//! **Invariants:** the algorithm is the configuration's, never the token's; no member is there twice;
//! nothing is read of the claims before the signature holds.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

/// Longest assertion, in bytes.
pub(crate) const LONGEST: usize = 8 * 1024;

/// Seconds clocks may differ.
pub(crate) const LEEWAY: u64 = 60;

/// An assertion whose signature has not been checked.
pub(crate) struct Unverified<'t> {
    pub(crate) kid: String,
    header: Map<String, Value>,
    claims: &'t str,
    signed: &'t str,
    signature: &'t str,
    padded: bool,
}

impl<'t> Unverified<'t> {
    /// Reads the header. `more` names what may be in it besides `alg`, `kid` and `typ`. `padded`: the
    /// proxy pads its base64 (AWS does).
    ///
    /// # Errors
    /// What is wrong; for the log.
    pub(crate) fn read(
        token: &'t str,
        algorithm: Algorithm,
        more: &[&str],
        padded: bool,
    ) -> Result<Self, String> {
        if token.len() > LONGEST {
            return Err("the assertion is too long".into());
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the assertion is not of three parts".into());
        };
        let signed = token
            .get(..header.len() + 1 + claims.len())
            .ok_or("the assertion is not text")?;
        let header = object(&decode(header, padded)?)?;
        let known = |name: &String| {
            ["alg", "kid", "typ"].contains(&name.as_str()) || more.contains(&name.as_str())
        };
        if let Some(name) = header.keys().find(|name| !known(name)) {
            let name: String = name
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(32)
                .collect();
            return Err(format!("the assertion's header has {name}"));
        }
        if header.get("alg").and_then(Value::as_str) != Some(name(algorithm)) {
            return Err("the assertion is not signed as configured (`alg`)".into());
        }
        let kid = header
            .get("kid")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            kid,
            header,
            claims,
            signed,
            signature,
            padded,
        })
    }

    /// A text of the header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// The claims, if the signature is the key's.
    ///
    /// # Errors
    /// What is wrong; for the log.
    pub(crate) fn verify(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, String> {
        // Decoded and encoded again: one signature is one text (THREATS J6).
        let signature = URL_SAFE_NO_PAD.encode(decode(self.signature, self.padded)?);
        let is_good = crypto::verify(&signature, self.signed.as_bytes(), key, algorithm);
        if !is_good.unwrap_or(false) {
            return Err("the assertion's signature is wrong".into());
        }
        object(&decode(self.claims, self.padded)?)
    }
}

/// Whether the times of the claims hold: `exp` is required, `iat` and `nbf` are checked when there.
///
/// # Errors
/// What is wrong; for the log. Else the moment it ends.
pub(crate) fn times(claims: &Map<String, Value>, now: u64) -> Result<u64, String> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or(format!("`{name}` is no number of seconds")),
    };
    let ends = seconds("exp")?.ok_or("`exp` is missing")?;
    if ends.saturating_add(LEEWAY) <= now {
        return Err(format!("the assertion expired {} s ago", now - ends));
    }
    for name in ["iat", "nbf"] {
        if let Some(at) = seconds(name)?
            && at > now + LEEWAY
        {
            return Err(format!("`{name}` is {} s in the future", at - now));
        }
    }
    Ok(ends)
}

/// The name of an algorithm (RFC 7518 section 3.1).
const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}

fn decode(part: &str, padded: bool) -> Result<Vec<u8>, String> {
    let part = if padded {
        part.trim_end_matches('=')
    } else {
        part
    };
    let bytes: Result<Vec<u8>, _> = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| "the assertion is not base64url".to_owned())
}

/// One object in which no member is there twice (RFC 7519 section 4).
fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let object = serde_json::from_slice::<Unique>(bytes);
    object
        .map(|unique| unique.0)
        .map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                "the assertion has a member twice, or is no object".into()
            }
            _ => "the assertion is not JSON".into(),
        })
}

struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> de::Visitor<'de> for Members {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut members: M) -> Result<Unique, M::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(de::Error::custom("a member twice"));
                    }
                }
                Ok(Unique(object))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
