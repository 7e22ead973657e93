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
    /// A backup to be imported is cut short, altered or not one of ours, or the store is not empty.
    #[error("this backup cannot be imported: {0}")]
    Import(String),
    /// A snapshot is being read already.
    #[error("a backup or an export is being made already; wait until it is done")]
    SnapshotTaken,
    /// So much was written meanwhile that the snapshot cannot be read to its end.
    #[error("too much was written while the backup was being made; try again, onto a faster disk")]
    SnapshotLost,
    /// The engine below failed to read or write.
    #[error("the storage engine failed ({0}); check the disk, then restart the server")]
    Engine(String),
}

/// Why the data directory was not opened, or not trusted any longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The machine's clock stands before 1970, a time that the engine cannot tell.
    #[error("the clock of this machine stands before 1970: set it, then try again")]
    Clock,
    /// Written by a newer server.
    #[error(
        "the data in {} has schema {found}, this server knows up to {known}: start the newer server again, or {RESTORE}",
        .dir.display()
    )]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// The schema found.
        found: u32,
        /// The newest one this server knows.
        known: u32,
    },
    /// Something in it is missing or altered.
    #[error("the data in {} is damaged ({what}): to lose nothing unnoticed the server does not use it; {RESTORE}", .dir.display())]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What, for the log.
        what: String,
    },
    /// The database is older than the high-water file: an old copy, or its newest part is lost.
    #[error(
        "the database in {} stands at write {found}, but it had come to {known}: its newest part is lost, so revoked \
         tokens could work again; {RESTORE}",
        .dir.display()
    )]
    RolledBack {
        /// The data directory.
        dir: PathBuf,
        /// The database's sequence number.
        found: u64,
        /// The high-water file's.
        known: u64,
    },
    /// The database is gone, but the high-water file knows there was one.
    #[error("the database in {} is missing or empty, but it had come to write {known}; {RESTORE}", .dir.display())]
    Emptied {
        /// The data directory.
        dir: PathBuf,
        /// The high-water file's sequence number.
        known: u64,
    },
    /// There is a database, but no high-water file to hold it against.
    #[error("the file high-water in {} is missing, so nothing proves the database complete; {RESTORE}", .dir.display())]
    NoHighWater {
        /// The data directory.
        dir: PathBuf,
    },
}

/// What the operator does about it.
const RESTORE: &str = "stop the server and restore a backup with `omnigent restore FILE --force`, which keeps what is there \
     (docs/operations.md, \"Backup and restore\")";
