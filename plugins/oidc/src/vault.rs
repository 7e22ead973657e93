//! Refresh tokens at rest: AES-256-GCM under a key that comes from the client secret, so that the
//! store alone is worth nothing to a thief.
//!
//! **Format:** one version byte, the nonce, the ciphertext with its tag. The record's key is
//! authenticated too: a record moved to another person's place does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};

/// The version of the format.
const VERSION: u8 = 1;
/// Tells this use of the secret from any other (RFC 5869 section 3.2).
const SALT: &[u8] = b"omnigent-auth-oidc refresh tokens 1";

/// Seals and opens.
pub(crate) struct Vault(RandomizedNonceKey);

impl Vault {
    /// Under a key that comes from `secret`, for this client at this issuer.
    ///
    /// # Errors
    /// Never, but for a fault of the cryptography's.
    pub(crate) fn new(secret: &[u8], issuer: &str, client_id: &str) -> Result<Self, Fault> {
        let info = [issuer.as_bytes(), b"\0", client_id.as_bytes()];
        let mut key = [0; 32];
        let extracted = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let expanded = extracted.expand(&info, &AES_256_GCM).map_err(|_| Fault)?;
        expanded.fill(&mut key).map_err(|_| Fault)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| Fault)?;
        Ok(Self(key))
    }

    /// Seals `text` for the record `place`.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn seal(&self, place: &str, text: &str) -> Result<Vec<u8>, Fault> {
        let mut sealed = text.as_bytes().to_vec();
        let sealing = self
            .0
            .seal_in_place_append_tag(Aad::from(place), &mut sealed);
        let nonce = sealing.map_err(|_| Fault)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    /// Opens the record `place`; nothing if it was sealed otherwise or has been touched.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<String> {
        let (&VERSION, rest) = sealed.split_first()? else {
            return None;
        };
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.0.open_in_place(nonce, Aad::from(place), &mut sealed);
        String::from_utf8(text.ok()?.to_vec()).ok()
    }
}

/// The cryptography failed.
#[derive(Debug, thiserror::Error)]
#[error("the refresh token cannot be sealed")]
pub(crate) struct Fault;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vault(secret: &str) -> Vault {
        Vault::new(secret.as_bytes(), "https://id.example.com", "us").unwrap()
    }

    #[test]
    fn what_is_sealed_opens_again_and_is_not_readable() {
        let sealed = vault("s").seal("refresh/a", "token-in-the-clear").unwrap();
        assert_eq!(
            vault("s").open("refresh/a", &sealed).as_deref(),
            Some("token-in-the-clear")
        );
        assert!(!sealed.windows(5).any(|part| part == b"token"));
    }

    #[test]
    fn the_same_token_is_never_sealed_the_same() {
        let vault = vault("s");
        assert_ne!(vault.seal("p", "t").unwrap(), vault.seal("p", "t").unwrap());
    }

    #[test]
    fn another_secret_place_issuer_or_client_does_not_open_it() {
        let sealed = vault("s").seal("refresh/a", "token").unwrap();
        assert_eq!(vault("t").open("refresh/a", &sealed), None);
        assert_eq!(vault("s").open("refresh/b", &sealed), None);
        for (issuer, client) in [
            ("https://id.example.co", "mus"),
            ("https://id.example.com", "me"),
        ] {
            let other = Vault::new(b"s", issuer, client).unwrap();
            assert_eq!(other.open("refresh/a", &sealed), None);
        }
    }

    #[test]
    fn no_touched_byte_and_no_shorter_record_opens() {
        let sealed = vault("s").seal("p", "token").unwrap();
        for at in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[at] ^= 1;
            assert_eq!(vault("s").open("p", &touched), None, "byte {at}");
            assert_eq!(vault("s").open("p", &sealed[..at]), None, "{at} bytes");
        }
    }
}
