//! What can go wrong. Every message says what to do.

use std::path::PathBuf;

/// A read or write that failed. Nothing of the transaction was written unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record is damaged or of a version this server does not know. Stop and restore.
    #[error(
        "the record {key} of table {table} is damaged: stop the server and restore the data directory from a backup"
    )]
    Corrupt {
        /// The table.
        table: Box<str>,
        /// The encoded key in hexadecimal.
        key: String,
    },
    /// The disk failed a sync. The write may or may not survive a power cut. Answer 503.
    #[error(
        "the store is read-only because the disk failed a write; check the disk, then restart the server"
    )]
    ReadOnly,
    /// Too little free disk space. Answer 503; heals by itself.
    #[error("the disk is (nearly) full; free some space and writes go on by themselves")]
    Full,
    /// More writes are waiting than the queue holds. Answer 503 with `Retry-After`.
    #[error("too many writes are waiting; try again in a moment")]
    Busy,
    /// The store is closing. Answer 503.
    #[error("the store is closed")]
    Closed,
    /// The record would be larger than [`super::MAX_RECORD`] or its key than [`super::MAX_KEY`].
    #[error("a record of table {table} is too large; store less in it")]
    TooLarge {
        /// The table.
        table: &'static str,
    },
    /// A record's type does not serialise: a bug of ours.
    #[error("a record of table {table} does not serialise; please report this bug")]
    Unserialisable {
        /// The table.
        table: &'static str,
    },
    /// The transaction's code panicked: a bug of ours.
    #[error("a transaction panicked; please report this bug")]
    Panicked,
    /// The engine below failed to read or write.
    #[error("the storage engine failed ({0}); check the disk, then restart the server")]
    Engine(String),
}

/// Why the data directory was not opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("another omnigent server is using {}: stop it first, or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// The operating system refused something.
    #[error("cannot use the data directory {}: {cause}", .dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the operating system says.
        cause: String,
    },
}
