//! What can be wrong with keys, in words that say what to do.

use std::{io, path::PathBuf};

use super::{algorithm::Algorithm, keyring::MAX_KEYS, strength::WeakSecret};

/// Why there is no keyring, or not the one asked for. No message holds a secret.
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
    #[error(
        "tokens.secret signs; to rotate it, move it to tokens.previous_secret, configure a new one and reload"
    )]
    Configured,
    /// Rotating to another algorithm than the configured one.
    #[error("tokens.algorithm is {0} in the configuration; change it there and reload")]
    OtherAlgorithm(Algorithm),
    /// More keys than anybody needs.
    #[error("there are {MAX_KEYS} keys that verify; retire some first")]
    TooMany,
    /// No key of this name.
    #[error("no such key")]
    Unknown,
    /// Retiring the key that signs.
    #[error("this key signs; rotate first")]
    Signs,
    /// Retiring a key that is configured.
    #[error("this key is a secret of the configuration; take it out there and reload")]
    Secret,
    /// Retiring a retired key.
    #[error("this key is retired already")]
    Retired,
}
