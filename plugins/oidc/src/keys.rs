//! The provider's public keys (RFC 7517), and what they verify.
//!
//! **Invariants** (THREATS O7, O8): a key that cannot be used (another kind, too small, for
//! encryption, malformed, weak, private or symmetric) is as if it were not there; a key verifies only
//! algorithms of its own kind, and only its own `alg` if it names one; all cryptography is aws-lc's.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError as Refused,
    core::{CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    algorithm::{Algorithm, Family},
    json::{self, Object},
};

/// The most keys of a set that are read. Providers have two or three.
const MOST: usize = 64;

/// One usable key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    id: Option<JsonWebKeyId>,
    alg: Option<Algorithm>,
    family: Family,
    kty: CoreJsonWebKeyType,
    /// `alg`, as openidconnect wants to see it.
    jws: Option<CoreJwsSigningAlgorithm>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point, as aws-lc reads it.
    Point(Vec<u8>),
}

/// The usable keys of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// Of a key set document.
    ///
    /// # Errors
    /// When it is none, or no key in it can be used.
    pub(crate) fn read(document: &Object) -> Result<Self, String> {
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err("the key set has no `keys`".into());
        };
        let usable = entries
            .iter()
            .take(MOST)
            .filter_map(|entry| Key::read(entry).ok());
        let keys: Vec<_> = usable.collect();
        if keys.is_empty() {
            return Err("no key of the key set can be used".into());
        }
        Ok(Self(keys))
    }

    /// The keys a signature may be by. Without a key id, any of the right kind.
    pub(crate) fn candidates(&self, kid: Option<&str>, alg: Algorithm) -> Vec<&Key> {
        let named = |key: &&Key| match kid {
            Some(kid) => key.id.as_ref().is_some_and(|id| id.as_str() == kid),
            None => true,
        };
        let fits = |key: &&Key| key.fits(alg);
        self.0.iter().filter(named).filter(fits).collect()
    }
}

impl Key {
    /// Of one entry of a key set.
    fn read(entry: &Value) -> Result<Self, String> {
        let jwk = entry.as_object().ok_or("no object")?;
        check_purpose(jwk)?;
        let alg = match json::text(jwk, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or("another algorithm")?),
        };
        let (family, kty, material) = match (json::text(jwk, "kty")?, json::text(jwk, "crv")?) {
            (Some("RSA"), _) => (Family::Rsa, CoreJsonWebKeyType::RSA, rsa(jwk)?),
            (Some("EC"), Some("P-256")) => {
                let point = point(jwk, 32, &ECDSA_P256_SHA256_FIXED)?;
                (Family::P256, CoreJsonWebKeyType::EllipticCurve, point)
            }
            (Some("EC"), Some("P-384")) => {
                let point = point(jwk, 48, &ECDSA_P384_SHA384_FIXED)?;
                (Family::P384, CoreJsonWebKeyType::EllipticCurve, point)
            }
            (Some("OKP"), Some("Ed25519")) => {
                let x = bytes(jwk, "x")?;
                parse(&ED25519, &x)?;
                check_order(&x)?;
                let material = Material::Point(x);
                (Family::Ed25519, CoreJsonWebKeyType::OctetKeyPair, material)
            }
            _ => return Err("another kind of key".into()),
        };
        if alg.is_some_and(|alg| alg.family() != family) {
            return Err("`alg` and `kty` do not fit".into());
        }
        Ok(Self {
            id: json::text(jwk, "kid")?.map(|id| JsonWebKeyId::new(id.to_owned())),
            alg,
            family,
            kty,
            jws: alg.map(Algorithm::jws),
            material,
        })
    }

    fn fits(&self, alg: Algorithm) -> bool {
        self.family == alg.family() && self.alg.is_none_or(|own| own == alg)
    }

    /// Whether the signature is this key's.
    pub(crate) fn verifies(&self, alg: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(alg) {
            return false;
        }
        match (&self.material, alg.rsa()) {
            (Material::Rsa { n, e }, Some(parameters)) => RsaPublicKeyComponents { n, e }
                .verify(parameters, message, signature)
                .is_ok(),
            (Material::Point(point), None) => curve(self.family)
                .and_then(|curve| ParsedPublicKey::new(curve, point).ok())
                .is_some_and(|key| key.verify_sig(message, signature).is_ok()),
            _ => false,
        }
    }
}

fn curve(family: Family) -> Option<&'static dyn VerificationAlgorithm> {
    match family {
        Family::P256 => Some(&ECDSA_P256_SHA256_FIXED),
        Family::P384 => Some(&ECDSA_P384_SHA384_FIXED),
        Family::Ed25519 => Some(&ED25519),
        Family::Rsa => None,
    }
}

/// `use` and `key_ops` (RFC 7517 section 4.2, 4.3); nor may a private part be published.
fn check_purpose(jwk: &Object) -> Result<(), String> {
    if json::text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("not for signatures".into());
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array().ok_or("`key_ops` is no list")?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err("not for verifying".into());
        }
    }
    if jwk.contains_key("d") || jwk.contains_key("k") {
        return Err("not a public key".into());
    }
    Ok(())
}

fn bytes(jwk: &Object, name: &str) -> Result<Vec<u8>, String> {
    let text = json::text(jwk, name)?.ok_or_else(|| format!("`{name}` is missing"))?;
    BASE64
        .decode(text)
        .map_err(|_| format!("`{name}` is no base64url"))
}

/// Of 2048 to 8192 bits (RFC 7518 section 3.3), with an odd exponent above 1.
fn rsa(jwk: &Object) -> Result<Material, String> {
    let trimmed = |name| {
        let bytes = bytes(jwk, name)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok::<_, String>(bytes.get(zeros..).unwrap_or_default().to_vec())
    };
    let (n, e) = (trimmed("n")?, trimmed("e")?);
    let unused = n.first().map_or(0, |byte| byte.leading_zeros()) as usize;
    if !(2048..=8192).contains(&(n.len() * 8 - unused)) {
        return Err("an RSA key must have 2048 to 8192 bits".into());
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd(&n) || !is_odd(&e) || e == [1] || e.len() > 4 {
        return Err("not an RSA key".into());
    }
    Ok(Material::Rsa { n, e })
}

/// A point on the curve, coordinates in full length (RFC 7518 section 6.2.1.2).
fn point(
    jwk: &Object,
    length: usize,
    curve: &'static dyn VerificationAlgorithm,
) -> Result<Material, String> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err("a coordinate has another length".into());
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    parse(curve, &point)?;
    Ok(Material::Point(point))
}

fn parse(curve: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), String> {
    let parsed = ParsedPublicKey::new(curve, point);
    parsed.map(drop).map_err(|_| "no point on the curve".into())
}

/// By a point of small order anybody can sign (RFC 8032 section 5.1.7 does not look).
fn check_order(x: &[u8]) -> Result<(), String> {
    match ed25519_dalek::VerifyingKey::try_from(x) {
        Ok(key) if !key.is_weak() => Ok(()),
        _ => Err("a point of small order".into()),
    }
}

/// So that openidconnect's verifier checks signatures with aws-lc instead of its own crates.
impl JsonWebKey for Key {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.id.as_ref()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        &self.kty
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        None // those for something else are not read
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        let own = self.jws.as_ref();
        own.map_or(
            JsonWebKeyAlgorithm::Unspecified,
            JsonWebKeyAlgorithm::Algorithm,
        )
    }

    /// A key that fits nothing: shared secrets sign nothing here.
    fn new_symmetric(_: Vec<u8>) -> Self {
        Self {
            id: None,
            alg: None,
            family: Family::Rsa,
            kty: CoreJsonWebKeyType::Symmetric,
            jws: None,
            material: Material::Point(Vec::new()),
        }
    }

    fn verify_signature(
        &self,
        alg: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refused> {
        match Algorithm::of(alg) {
            None => Err(Refused::UnsupportedAlg("not taken here".into())),
            Some(alg) if self.verifies(alg, message, signature) => Ok(()),
            Some(_) => Err(Refused::CryptoError("bad signature".into())),
        }
    }

    fn hash_bytes(&self, bytes: &[u8], alg: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        let alg = Algorithm::of(alg).ok_or("not taken here")?;
        Ok(alg.hash(bytes).as_ref().to_vec())
    }
}
