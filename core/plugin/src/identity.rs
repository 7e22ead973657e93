//! Who somebody is, as a backend asserts it.

use serde::{Deserialize, Serialize};

/// Facts a backend asserts of a person. The server decides which account they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// What never changes about the person at this issuer: not a name that can be given to
    /// somebody else.
    pub subject: String,
    /// Who vouches, where a backend has several issuers.
    pub issuer: Option<String>,
    /// The name a new account would get.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the issuer has verified the e-mail address. Nothing is linked by one it has not.
    pub email_verified: bool,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The groups the person is in.
    pub groups: Vec<String>,
    /// The issuer's own id of the session this was said in, where it may end it (OpenID Connect's
    /// `sid`).
    pub session: Option<String>,
}

impl Identity {
    /// A person whose subject is also the name of a new account.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }
}

/// A person the backend has vouched for before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdentityRef {
    /// As in [`Identity::subject`].
    pub subject: String,
    /// As in [`Identity::issuer`].
    pub issuer: Option<String>,
}

/// Whether an identity still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It does. With an identity, when its facts have changed.
    Holds {
        /// The facts as they are now.
        #[serde(default)]
        identity: Option<Identity>,
    },
    /// It does not: every login that rests on it ends, whichever asked.
    Gone {
        /// Why, for the log.
        #[serde(default)]
        reason: String,
    },
}

impl Standing {
    /// The identity holds, unchanged.
    pub const fn holds() -> Self {
        Self::Holds { identity: None }
    }

    /// The identity does not hold any more.
    pub fn gone(reason: impl Into<String>) -> Self {
        Self::Gone {
            reason: reason.into(),
        }
    }
}
