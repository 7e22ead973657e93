//! What goes into the desk and what comes out of it.

use std::net::IpAddr;

use omnigent_plugin::Form;

use super::{conversation::TooMany, throttle::Throttled};
use crate::{
    account::AccountError,
    audit::{Scene, Who},
    backend::CallError,
    clock::Timestamp,
    id::{ConversationId, LoginId, RequestId, Uid},
    secret::Secret,
    store::StoreError,
};

/// Who is at the desk.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The client's address.
    pub address: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// A client that wants to refresh names itself.
    pub client_id: Option<String>,
    /// The marks of accounts that this browser signed in to before, as it sent them.
    pub devices: Option<String>,
    /// The request they came with.
    pub request: Option<RequestId>,
    /// The turn at which they came ([`AccountIndex::turn`]): what they show was good then.
    ///
    /// [`AccountIndex::turn`]: crate::token::AccountIndex::turn
    pub turn: u64,
}

impl Guest {
    /// What happens on behalf of somebody who has not shown yet who they are.
    pub fn scene(&self, at: Timestamp) -> Scene {
        Scene {
            address: Some(self.address),
            request: self.request,
            agent: match self.user_agent.as_str() {
                "" => None,
                agent => Some(agent.into()),
            },
            ..Scene::system(at).done_by(Who::Nobody)
        }
    }
}

/// A login, ready to be handed out.
#[derive(Debug)]
pub struct SignedIn {
    /// The account.
    pub uid: Uid,
    /// The account's name.
    pub user_id: String,
    /// May administer.
    pub is_admin: bool,
    /// The login.
    pub sid: LoginId,
    /// The access token.
    pub token: Secret<String>,
    /// Seconds it lasts.
    pub expires_in: u64,
    /// For clients that asked for one.
    pub refresh_token: Option<Secret<String>>,
    /// What this browser is to keep of the accounts it signed in to, when that has changed.
    pub devices: Option<String>,
}

/// Where a sign-in stands.
#[derive(Debug)]
pub enum Progress {
    /// The backend wants these fields filled in.
    Ask(ConversationId, Form),
    /// The backend wants the person to visit this URL and come back.
    Redirect(ConversationId, String),
    /// Done.
    SignedIn(Box<SignedIn>),
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Wrong password, unknown name, disabled account: one answer for all.
    #[error("invalid username or password")]
    Denied,
    /// The backend says why, in words for the person.
    #[error("{0}")]
    Refused(String),
    /// The step was answered before, or is too old: begin again.
    #[error("this sign-in has expired; start again")]
    Expired,
    /// Too many attempts.
    #[error("too many attempts; try again later")]
    Throttled(Throttled),
    /// Too much at once: try again soon.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// No such backend, or none that signs people in.
    #[error("no such way of signing in")]
    NoBackend,
    /// A backend cannot tell.
    #[error("this way of signing in is unavailable")]
    Unavailable(#[source] CallError),
    /// The backend vouched, but there is no account for that identity.
    #[error(transparent)]
    Account(AccountError),
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// What it is called where sign-ins are counted.
    pub(super) const fn result(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Refused(_) => "refused",
            Self::Expired => "expired",
            Self::Throttled(_) => "throttled",
            Self::Busy => "busy",
            Self::NoBackend => "no_backend",
            Self::Unavailable(_) => "unavailable",
            Self::Account(_) => "not_admitted",
            Self::Store(_) => "store_error",
        }
    }

    /// Why, in a word, of somebody a backend vouches for.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Account(error) => error.word(),
            Self::Denied => "account disabled",
            Self::Unavailable(_) => "not a sound identity",
            _ => "cannot tell",
        }
    }
}

impl From<AccountError> for SignInError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            AccountError::Disabled | AccountError::NotFound => Self::Denied,
            error => Self::Account(error),
        }
    }
}

impl From<CallError> for SignInError {
    fn from(error: CallError) -> Self {
        if error.is_busy() {
            Self::Busy
        } else {
            Self::Unavailable(error)
        }
    }
}

impl From<TooMany> for SignInError {
    fn from(_: TooMany) -> Self {
        Self::Busy
    }
}

/// What a person came for: kept on the server while they are away at an issuer.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// The path to go to afterwards.
    pub return_to: Option<String>,
    /// The code of the command line that waits for this sign-in.
    pub ticket: Option<String>,
    /// An invite to redeem.
    pub invite: Option<String>,
    /// The browser it happens in: only there can it be finished.
    pub browser: Option<String>,
    /// They are signed in, and have to show once more who they are.
    pub reauth: bool,
}

/// Why somebody who came back is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReturnError {
    /// Nobody was sent away with this state, or too long ago, or they came back before.
    #[error("Invalid or expired auth state")]
    Unknown,
    /// Somebody was, from another browser.
    #[error("State mismatch (possible CSRF)")]
    OtherBrowser,
}
