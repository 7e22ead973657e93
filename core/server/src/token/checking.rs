//! The half of a key that verifies.
//!
//! **Invariants:** a key checks by its own algorithm only, whatever a token says; a signature has
//! exactly one length and exactly one form. An ES256 signature of ours has the lower `s` of the two
//! that hold, and the other one is refused, so that nobody can make a second text of a token.

use aws_lc_rs::{
    hmac,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey},
};

use super::{algorithm::Algorithm, parse::Signature};

/// What a signature is checked with.
pub(super) enum Check {
    // Boxed: it holds the hash's state, and is twenty times the size of the others.
    Hs256(Box<hmac::Key>),
    EdDsa(ParsedPublicKey),
    Es256(ParsedPublicKey),
}

/// Half of the order of the group of P-256, rounded down: the highest `s` that is low.
const HALF_ORDER: [u8; 32] = *b"\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\
                                \xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8";

impl Check {
    /// A secret, of which there is no public half.
    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// 32 bytes (RFC 8032 section 5.1.5); nothing when they are no point.
    pub(super) fn ed25519(public: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, public).ok().map(Self::EdDsa)
    }

    /// An uncompressed point; nothing when it is not on the curve.
    pub(super) fn p256(public: &[u8]) -> Option<Self> {
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
        parsed.ok().map(Self::Es256)
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hs256(_) => Algorithm::Hs256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// Whether the signature is this key's, of exactly this text, in its one form.
    pub(super) fn holds(&self, signed: &[u8], signature: &Signature) -> bool {
        match (self, signature) {
            // Constant-time, and the tag has the one right length by its type.
            (Self::Hs256(key), Signature::Short(tag)) => hmac::verify(key, signed, tag).is_ok(),
            (Self::EdDsa(key), Signature::Long(both)) => key.verify_sig(signed, both).is_ok(),
            (Self::Es256(key), Signature::Long(both)) => {
                is_low(both) && key.verify_sig(signed, both).is_ok()
            }
            _ => false,
        }
    }
}

/// Whether `s`, the second half, is the lower of the two that hold.
pub(super) fn is_low(signature: &[u8; 64]) -> bool {
    signature[32..] <= HALF_ORDER[..]
}
