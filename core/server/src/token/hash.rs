//! Keyed hashes of what must not be stored in the clear, and the random texts they are hashes of.

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{id::random_bytes, secret::Secret};

/// What a secret is for. Hashes of different kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A refresh token.
    Refresh,
    /// An invite.
    Invite,
    /// A magic link.
    Magic,
}

impl Kind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Refresh => b"omnigent refresh token v1",
            Self::Invite => b"omnigent invite v1",
            Self::Magic => b"omnigent magic link v1",
        }
    }
}

/// Hashes secrets under the server's hash key (HMAC-SHA-256, RFC 2104).
#[derive(Debug)]
pub struct Hasher(hmac::Key);

impl Hasher {
    /// A hasher under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The hash to store or look up.
    pub fn hash(&self, kind: Kind, secret: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.label());
        context.update(&[0]);
        context.update(secret);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }

    /// Whether `hash` is that of `secret`, in a time that does not depend on where they differ.
    pub fn matches(&self, kind: Kind, secret: &[u8], hash: &[u8]) -> bool {
        constant_time_eq(&self.hash(kind, secret), hash)
    }
}

/// Whether two texts are the same, in a time that depends on their lengths only.
pub fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// A new secret for a link or a code: 32 random bytes as URL-safe base64.
pub fn generate() -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
}

/// A new password for somebody to type: 20 characters without look-alikes, about 98 bits.
pub fn generate_password() -> Secret<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
    let chars = random_bytes::<20>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Secret::new(chars.iter().collect())
}
