//! Why something about accounts was not done.

use omnigent_plugin::DirectoryError;

use super::InvalidName;
use crate::{backend::CallError, store::StoreError};

/// Why an account could not be made, changed or reached.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The text is no account name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Another account has the name: choose another.
    #[error("username already taken")]
    NameTaken,
    /// Another account has the identity.
    #[error("this identity belongs to another account")]
    IdentityTaken,
    /// The e-mail address leads to an account that another person of the same issuer has.
    #[error(
        "your e-mail address belongs to the account of somebody else at your identity provider; \
         ask an administrator"
    )]
    AnotherSubject,
    /// No such account.
    #[error("not found")]
    NotFound,
    /// The account is disabled.
    #[error("this account is disabled")]
    Disabled,
    /// Whoever asks acted by what has ended meanwhile.
    #[error("not authenticated")]
    Ended,
    /// Whoever asks has ceased to be an admin meanwhile.
    #[error("admin only")]
    NotAdmin,
    /// Would leave no enabled admin: promote somebody else first.
    #[error("cannot delete the last admin; make somebody else an admin first")]
    LastAdmin,
    /// Unknown, used or past its time.
    #[error("invite invalid or expired")]
    Invite,
    /// Unknown, used or past its time.
    #[error("magic link invalid or expired")]
    Magic,
    /// The server has been claimed already.
    #[error("setup already completed")]
    AlreadySetUp,
    /// The backend's rule does not admit an identity that is not linked yet.
    #[error("this identity has no account on this server; ask an administrator for an invite")]
    NotAdmitted,
    /// The backend asserted a name nobody can have.
    #[error("Reserved user name '{0}'")]
    Reserved(String),
    /// The e-mail address is of a domain the backend's rules do not admit.
    #[error("Email domain '{0}' is not permitted on this server")]
    Domain(String),
    /// The person is in none of the groups the backend's rules admit.
    #[error("your groups do not permit signing in to this server")]
    Group,
    /// The plugin's own data changed meanwhile.
    #[error("the change collided with another one; try again")]
    Collision,
    /// The store could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountError {
    /// Why somebody was not let in, in a word.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Name(_) => "no name",
            Self::NameTaken => "name taken",
            Self::IdentityTaken => "identity taken",
            Self::AnotherSubject => "another subject",
            Self::Disabled => "account disabled",
            Self::Invite => "invite",
            Self::NotAdmitted => "not admitted",
            Self::Reserved(_) => "reserved name",
            Self::Domain(_) => "domain",
            Self::Group => "group",
            _ => "refused",
        }
    }
}

/// Why the office could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// The account, name, invite or identity says no.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No backend of this server keeps passwords.
    #[error("no backend of this server keeps passwords")]
    NoDirectory,
    /// Registration is closed.
    #[error("registration is closed on this server")]
    Closed,
    /// The one-time setup code is missing or wrong.
    #[error(
        "setup code missing or wrong; it is in the file setup-code of the server's data directory"
    )]
    SetupCode,
    /// The old password is wrong.
    #[error("old password incorrect")]
    WrongPassword,
    /// The account has no password here.
    #[error("no password set for this account")]
    NoPassword,
    /// The backend refuses the new password, and says why.
    #[error("{0}")]
    PasswordRefused(String),
    /// Too much at once: try again soon.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// The backend cannot tell.
    #[error("the backend that keeps passwords is unavailable")]
    Unavailable(#[source] CallError),
}

impl From<StoreError> for OfficeError {
    fn from(error: StoreError) -> Self {
        Self::Account(AccountError::Store(error))
    }
}

impl From<CallError> for OfficeError {
    fn from(error: CallError) -> Self {
        if error.is_busy() {
            return Self::Busy;
        }
        match error.into_directory() {
            Ok(DirectoryError::Taken) => Self::Account(AccountError::NameTaken),
            Ok(DirectoryError::NotFound) => Self::Account(AccountError::NotFound),
            Ok(DirectoryError::WrongPassword) => Self::WrongPassword,
            Ok(DirectoryError::NoPassword) => Self::NoPassword,
            Ok(DirectoryError::Refused { reason }) => Self::PasswordRefused(reason),
            Ok(DirectoryError::Backend { error }) => Self::Unavailable(error.into()),
            Err(error) => Self::Unavailable(error),
        }
    }
}
