//! Why a plugin is not loaded, an instance not opened, a call not answered: one line each.

use std::io;

use omnigent_plugin::{BackendError, DirectoryError};

use crate::metrics::Fate;

/// Why a file is not loaded as a plugin.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LoadError {
    #[error("no such file; is the plugin built, and server.plugin_dir right?")]
    Missing,
    #[error("is a directory, not a plugin")]
    Directory,
    #[error("is not a regular file (a link or a device); name the file itself")]
    NotRegular,
    #[error("cannot be read: {source}")]
    Io {
        #[source]
        source: io::Error,
    },
    #[error("is empty; copy it again")]
    Empty,
    #[error("is larger than 128 MiB, which no plugin is")]
    TooLarge,
    #[error("{what} belongs to user {uid}; it must belong to root or to the server's user")]
    ForeignOwner { what: &'static str, uid: u32 },
    #[error("{what} can be written by others; chmod go-w it")]
    Writable { what: &'static str },
    #[error("is not a shared library")]
    NotElf,
    #[error("is cut short; copy it again")]
    Truncated,
    #[error("is built for another kind of machine than this server")]
    WrongArchitecture,
    #[error("has SHA-256 {found}, but the configuration pins {expected}")]
    HashMismatch { expected: String, found: String },
    #[error("cannot be linked: {message}")]
    Linker { message: String },
    #[error("is a shared library, but no omnigent plugin: it does not use export_backend!")]
    NoRoot,
    #[error(
        "is built with another version of abi_stable; rebuild it against omnigent-plugin of this server"
    )]
    OtherAbi,
    #[error(
        "speaks plugin contract {theirs}, this server speaks {ours}; rebuild the plugin against omnigent-plugin {ours}"
    )]
    OtherContract { theirs: String, ours: String },
    #[error(
        "says it speaks plugin contract {theirs} like this server ({ours}), but its binary layout differs; rebuild it against an unchanged omnigent-plugin {ours}"
    )]
    OtherLayout { theirs: String, ours: String },
    #[error("does not say what it is: its manifest is unreadable")]
    BadManifest,
    #[error("is the plugin '{found}', but the configuration asks for '{expected}'")]
    WrongName { expected: String, found: String },
}

/// Why a configured backend is not there.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("did not open: {0}")]
    Refused(BackendError),
    #[error("did not open within {0} s")]
    TimedOut(u64),
}

/// Why a call into a backend has no answer. Never "denied": that is an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CallError {
    #[error("{0}")]
    Backend(BackendError),
    #[error("no answer in time")]
    TimedOut,
    #[error("too many calls are waiting")]
    Busy,
    #[error("paused after repeated failures")]
    Paused,
    #[error("the backend answered {0}")]
    Garbage(String),
    #[error("{0}")]
    Directory(DirectoryError),
}

impl CallError {
    /// Too much at once, rather than broken: try again soon.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy | Self::Backend(BackendError::Busy))
    }

    /// What the directory said, if it was the directory that refused.
    ///
    /// # Errors
    /// Gives the error back if it was not.
    pub fn into_directory(self) -> Result<DirectoryError, Self> {
        match self {
            Self::Directory(error) => Ok(error),
            error => Err(error),
        }
    }

    /// The backend broke its word.
    pub fn garbage(what: impl Into<String>) -> Self {
        Self::Garbage(what.into())
    }
}

impl From<BackendError> for CallError {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// A plugin's words on their way to a log: one line, and not a long one.
pub(super) fn tamed(mut error: BackendError) -> BackendError {
    if let BackendError::Misconfigured { message }
    | BackendError::Unavailable { message, .. }
    | BackendError::Internal { message } = &mut error
    {
        let tame = |c: char| if c.is_control() { ' ' } else { c };
        *message = message.chars().take(LONGEST_REASON).map(tame).collect();
    }
    error
}

/// In characters.
const LONGEST_REASON: usize = 500;

/// What a call's outcome counts as.
pub(super) fn fate<T>(outcome: &Result<T, CallError>) -> Fate {
    match outcome {
        Ok(_) | Err(CallError::Directory(_) | CallError::Backend(BackendError::NotSupported)) => {
            Fate::Answered
        }
        Err(error) if error.is_busy() => Fate::Busy,
        Err(CallError::Busy) => Fate::Busy,
        Err(CallError::Paused) => Fate::Paused,
        Err(CallError::TimedOut) => Fate::TimedOut,
        Err(CallError::Garbage(_)) => Fate::Garbage,
        Err(CallError::Backend(_)) => Fate::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_words_are_one_short_line() {
        let error = BackendError::internal(format!("a\nb\u{1b}[31m{}", "x".repeat(10_000)));
        let line = tamed(error).to_string();
        assert!(
            line.starts_with("internal: a b [31mx") && line.len() < 600,
            "{line}"
        );
        assert_eq!(tamed(BackendError::Busy), BackendError::Busy);
    }
}
