//! The keyring on its way into a backup and out of one.

use std::path::Path;

use super::{
    KeySettings, Keyring,
    keyerror::KeyringError,
    keyfile::{self, Contents, State, StoredKey},
};
use crate::{clock::Timestamp, id::random_bytes, secret::Secret};

/// Name of the keyring's file.
pub const NAME: &str = keyfile::NAME;

/// What the keyring's file in `dir` says; nothing when there is none.
///
/// # Errors
/// As [`Keyring::load_or_create`].
pub fn copy_out(dir: &Path) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    match keyfile::read_bytes(dir)? {
        Some(text) if parse(text.expose()).is_none() => Err(KeyringError::Damaged(dir.join(NAME))),
        text => Ok(text),
    }
}

/// Whether `text` is a keyring that this server can use.
pub fn is_sound(text: &[u8]) -> bool {
    parse(text).is_some()
}

/// Writes a keyring into `dir`, without its signing keys if told so: then the next start makes a
/// new one, and every token signed with an old one is refused.
///
/// # Errors
/// [`KeyringError::Damaged`], and those of writing.
pub fn copy_in(dir: &Path, text: &[u8], keep_signing_keys: bool) -> Result<(), KeyringError> {
    let mut contents = parse(text).ok_or_else(|| KeyringError::Damaged(dir.join(NAME)))?;
    if !keep_signing_keys {
        contents.keys.clear();
    }
    keyfile::write(dir, &contents)
}

fn parse(text: &[u8]) -> Option<Contents> {
    // A file of the first format does not say how long its tokens live: as long as may be.
    let contents = keyfile::parse(text, u64::MAX, Timestamp::default())?;
    let signs = |key: &StoredKey| matches!(key.state, State::Signing);
    // Without a key that signs: of a server whose secret is configured.
    let secret =
        (!contents.keys.iter().any(signs)).then(|| Secret::new(random_bytes::<32>().into()));
    let settings = KeySettings {
        secret,
        ..KeySettings::default()
    };
    Keyring::of(contents.clone(), settings, Path::new(""))
        .is_ok()
        .then_some(contents)
}
