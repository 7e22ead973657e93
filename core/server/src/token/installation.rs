//! Which keyring a store goes with.
//!
//! The store keeps a keyed hash of nothing, made with the keyring's hash key. So a keyring of
//! another installation, or a new one made because the file was lost, is told from the right one
//! before anything is served with it: with the wrong one every token, invite and refresh token
//! would be dead without a word.

use std::path::Path;

use super::{
    Keyring,
    hash::{Hasher, Kind},
    keyerror::KeyringError,
    keyfile, keynotes,
};
use crate::store::{Read, Store, StoreError, Table};

/// One record. Not part of an export, which goes with any keyring.
pub const INSTALLATION: Table<(), [u8; 32]> = Table::new(30, "installation");

/// Refuses to go on when the store was in use with a keyring that is not there any more: a new one
/// must not be made in its place.
///
/// # Errors
/// [`KeyringError::Missing`], and those of the store.
pub fn expect_keyring(store: &Store, dir: &Path) -> Result<Result<(), KeyringError>, StoreError> {
    let path = dir.join(keyfile::NAME);
    let was_used = store.initialised() || INSTALLATION.contains(&store.reader(), &())?;
    Ok(if was_used && std::fs::symlink_metadata(&path).is_err() {
        Err(KeyringError::Missing(path))
    } else {
        Ok(())
    })
}

/// Whether these are the keys of the store. They are those of one that has no keyring yet.
///
/// # Errors
/// Only of the store.
pub fn fits(store: &Store, hasher: &Hasher) -> Result<bool, StoreError> {
    Ok(known(&store.reader())?.is_none_or(|known| known == mark(hasher)))
}

/// Whether the keyring is the store's. One that has none yet takes it.
///
/// # Errors
/// [`KeyringError::Foreign`]-like refusals as the inner value, and those of the store.
pub async fn bind(
    store: &Store,
    keyring: &Keyring,
    dir: &Path,
) -> Result<Result<(), KeyringError>, StoreError> {
    let mark = mark(&keyring.hasher());
    let keys: Vec<_> = keyring.infos().collect();
    match known(&store.reader())? {
        Some(known) if known == mark => Ok(Ok(())),
        Some(_) => Ok(Err(KeyringError::OtherInstallation(
            dir.join(keyfile::NAME),
        ))),
        None => match store
            .write(move |tx| {
                keynotes::begin(tx, &keys)?;
                INSTALLATION.put(tx, &(), &mark)
            })
            .await
        {
            // On a full disk it is bound at another start.
            Ok(()) | Err(StoreError::Full) => Ok(Ok(())),
            Err(error) => Err(error),
        },
    }
}

fn known(from: &impl Read) -> Result<Option<[u8; 32]>, StoreError> {
    INSTALLATION.get(from, &())
}

fn mark(hasher: &Hasher) -> [u8; 32] {
    hasher.hash(Kind::Installation, b"")
}
