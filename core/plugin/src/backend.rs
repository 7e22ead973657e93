//! What a backend implements: [`Backend`], and the capabilities it has.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    BackendError, Change, DirectoryError, Ended, Entry, Host, Identity, IdentityRef, LoginRequest,
    LogoutTarget, Password, RequestView, Standing, State, Step, Verdict, step::Answer,
};

/// One configured instance of a plugin.
pub trait Backend: Sized + Send + Sync + 'static {
    /// The keys of `[backend.<name>]` that are the plugin's own. Refuse unknown ones with
    /// `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned + JsonSchema;

    /// Starts an instance. Must not wait for anything that may be down: the server is starting.
    ///
    /// # Errors
    /// [`BackendError::Misconfigured`] stops the server's start with its message.
    fn open(
        config: Self::Config,
        host: Host,
    ) -> impl Future<Output = Result<Self, BackendError>> + Send;

    /// The server is stopping: the last call. It does not wait for long.
    fn shutdown(&self) {}
}

/// Signs people in, in a conversation.
pub trait Login: Backend {
    /// How it begins, as far as clients choose by it.
    const FLOW: Flow = Flow::Password;

    /// The first step.
    ///
    /// # Errors
    /// When the backend cannot tell. The sign-in ends there.
    fn begin(
        &self,
        request: &LoginRequest,
    ) -> impl Future<Output = Result<Step, BackendError>> + Send;

    /// The step after an answer, with what the step before wanted to remember.
    ///
    /// # Errors
    /// When the backend cannot tell. The sign-in ends there.
    fn resume(
        &self,
        state: &State,
        answer: &Answer,
    ) -> impl Future<Output = Result<Step, BackendError>> + Send;
}

/// What the first step of a sign-in is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// A form to fill in: also in a terminal.
    #[default]
    Password,
    /// A page elsewhere to go to: only in a browser.
    Redirect,
}

/// Says who a request is from, by what it carries.
pub trait Identify: Backend {
    /// Runs on the server's own thread for every request: must not block or wait.
    ///
    /// # Errors
    /// When the backend cannot tell. The request is refused.
    fn identify(&self, request: &RequestView<'_>) -> Result<Verdict, BackendError>;
}

/// Says whether an identity still holds. Asked when a grant is refreshed, and again for every other one:
/// an identity that is gone stays so until its person has signed in anew.
pub trait Revalidate: Backend {
    /// # Errors
    /// When the backend cannot tell. The refresh is refused for now.
    fn revalidate(
        &self,
        identity: &IdentityRef,
    ) -> impl Future<Output = Result<Standing, BackendError>> + Send;
}

/// Keeps people and their passwords.
pub trait Directory: Backend {
    /// Prepares a new person.
    ///
    /// # Errors
    /// [`DirectoryError::Taken`], [`DirectoryError::Refused`].
    fn create(
        &self,
        name: &str,
        password: &Password,
    ) -> impl Future<Output = Result<Change, DirectoryError>> + Send;

    /// Prepares a new password on an admin's word.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Refused`].
    fn set_password(
        &self,
        subject: &str,
        new: &Password,
    ) -> impl Future<Output = Result<Change, DirectoryError>> + Send;

    /// Prepares a new password on its owner's word.
    ///
    /// # Errors
    /// [`DirectoryError::WrongPassword`], [`DirectoryError::NoPassword`], [`DirectoryError::Refused`].
    fn change_password(
        &self,
        subject: &str,
        old: &Password,
        new: &Password,
    ) -> impl Future<Output = Result<Change, DirectoryError>> + Send;

    /// Prepares the removal of a person. Removing nobody is fine.
    ///
    /// # Errors
    /// When the backend cannot tell.
    fn remove(&self, subject: &str) -> impl Future<Output = Result<Change, DirectoryError>> + Send;

    /// What is known of these people, in their order.
    ///
    /// # Errors
    /// When the backend cannot tell.
    fn describe(
        &self,
        subjects: &[String],
    ) -> impl Future<Output = Result<Vec<Entry>, DirectoryError>> + Send;
}

/// Knows where people who sign out should go, and hears when an issuer signs them out.
pub trait Logout: Backend {
    /// Where to send this person, who has just signed out here. The subject is empty for somebody
    /// whose login here is over already: nobody knows who it was.
    ///
    /// # Errors
    /// When the backend cannot tell. The person is signed out all the same.
    fn logout(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<LogoutTarget, BackendError>> + Send;

    /// What has ended, by a notice the issuer posted to
    /// `<public URL>/auth/backchannel-logout/<backend>` (OpenID Connect Back-Channel Logout 1.0:
    /// the `logout_token`). Nothing when the notice is no good.
    ///
    /// # Errors
    /// When the backend cannot tell. The issuer is asked to try again.
    fn ended(
        &self,
        notice: &str,
    ) -> impl Future<Output = Result<Option<Ended>, BackendError>> + Send {
        let _ = notice;
        async { Err(BackendError::NotSupported) }
    }
}

/// Can say how it is.
pub trait Health: Backend {
    /// # Errors
    /// What is wrong.
    fn health(&self) -> impl Future<Output = Result<(), BackendError>> + Send;
}
