//! One key: making it, signing with it, and its public half.
//!
//! **Invariants:** a key signs by its own algorithm only; a private half is never shown.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    algorithm::Algorithm,
    checking::{Check, is_low},
    strength,
};
use crate::id::random_bytes;

/// A key that signs, or once did.
pub(super) struct SigningKey {
    pub(super) kid: Box<str>,
    /// The first segment of every token this key signs.
    pub(super) header: Box<str>,
    /// What its signatures are checked with.
    pub(super) check: Check,
    private: Private,
}

enum Private {
    Hs256(Box<hmac::Key>),
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
}

/// The order of the group of P-256, big-endian (FIPS 186-5; SEC 2 section 2.4.2).
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
                           \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";

impl SigningKey {
    /// The configured secret. Its `kid` tells nothing about it and is the same on every start.
    pub(super) fn configured(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let digest = hmac::sign(&key, b"omnigent signing key id");
        let kid = digest.as_ref().first_chunk::<8>().map(hex::encode);
        let check = Check::secret(secret);
        Self::of(
            &kid.unwrap_or_default(),
            Private::Hs256(Box::new(key)),
            check,
        )
    }

    /// The key of what [`generate`] made; nothing when it is not sound.
    pub(super) fn stored(kid: &str, algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&kid.len()) || !kid.bytes().all(is_plain) {
            return None;
        }
        let (private, check) = match algorithm {
            Algorithm::Hs256 => {
                strength::check(secret).ok()?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                (Private::Hs256(Box::new(key)), Check::secret(secret))
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(secret).ok()?;
                let check = Check::ed25519(pair.public_key().as_ref())?;
                (Private::EdDsa(pair), check)
            }
            Algorithm::Es256 => {
                let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(curve, secret).ok()?;
                let check = Check::p256(pair.public_key().as_ref())?;
                (Private::Es256(pair), check)
            }
        };
        Some(Self::of(kid, private, check))
    }

    fn of(kid: &str, private: Private, check: Check) -> Self {
        let algorithm = check.algorithm();
        // The `kid` is plain by now: nothing in it wants escaping.
        let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}","kid":"{kid}"}}"#);
        Self {
            kid: kid.into(),
            header: URL_SAFE_NO_PAD.encode(header).into(),
            check,
            private,
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.check.algorithm()
    }

    /// Appends the signature of `text` to it, after a dot.
    ///
    /// # Panics
    /// When the operating system has no random numbers to give: nothing secure can go on then.
    #[allow(clippy::expect_used, reason = "no randomness, no server")]
    pub(super) fn seal(&self, text: &mut String) {
        match &self.private {
            Private::Hs256(key) => append(text, hmac::sign(key, text.as_bytes()).as_ref()),
            Private::EdDsa(pair) => append(text, pair.sign(text.as_bytes()).as_ref()),
            Private::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), text.as_bytes());
                let signature = signature.expect("the operating system gives random numbers");
                append(text, &lowered(signature.as_ref()));
            }
        }
    }

    /// The public half (RFC 7517; RFC 8037 section 2, RFC 7518 section 6.2); none of a secret.
    pub(super) fn public(&self) -> Option<Value> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.private {
            Private::Hs256(_) => return None,
            Private::EdDsa(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Private::Es256(pair) => {
                // An uncompressed point: 4, x, y (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..)?.split_at_checked(32)?;
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
        };
        jwk["kid"] = (&*self.kid).into();
        jwk["alg"] = self.algorithm().as_str().into();
        jwk["use"] = "sig".into();
        Some(jwk)
    }
}

/// The secret of a new key: random bytes for HS256, PKCS#8 for the others.
///
/// # Panics
/// When the operating system has no random numbers to give: nothing secure can go on then.
#[allow(clippy::expect_used, reason = "no randomness, no server")]
pub(super) fn generate(algorithm: Algorithm) -> Vec<u8> {
    let made = match algorithm {
        Algorithm::Hs256 => return random_bytes::<32>().to_vec(),
        Algorithm::EdDsa => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
        Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1()),
    };
    let made = made.expect("the operating system gives random numbers");
    made.as_ref().to_vec()
}

fn append(text: &mut String, signature: &[u8]) {
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, text);
}

/// The signature with the lower `s`: `n - s` holds wherever `s` does.
fn lowered(signature: &[u8]) -> [u8; 64] {
    let mut low = [0; 64];
    low.copy_from_slice(signature);
    if is_low(&low) {
        return low;
    }
    let mut borrow = 0_u16;
    for at in (0..32).rev() {
        let taken = u16::from(low[32 + at]) + borrow;
        let left = 0x100 + u16::from(ORDER[at]) - taken;
        low[32 + at] = left.to_le_bytes()[0];
        borrow = u16::from(left < 0x100);
    }
    low
}
