//! The desk where people sign in: brings a backend's steps and a person's answers together, and
//! turns an identity into a login.
//!
//! Owns: the order of a sign-in (count, ask the backend, resolve the account, begin the login).
//! Does not: render steps, set cookies.
//!
//! **Invariants:** the throttle counts before a backend is asked; a backend that cannot tell ends
//! the sign-in and is never skipped; why somebody was denied is for the log only.

use std::{net::IpAddr, sync::Arc};

use omnigent_plugin::{Answer, Form, Identity, LoginRequest, State, Step};

use super::{
    Established, Lifetimes, Origin,
    conversation::{Conversations, TooMany},
    establish,
    throttle::{Attempt, Throttle, Throttled},
};
use crate::{
    account::{self, AccountError, Asserted, IdentityKey, Linking},
    backend::{Backends, CallError, Instance},
    clock::Timestamp,
    id::ConversationId,
    live::Live,
    secret::Secret,
    store::{Store, StoreError},
    token::Verifier,
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
}

/// A login, ready to be handed out.
#[derive(Debug)]
pub struct SignedIn {
    /// The account's name.
    pub user_id: String,
    /// May administer.
    pub is_admin: bool,
    /// The access token.
    pub token: Secret<String>,
    /// Seconds it lasts.
    pub expires_in: u64,
    /// For clients that asked for one.
    pub refresh_token: Option<Secret<String>>,
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

/// A step that waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    state: State,
    /// Whom the throttle counts: the name given at an earlier step, else at this one.
    name: String,
}

/// Signs people in.
pub struct Desk {
    pub(crate) store: Store,
    pub(crate) live: Live,
    pub(crate) backends: Arc<Backends>,
    pub(crate) throttle: Throttle,
    pub(crate) conversations: Conversations<Waiting>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) verifier: Arc<Verifier>,
}

impl Desk {
    /// Signs in with a name and a password in one go: what scripts and the stock command line do.
    /// Backends that ask for exactly these are asked in their configured order, until one of them
    /// knows the person.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn password(
        &self,
        name: &str,
        password: &str,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let attempt = self
            .throttle
            .attempt(name, guest.address, now)
            .map_err(SignInError::Throttled)?;
        let answer = Answer::password(name, password);
        let outcome = self.try_password(&answer, &guest, now).await;
        self.settle(attempt, &outcome, now);
        outcome
    }

    async fn try_password(
        &self,
        answer: &Answer,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let mut asked = false;
        for backend in self.backends.interactive() {
            let Step::Ask { form, state } = backend.begin(&self.request(backend, guest)).await?
            else {
                continue;
            };
            if !form.is_password() {
                continue;
            }
            asked = true;
            match backend.resume(&state, answer).await? {
                Step::NotMine => {}
                step => {
                    return self
                        .advance(backend, step, answer.text("username"), guest, now)
                        .await;
                }
            }
        }
        Err(if asked {
            SignInError::Denied
        } else {
            SignInError::NoBackend
        })
    }

    /// Counts a guess at something other than a sign-in's password.
    ///
    /// # Errors
    /// [`SignInError::Throttled`].
    pub fn count(
        &self,
        what: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        self.throttle
            .attempt(what, address, now)
            .map_err(SignInError::Throttled)
    }

    /// How the guess came out.
    pub fn come_out(&self, attempt: Attempt, is_wrong: bool, now: Timestamp) {
        if is_wrong {
            self.throttle.failed(attempt);
        } else {
            self.throttle.succeeded(attempt, now);
        }
    }

    /// Counts a guess that was wrong.
    ///
    /// # Errors
    /// [`SignInError::Throttled`] when there were too many before.
    pub fn count_failure(
        &self,
        what: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), SignInError> {
        let attempt = self.count(what, address, now)?;
        self.throttle.failed(attempt);
        Ok(())
    }

    /// Begins a sign-in with the named backend, or the first one.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn begin(
        &self,
        backend: Option<&str>,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let mut interactive = self.backends.interactive();
        let backend = match backend {
            Some(name) => interactive.find(|backend| backend.name() == name),
            None => interactive.next(),
        };
        let backend = backend.ok_or(SignInError::NoBackend)?;
        let step = backend.begin(&self.request(backend, &guest)).await?;
        self.advance(backend, step, "", &guest, now).await
    }

    /// Takes a sign-in one step further.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn answer(
        &self,
        id: &ConversationId,
        answer: &Answer,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let pending = self
            .conversations
            .take(id, now)
            .ok_or(SignInError::Expired)?;
        let Waiting { state, name } = &pending.step;
        let name = if name.is_empty() {
            answer.text("username")
        } else {
            name
        };
        let attempt = self
            .throttle
            .attempt(name, guest.address, now)
            .map_err(SignInError::Throttled)?;
        let backend = self
            .backends
            .get(&pending.backend)
            .ok_or(SignInError::NoBackend)?;
        let outcome = match backend.resume(state, answer).await {
            Ok(step) => self.advance(backend, step, name, &guest, now).await,
            Err(error) => Err(error.into()),
        };
        self.settle(attempt, &outcome, now);
        outcome
    }

    async fn advance(
        &self,
        backend: &Instance,
        step: Step,
        name: &str,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let keep = |state| {
            let waiting = Waiting {
                state,
                name: name.to_owned(),
            };
            self.conversations
                .put(backend.name(), waiting, guest.address, now)
        };
        match step {
            Step::Ask { form, state } => Ok(Progress::Ask(keep(state)?, form)),
            Step::Redirect { url, state } => Ok(Progress::Redirect(keep(state)?, url)),
            Step::Accept(identity) => {
                let signed_in = self.sign_in(backend, &identity, guest.clone(), now).await?;
                Ok(Progress::SignedIn(Box::new(signed_in)))
            }
            Step::Denied { reason, .. } => {
                tracing::info!(backend = backend.name(), address = %guest.address, reason, "sign-in denied");
                Err(SignInError::Denied)
            }
            Step::NotMine => {
                tracing::info!(backend = backend.name(), address = %guest.address, "sign-in denied: not known here");
                Err(SignInError::Denied)
            }
        }
    }

    async fn sign_in(
        &self,
        backend: &Instance,
        identity: &Identity,
        guest: Guest,
        now: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let asserted = asserted(backend, identity)?;
        let (live, lifetimes) = (self.live.clone(), self.lifetimes.clone());
        let origin = origin(backend, &asserted.key, guest);
        let linking = linking(backend);
        let established = self
            .store
            .write(move |tx| {
                let account = account::identify(&live, tx, &asserted, linking, now)?;
                establish(&live, tx, &account.uid, origin, &lifetimes, now)
            })
            .await?;
        let (account, sid) = (established.account.name.as_str(), established.claims.sid);
        tracing::info!(account, %sid, backend = backend.name(), "signed in");
        Ok(self.hand_out(established))
    }

    /// Signs the access token of a login that began.
    pub fn hand_out(&self, established: Established) -> SignedIn {
        let Established {
            account,
            claims,
            refresh_token,
        } = established;
        SignedIn {
            user_id: account.name.as_str().to_owned(),
            is_admin: account.is_admin,
            token: self.verifier.sign(&claims),
            expires_in: self.lifetimes.access,
            refresh_token,
        }
    }

    /// What becomes of a counted attempt. A step on the way takes back its own count and clears
    /// nothing, so that a right password buys no guesses at the second factor.
    fn settle(&self, attempt: Attempt, outcome: &Result<Progress, SignInError>, now: Timestamp) {
        match outcome {
            Ok(Progress::SignedIn(_)) => self.throttle.succeeded(attempt, now),
            Ok(_) => self.throttle.withdrawn(attempt),
            Err(SignInError::Busy | SignInError::Unavailable(_) | SignInError::Store(_)) => {
                self.throttle.withdrawn(attempt);
            }
            Err(_) => self.throttle.failed(attempt),
        }
    }

    fn request(&self, backend: &Instance, guest: &Guest) -> LoginRequest {
        LoginRequest {
            client_address: guest.address.to_string(),
            user_agent: guest.user_agent.clone(),
            callback_url: backend.callback_url().to_owned(),
            ..LoginRequest::default()
        }
    }
}

/// What the core takes over of an identity. A backend's word is bounded: what is too long or holds
/// control characters is its fault, not the person's.
fn asserted(backend: &Instance, identity: &Identity) -> Result<Asserted, SignInError> {
    let name = identity.username.as_deref().or(identity
        .email
        .as_deref()
        .filter(|_| identity.email_verified));
    let key = IdentityKey {
        backend: backend.name().to_owned(),
        issuer: identity.issuer.clone().unwrap_or_default(),
        subject: identity.subject.clone(),
    };
    let name = name.unwrap_or(&identity.subject).to_owned();
    let is_sane = |text: &str| text.len() <= 512 && !text.chars().any(char::is_control);
    if key.subject.is_empty()
        || ![&key.issuer, &key.subject, &name]
            .into_iter()
            .all(|text| is_sane(text))
    {
        let error = CallError::garbage(
            "an identity whose subject is empty, over-long or holds control characters",
        );
        return Err(SignInError::Unavailable(error));
    }
    if account::is_reserved(&key.subject) || account::is_reserved(&name) {
        tracing::warn!(
            backend = backend.name(),
            "the backend asserted a reserved identity"
        );
        return Err(SignInError::Denied);
    }
    Ok(Asserted { key, name })
}

/// The rule for identities that are not linked yet. People of a backend that is a directory are
/// made by registration, together with their account: one without the other is a remnant.
fn linking(backend: &Instance) -> Linking {
    if backend.is_directory() {
        Linking::Existing
    } else {
        backend.linking()
    }
}

/// Where a login comes from.
pub(crate) fn origin(backend: &Instance, key: &IdentityKey, guest: Guest) -> Origin {
    Origin {
        backend: backend.name().to_owned(),
        provider: backend.plugin().to_owned(),
        identity: (key.issuer.clone(), key.subject.clone()),
        address: guest.address.to_string(),
        user_agent: guest.user_agent,
        client_id: guest.client_id,
    }
}
