//! Backups and exports: everything a server needs to be itself again, in one file of lines.
//!
//! Owns: the format, making one from a running store, reading one back, and what a half-done
//! restore looks like. Does not: encrypt (the command does, around it), know the records.
//!
//! | line | what |
//! |---|---|
//! | first | [`Head`]: what it is, when it was made, of which sequence number |
//! | second, in a backup only | the keyring |
//! | then | the store, as `store::Exporter` writes it |
//! | last | how many lines there were and the SHA-256 of all bytes before it |
//!
//! **Invariants:** what is in it is the state at one sequence number; an archive that was cut,
//! added to or changed anywhere is refused as a whole; a data directory that was restored only in
//! part is not opened by a server ([`refuse_unfinished`]). Without a passphrase the checksum holds
//! against accidents, not against somebody who writes the file anew.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod held;
mod read;
mod restore;
mod stays;
pub mod trail;
mod write;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use held::Held;
pub use read::{Summary, Visitor, read};
pub use restore::{Compacted, How, Restored, compact, refuse_unfinished, restore};
pub use write::{About, Kind, Sealer, Source};

use crate::{
    store::{OpenError, StoreError},
    token::KeyringError,
};

/// The layout this code writes. Newer ones are refused.
pub const FORMAT: u32 = 1;

/// What an archive says of itself, in its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// `backup` or `export`.
    pub omnigent: Kind,
    /// See [`FORMAT`].
    pub format: u32,
    /// When it was made, in seconds since the epoch.
    pub made_at: u64,
    /// The version that made it.
    pub server: String,
    /// The store's sequence number whose state it is.
    pub sequence: u64,
    /// SHA-256 of the configuration in force, as it is shown: without secrets, address and folder.
    pub config_sha256: String,
    /// Tokens were signed with `tokens.secret` of the configuration, which is not in here.
    pub configured_key: bool,
    /// In an export: the number and hash of the entry at which the audit trail stood, which is not in here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<String>,
}

/// The last line.
#[derive(Serialize)]
struct Tail {
    lines: u64,
    sha256: String,
}

/// The line of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    file: String,
    content: String,
}

/// Why an archive was not made, read or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Something else.
    #[error("this is not a backup or an export of omnigent")]
    NotOurs,
    /// Of a later version.
    #[error(
        "it has format {found}, and this omnigent knows formats up to {FORMAT}: use the newer one"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// Cut short, added to or altered.
    #[error("it is damaged or not whole (line {line}: {what}); use another backup")]
    Damaged {
        /// Where.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// An export, where a backup is needed, or the reverse.
    #[error("it is an {0:?}: {1}")]
    WrongKind(Kind, &'static str),
    /// The directory to restore into is in use.
    #[error("{} is not empty: restore into an empty directory, or use --force to move what is there aside", .0.display())]
    NotEmpty(PathBuf),
    /// A server runs on the directory.
    #[error("a server is using {}: stop it first", .0.display())]
    InUse(PathBuf),
    /// An earlier restore was interrupted.
    #[error(
        "a restore into {} was interrupted, so what is there is not whole: restore again with --force, which moves \
         what is there aside",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// Reading or writing failed.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// Reading the archive failed.
    #[error("cannot read it: {0}")]
    Input(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}
