//! The keyring on its way into a backup and out of one.

use std::path::Path;

use super::{
    Keyring,
    keyfile::{self, Contents},
    keyring::KeyringError,
};
use crate::secret::Secret;

/// Name of the keyring's file.
pub const NAME: &str = keyfile::NAME;

/// What the keyring's file in `dir` says; nothing when there is none.
///
/// # Errors
/// As [`Keyring::load_or_create`].
pub fn copy_out(dir: &Path) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    let damaged = |_| KeyringError::Damaged(dir.join(NAME));
    let contents = keyfile::read(dir)?;
    let text = contents.map(|contents| serde_json::to_vec(&contents).map_err(damaged));
    Ok(text.transpose()?.map(Secret::new))
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
    let contents = keyfile::parse(text)?;
    // Without signing keys: of a server whose secret is configured.
    let is_sound =
        contents.keys.is_empty() || Keyring::of(contents.clone(), None, Path::new("")).is_ok();
    is_sound.then_some(contents)
}
