//! The keyring on its way into a backup and out of one.

use std::path::Path;

use super::{
    KeySettings, Keyring,
    hash::Hasher,
    keyerror::KeyringError,
    keyfile::{self, Contents},
    keyring::settle,
};
use crate::{clock::Timestamp, secret::Secret};

/// Name of the keyring's file.
pub const NAME: &str = keyfile::NAME;

/// What the keyring's file in `dir` says; nothing when there is none.
///
/// # Errors
/// As [`Keyring::load_or_create`].
pub fn copy_out(dir: &Path) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    match keyfile::read_bytes(dir)? {
        Some(text) if !is_sound(text.expose()) => Err(KeyringError::Damaged(dir.join(NAME))),
        text => Ok(text),
    }
}

/// The keyed hashes that the keyring in `dir` makes; nothing when there is no file.
///
/// # Errors
/// As [`copy_out`].
pub fn hasher(dir: &Path) -> Result<Option<Hasher>, KeyringError> {
    let damaged = || KeyringError::Damaged(dir.join(NAME));
    let Some(text) = copy_out(dir)? else {
        return Ok(None);
    };
    let contents = parse(text.expose()).ok_or_else(damaged)?;
    let mut key = [0; 32];
    hex::decode_to_slice(&contents.hash_key, &mut key).map_err(|_| damaged())?;
    let key = Secret::new(key);
    Ok(Some(Hasher::new(key.expose())))
}

/// Whether `text` is a keyring that this server can use.
pub fn is_sound(text: &[u8]) -> bool {
    let Some(mut contents) = parse(text) else {
        return false;
    };
    // By some settings: a server whose secret is configured has no key that signs.
    let settings = KeySettings::default();
    settle(&mut contents, &settings, Timestamp::default());
    Keyring::of(contents, settings, Path::new("")).is_ok()
}

/// Writes a keyring into `dir`, without its signing keys if told so: then the next start makes a
/// new one, and every token signed with an old one is refused.
///
/// # Errors
/// [`KeyringError::Damaged`], and those of writing.
pub fn copy_in(dir: &Path, text: &[u8], keep_signing_keys: bool) -> Result<(), KeyringError> {
    if !is_sound(text) {
        return Err(KeyringError::Damaged(dir.join(NAME)));
    }
    match parse(text) {
        Some(mut contents) if !keep_signing_keys => {
            contents.keys.clear();
            keyfile::write(dir, &contents)
        }
        // As it is: a server of the same configuration upgrades an older format.
        _ => keyfile::write_bytes(dir, text),
    }
}

/// What is asked here does not depend on how long tokens live.
fn parse(text: &[u8]) -> Option<Contents> {
    keyfile::parse(text, 0, Timestamp::default())
}
