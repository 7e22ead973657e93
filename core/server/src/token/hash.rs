//! Keyed hashes of what must not be stored in the clear, and the texts they are made of.
//!
//! Owns: HMAC-SHA256 under the keyring's hash key, one label per kind; making random secrets.
//! Does not: hash passwords (the accounts backend does, slowly).
//!
//! **Invariant:** a hash of one kind never matches another kind's.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{id::random_bytes, secret::Secret};

/// What a hashed secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A refresh token.
    Refresh,
    /// An invite.
    Invite,
    /// A magic link.
    Magic,
    /// A device code (RFC 8628 section 3.2).
    DeviceCode,
    /// The short code a person types (RFC 8628 section 6.1).
    UserCode,
    /// The secret a command line polls with.
    Ticket,
    /// The code in the link a command line opens.
    TicketCode,
    /// The state of a redirecting sign-in (RFC 6749 section 10.12).
    State,
    /// What binds a browser to a sign-in under way.
    Browser,
    /// What a form carries against forgery.
    Form,
    /// The name of an account whose failures are counted.
    Throttle,
    /// What a browser keeps that signed in to an account before.
    Familiar,
    /// Nothing: tells one installation's key from another's.
    Installation,
    /// The ends of the audit trail.
    Audit,
    /// A value of the configuration, to tell later whether it changed.
    Config,
}

impl Kind {
    const fn label(self) -> &'static [u8] {
        // The zero byte ends the label: no label and text can be read as another pair.
        match self {
            Self::Refresh => b"refresh\0",
            Self::Invite => b"invite\0",
            Self::Magic => b"magic\0",
            Self::DeviceCode => b"device-code\0",
            Self::UserCode => b"user-code\0",
            Self::Ticket => b"ticket\0",
            Self::TicketCode => b"ticket-code\0",
            Self::State => b"state\0",
            Self::Browser => b"browser\0",
            Self::Form => b"form\0",
            Self::Throttle => b"throttle\0",
            Self::Familiar => b"familiar\0",
            Self::Installation => b"installation\0",
            Self::Audit => b"audit\0",
            Self::Config => b"config\0",
        }
    }
}

/// Makes and checks keyed hashes.
pub struct Hasher(hmac::Key);

impl Hasher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The hash of `text` as a secret of this kind: what is stored, or looked up by.
    pub fn hash(&self, kind: Kind, text: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.label());
        context.update(text);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }

    /// Whether `hash` is the hash of `text`, in time that does not depend on where they differ.
    pub fn matches(&self, kind: Kind, text: &[u8], hash: &[u8]) -> bool {
        constant_time_eq(&self.hash(kind, text), hash)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// Whether both are the same, in time that depends on their lengths only.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A new secret text: 32 random bytes in URL-safe base64 without padding, 43 characters.
pub fn generate() -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
}

/// A new code for a person to compare or type: eight letters in two groups (RFC 8628 section 6.1).
pub fn user_code() -> String {
    const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    let mut code = String::with_capacity(9);
    while code.len() < 9 {
        let fair = random_bytes::<32>().into_iter().filter(|byte| *byte < 248);
        for byte in fair.take(9 - code.len()) {
            if code.len() == 4 {
                code.push('-');
            }
            code.push(char::from(ALPHABET[usize::from(byte % 31)]));
        }
    }
    code.truncate(9);
    code
}

/// A new password for a person to copy: 20 characters none of which look alike, 99 bits.
pub fn generate_password() -> Secret<String> {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut password = String::with_capacity(20);
    while password.len() < 20 {
        // 248 is the largest multiple of 31 in a byte: taking the rest would favour some letters.
        let fair = random_bytes::<32>().into_iter().filter(|byte| *byte < 248);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte % 31)]));
        password.extend(letters.take(20 - password.len()));
    }
    Secret::new(password)
}
