//! The signing keys, and the key of keyed hashes.
//!
//! Owns: which key signs, which ones verify, under which `kid`. Does not: read claims.
//!
//! **Invariants:** a key has one algorithm, chosen when it was made; the `kid` of a token is a
//! name looked up in a list and nothing else. Configured secrets are never written down.
//!
//! | configured secret | signs | verifies |
//! |---|---|---|
//! | no | the file's first key, made at the first start | all keys of the file |
//! | yes | the configured one, its `kid` derived from it | it, and all keys of the file |
//!
//! Rotation: [`Keyring::rotate`], and [`Keyring::forget`] once no token of the old key is left.
//! Nobody is logged out in between.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};

use super::{
    claims::Claims,
    codec,
    hash::Hasher,
    keyfile::{self, Contents, StoredKey},
    parse::{self, Segments},
    strength::{self, WeakSecret},
    verify::Refusal,
};
use crate::secret::Secret;

/// Why there is no keyring. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The configured secret.
    #[error(transparent)]
    Weak(#[from] WeakSecret),
    /// Symbolic link, directory, pipe.
    #[error("{} is not a regular file; symbolic links are not followed", .0.display())]
    NotRegular(PathBuf),
    /// Group or others may read or write it.
    #[error("{} is open to other users; if nobody can have read it, chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// Somebody else's file.
    #[error("{} belongs to another user; chown it to the one the server runs as", .0.display())]
    Foreign(PathBuf),
    /// Not what this server writes, or a newer one's.
    #[error(
        "{} is damaged or of a newer version; restore it from a backup (without it every login ends)",
        .0.display()
    )]
    Damaged(PathBuf),
    /// The store was in use with a keyring that is gone.
    #[error(
        "{} is missing, and the store beside it was in use: restore it from a backup; if it is lost for good, \
         `omnigent data export` and `data import` into a new directory begin with a new one, and everybody signs \
         in again",
        .0.display()
    )]
    Missing(PathBuf),
    /// Of another data directory.
    #[error(
        "{} belongs to another installation than the store beside it: put back the one that was here",
        .0.display()
    )]
    OtherInstallation(PathBuf),
    /// Reading or writing failed.
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    Io(PathBuf, #[source] io::Error),
    /// Rotating a key that is configured.
    #[error("the signing secret is configured; to rotate it, change the configuration")]
    Configured,
    /// Forgetting the key that signs, or one that is not there.
    #[error("no such key, or it is the one that signs; rotate first")]
    NotForgettable,
}

/// All keys. Changing them makes a new keyring: hand it to `Verifier::replace_keyring`.
pub struct Keyring {
    active: SigningKey,
    others: Vec<SigningKey>,
    hash_key: Secret<[u8; 32]>,
    is_configured: bool,
    contents: Contents,
}

impl Keyring {
    /// The keyring in `dir`, made when there is none. A `configured` secret signs in place of the
    /// file's first key. Two processes must not do this at once: hold the store's lock.
    ///
    /// # Errors
    /// See [`KeyringError`]; the server must not start then.
    pub fn load_or_create(
        dir: &Path,
        configured: Option<Secret<Vec<u8>>>,
    ) -> Result<Self, KeyringError> {
        if let Some(secret) = &configured {
            strength::check(secret.expose())?;
        }
        let stored = keyfile::read(dir)?;
        let is_new = stored.is_none();
        let mut contents = stored.unwrap_or_else(Contents::new);
        let needs_key = configured.is_none() && contents.keys.is_empty();
        if needs_key {
            contents.keys.push(StoredKey::random());
        }
        let keyring = Self::of(contents, configured.as_ref(), dir)?;
        if is_new || needs_key {
            keyfile::write(dir, &keyring.contents)?;
        }
        Ok(keyring)
    }

    /// Puts a new key first, in the file and in the keyring returned; the others still verify.
    ///
    /// # Errors
    /// [`KeyringError::Configured`], and those of writing.
    pub fn rotate(&self, dir: &Path) -> Result<Self, KeyringError> {
        if self.is_configured {
            return Err(KeyringError::Configured);
        }
        let mut contents = self.contents.clone();
        contents.keys.insert(0, StoredKey::random());
        let keyring = Self::of(contents, None, dir)?;
        keyfile::write(dir, &keyring.contents)?;
        Ok(keyring)
    }

    /// Removes the key `kid` from the file and from the keyring returned: its tokens end.
    ///
    /// # Errors
    /// [`KeyringError::NotForgettable`], and those of writing.
    pub fn forget(mut self, dir: &Path, kid: &str) -> Result<Self, KeyringError> {
        let at = self.others.iter().position(|key| *key.kid == *kid);
        let at = at.ok_or(KeyringError::NotForgettable)?;
        self.others.remove(at);
        self.contents.keys.retain(|key| key.kid != kid);
        keyfile::write(dir, &self.contents)?;
        Ok(self)
    }

    /// The keyed hashes of this server. The same for the life of the data directory.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.hash_key.expose())
    }

    /// The `kid` of the key that signs.
    pub fn active(&self) -> &str {
        &self.active.kid
    }

    /// The `kid` of each key that verifies, the one that signs first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| &*key.kid)
    }

    /// The token of these claims.
    pub(super) fn sign(&self, claims: &Claims) -> Secret<String> {
        codec::sign(&self.active.header, &self.active.signing, claims)
    }

    /// Checks the header and the signature.
    pub(super) fn check(&self, segments: &Segments<'_>) -> Result<(), Refusal> {
        // Headers of ours are known by heart; only a stranger's order or spelling is parsed.
        let known = self.keys().find(|key| *key.header_text == *segments.header);
        let key = match known {
            Some(key) => key,
            None => parse::header(segments.header, |alg, kid| self.find(alg, kid))?,
        };
        // Constant-time, and the tag has the one right length by its type.
        hmac::verify(&key.verifying, segments.signed, &segments.signature)
            .map_err(|_| Refusal::Signature)
    }

    fn find(&self, alg: &str, kid: &str) -> Result<&SigningKey, Refusal> {
        if self.keys().all(|key| key.algorithm.as_str() != alg) {
            return Err(Refusal::Algorithm);
        }
        let key = self.keys().find(|key| *key.kid == *kid);
        let key = key.ok_or(Refusal::UnknownKey)?;
        if key.algorithm.as_str() == alg {
            Ok(key)
        } else {
            Err(Refusal::Algorithm)
        }
    }

    fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.active).chain(&self.others)
    }

    pub(super) fn of(
        contents: Contents,
        configured: Option<&Secret<Vec<u8>>>,
        dir: &Path,
    ) -> Result<Self, KeyringError> {
        let damaged = || KeyringError::Damaged(dir.join(keyfile::NAME));
        let mut hash_key = [0; 32];
        hex::decode_to_slice(&contents.hash_key, &mut hash_key).map_err(|_| damaged())?;
        strength::check(&hash_key).map_err(|_| damaged())?;
        let mut keys = Vec::new();
        if let Some(secret) = configured {
            keys.push(SigningKey::configured(secret.expose()));
        }
        for stored in &contents.keys {
            let key = SigningKey::stored(stored).ok_or_else(damaged)?;
            if keys.iter().any(|known: &SigningKey| known.kid == key.kid) {
                return Err(damaged());
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(damaged());
        }
        let active = keys.remove(0);
        Ok(Self {
            active,
            others: keys,
            hash_key: Secret::new(hash_key),
            is_configured: configured.is_some(),
            contents,
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kids()).finish()
    }
}

/// What a key signs with. Asymmetric ones will stand here too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Hs256,
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
        }
    }
}

struct SigningKey {
    kid: Box<str>,
    algorithm: Algorithm,
    header: Header,
    // The first segment of every token this key signs.
    header_text: Box<[u8]>,
    signing: EncodingKey,
    verifying: hmac::Key,
}

impl SigningKey {
    /// The configured secret. Its `kid` tells nothing about it and is the same on every start.
    fn configured(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let digest = hmac::sign(&key, b"omnigent signing key id");
        let kid = digest.as_ref().first_chunk::<8>().map(hex::encode);
        Self::hs256(&kid.unwrap_or_default(), secret)
    }

    fn stored(stored: &StoredKey) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let secret = hex::decode(&stored.secret).ok()?;
        let is_sound = stored.alg == Algorithm::Hs256.as_str()
            && (1..=64).contains(&stored.kid.len())
            && stored.kid.bytes().all(is_plain)
            && strength::check(&secret).is_ok();
        is_sound.then(|| Self::hs256(&stored.kid, &secret))
    }

    fn hs256(kid: &str, secret: &[u8]) -> Self {
        let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(kid.to_owned());
        // A text that does not come out like jsonwebtoken's own only costs a parse per token.
        let json = serde_json::to_vec(&header).unwrap_or_default();
        Self {
            kid: kid.into(),
            algorithm: Algorithm::Hs256,
            header,
            header_text: URL_SAFE_NO_PAD.encode(json).into_bytes().into(),
            signing: EncodingKey::from_secret(secret),
            verifying: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }
}
