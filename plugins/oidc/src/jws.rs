//! A signed token in compact form (RFC 7515 section 3.1), read strictly.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

use crate::{
    algorithm::Algorithm,
    json::{self, Object},
    keys::{Key, KeySet},
};

/// The longest token that is read.
const LONGEST: usize = 64 * 1024;

/// A token that says what it says, signed or not.
pub(crate) struct Unverified {
    /// The algorithm of the signature, by the token's own word.
    alg: Algorithm,
    /// Which key, by the token's own word.
    kid: Option<String>,
    /// `typ`, lower-case, without `application/` (RFC 7515 section 4.1.9).
    typ: Option<String>,
    claims: Object,
    signed: String,
    signature: Vec<u8>,
}

/// A token signed by the provider.
pub(crate) struct Verified {
    /// What it says.
    pub(crate) claims: Object,
    /// The key that signed it.
    pub(crate) key: Key,
    /// How.
    pub(crate) alg: Algorithm,
    /// As in [`Unverified`].
    pub(crate) typ: Option<String>,
}

/// Why a token's signature is not good.
#[derive(Debug, PartialEq)]
pub(crate) enum Unsigned {
    /// No key of this set could have signed it: a newer set may.
    UnknownKey,
    /// The key it names did not sign it: it is forged, or the key has changed under its name.
    WrongKey,
    /// It is forged, or may as well be.
    Refused(String),
}

impl Unsigned {
    /// For the log.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::UnknownKey => "the token is signed by a key the provider does not name".into(),
            Self::WrongKey => "the token's signature is wrong".into(),
            Self::Refused(why) => why,
        }
    }
}

impl Unverified {
    /// Reads a token.
    ///
    /// # Errors
    /// What is wrong with it; for the log.
    pub(crate) fn read(token: &str) -> Result<Self, String> {
        if token.len() > LONGEST {
            return Err("the token is too long".into());
        }
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err("the token is not of three parts".into());
        };
        let decode = |part| {
            let bytes: Result<Vec<u8>, _> = BASE64.decode(part);
            bytes.map_err(|_| "the token is not base64url".to_owned())
        };
        let within = |what: &'static str| move |why| format!("the token's {what} is {why}");
        let header_part = header;
        let header = json::object(&decode(header)?).map_err(within("header"))?;
        let claims_part = claims;
        let claims = json::object(&decode(claims)?).map_err(within("payload"))?;
        if header.contains_key("crit") {
            return Err("the token asks for an extension (`crit`)".into());
        }
        if header.contains_key("b64") || header.contains_key("enc") || header.contains_key("zip") {
            return Err("the token is encrypted or encoded otherwise".into());
        }
        let name = json::text(&header, "alg")?.ok_or("the token names no algorithm")?;
        let alg = Algorithm::named(name).ok_or_else(|| {
            let name = crate::text::sanitised(name);
            format!("the token is signed with {name:?}, which is never taken")
        })?;
        let typ = json::text(&header, "typ")?.map(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
        });
        Ok(Self {
            alg,
            kid: json::text(&header, "kid")?.map(str::to_owned),
            typ,
            claims,
            signed: format!("{header_part}.{claims_part}"),
            signature: decode(signature)?,
        })
    }

    /// Checks the signature. `allowed`: the algorithms to take.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub(crate) fn verify(self, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, Unsigned> {
        if !allowed.contains(&self.alg) {
            let alg = self.alg;
            return Err(Unsigned::Refused(format!(
                "the token is signed with {alg:?}, which is not taken from this provider"
            )));
        }
        let candidates = keys.candidates(self.kid.as_deref(), self.alg);
        if candidates.is_empty() {
            return Err(Unsigned::UnknownKey);
        }
        // Several without a key id, or by a provider that gave the same one twice.
        let by = candidates
            .into_iter()
            .find(|key| key.verifies(self.alg, self.signed.as_bytes(), &self.signature));
        match by {
            Some(key) => Ok(Verified {
                claims: self.claims,
                key: key.clone(),
                alg: self.alg,
                typ: self.typ,
            }),
            None if self.kid.is_none() => Err(Unsigned::UnknownKey),
            None => Err(Unsigned::WrongKey),
        }
    }
}
