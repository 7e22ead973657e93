//! Changing the keys of a running server.
//!
//! **Invariants:** one change at a time, for each is made from the keyring in force; it is on disk
//! before it is in force, and in force before whoever asked hears of it.

use std::{fmt, path::PathBuf, sync::Arc};

use parking_lot::Mutex;

use super::{
    Verifier,
    algorithm::Algorithm,
    keyerror::KeyringError,
    keyring::{KeyInfo, KeySettings, Keyring},
};
use crate::clock::Timestamp;

/// The keyring in force and the file it came from. All of this writes files: not for a thread that
/// must not wait.
pub struct Keys {
    verifier: Arc<Verifier>,
    dir: PathBuf,
    changing: Mutex<()>,
}

impl Keys {
    /// The keys of `verifier`, whose file is in `dir`.
    pub fn new(verifier: Arc<Verifier>, dir: PathBuf) -> Self {
        Self {
            verifier,
            dir,
            changing: Mutex::new(()),
        }
    }

    /// All keys, those that are retired last.
    pub fn list(&self) -> Vec<KeyInfo> {
        self.verifier.keyring().infos().collect()
    }

    /// The key, if it can be retired; whether tokens rest on it is for [`super::rests`] to say.
    ///
    /// # Errors
    /// As [`Keyring::may_retire`].
    pub fn may_retire(&self, kid: &str) -> Result<KeyInfo, KeyringError> {
        self.verifier.keyring().may_retire(kid)
    }

    /// Does what the configuration says of keys.
    ///
    /// # Errors
    /// As [`Keyring::reconfigured`]; then nothing has changed.
    pub fn configure(&self, settings: KeySettings, now: Timestamp) -> Result<(), KeyringError> {
        // What is as it was would only empty the cache of verified tokens.
        if *self.verifier.keyring().settings() == settings {
            return Ok(());
        }
        self.change(|keys| keys.reconfigured(&self.dir, settings, now))
            .map(drop)
    }

    /// Makes a new key sign, whose name is returned. Everything signed before goes on counting.
    ///
    /// # Errors
    /// As [`Keyring::rotate`]; then nothing has changed.
    pub fn rotate(
        &self,
        algorithm: Option<Algorithm>,
        now: Timestamp,
    ) -> Result<String, KeyringError> {
        self.change(|keys| keys.rotate(&self.dir, algorithm, now))
    }

    /// Ends the key and every token it signed, from this call's return on.
    ///
    /// # Errors
    /// As [`Keyring::retire`]. When writing failed, what the file says is not known: it is either.
    pub fn retire(&self, kid: &str, now: Timestamp) -> Result<(), KeyringError> {
        self.change(|keys| keys.retire(&self.dir, kid, now))
            .map(drop)
    }

    /// The name of the key that signs after it.
    fn change(
        &self,
        change: impl FnOnce(&Keyring) -> Result<Keyring, KeyringError>,
    ) -> Result<String, KeyringError> {
        let _alone = self.changing.lock();
        let new = change(&self.verifier.keyring())?;
        let active = new.active().to_owned();
        self.verifier.replace_keyring(new);
        Ok(active)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.keyring().fmt(f)
    }
}
