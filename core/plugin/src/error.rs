//! What a backend says when it cannot tell.

use serde::{Deserialize, Serialize};

/// The backend could not find out. Never for somebody who may not come in: that is
/// [`Step::denied`](crate::Step::denied). The texts are for the operator's log, not for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackendError {
    /// The configuration cannot work. Retrying will not help; the operator has to act.
    #[error("misconfigured: {message}")]
    Misconfigured {
        /// What is wrong and what to do.
        message: String,
    },
    /// Something the backend depends on does not answer. Retrying may help.
    #[error("unavailable: {message}")]
    Unavailable {
        /// What did not answer.
        message: String,
        /// Seconds after which to try again, if known.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A fault of the backend itself.
    #[error("internal: {message}")]
    Internal {
        /// What happened.
        message: String,
    },
    /// The backend does not have this capability (or its contract is older).
    #[error("not supported")]
    NotSupported,
    /// The server has too much to do: the caller should try again soon.
    #[error("busy")]
    Busy,
}

impl BackendError {
    /// [`BackendError::Misconfigured`].
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self::Misconfigured {
            message: message.into(),
        }
    }

    /// [`BackendError::Unavailable`], without a time to come back.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            retry_after: None,
        }
    }

    /// [`BackendError::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal {
            message: message.into(),
        }
    }
}
