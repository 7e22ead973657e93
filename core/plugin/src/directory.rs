//! What a backend that keeps people answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BackendError, Identity};

/// A password on its way. Never shown by `Debug`, and overwritten when it is let go of.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Takes a password into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself. Never log or format what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A change to the people a backend keeps: whom it is about, and what it writes to the backend's
/// key-value store. The backend does not write by itself: the server commits the writes together
/// with its own records, so that a crash leaves no half of a registration. A backend whose people
/// live elsewhere writes there and hands back no writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whom it is about.
    pub identity: Identity,
    /// What to write.
    #[serde(default)]
    pub writes: Vec<KvWrite>,
}

impl Change {
    /// A change without writes.
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            writes: Vec::new(),
        }
    }

    /// Writes `value` where nothing is.
    #[must_use]
    pub fn insert(self, key: impl Into<String>, value: Vec<u8>) -> Self {
        self.write(key.into(), Expect::Absent, Some(value))
    }

    /// Writes `value` where `old` is.
    #[must_use]
    pub fn replace(self, key: impl Into<String>, old: Vec<u8>, value: Vec<u8>) -> Self {
        self.write(key.into(), Expect::Exactly(old), Some(value))
    }

    /// Removes whatever is there.
    #[must_use]
    pub fn remove(self, key: impl Into<String>) -> Self {
        self.write(key.into(), Expect::Any, None)
    }

    fn write(mut self, key: String, expect: Expect, value: Option<Vec<u8>>) -> Self {
        self.writes.push(KvWrite { key, expect, value });
        self
    }
}

/// One write of a [`Change`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvWrite {
    /// The key, in the backend's own namespace.
    pub key: String,
    /// What must be there, or the whole change is refused.
    pub expect: Expect,
    /// The new value; nothing removes the key.
    #[serde(default)]
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for KvWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvWrite({:?})", self.key)
    }
}

/// What a write expects to find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Nothing.
    Absent,
    /// Whatever.
    Any,
    /// Exactly these bytes.
    Exactly(Vec<u8>),
}

/// What a directory knows of one of its people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Whether they can sign in with a password.
    pub has_password: bool,
}

/// Why a directory did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "refused", rename_all = "snake_case")]
pub enum DirectoryError {
    /// Somebody else has the name.
    #[error("the name is taken")]
    Taken,
    /// Nobody has it.
    #[error("no such person")]
    NotFound,
    /// The old password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The person has no password.
    #[error("no password")]
    NoPassword,
    /// The new password will not do.
    #[error("refused: {reason}")]
    Refused {
        /// Why, in words for the person.
        reason: String,
    },
    /// The directory could not tell.
    #[error(transparent)]
    Backend {
        /// Why.
        #[from]
        error: BackendError,
    },
}

impl DirectoryError {
    /// [`DirectoryError::Refused`].
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }
}
