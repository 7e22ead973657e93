//! The desk where people sign in: brings a backend's steps and a person's answers together, and
//! turns an identity into a login.
//!
//! Owns: the order of a sign-in (count, ask the backend, resolve the account, begin the login).
//! Does not: render steps, set cookies.
//!
//! **Invariants:** the throttle counts before a backend is asked; a backend that cannot tell ends
//! the sign-in and is never skipped; why somebody was denied is for the log only.

use std::{collections::BTreeMap, sync::Arc};

use omnigent_plugin::{Answer, FieldKind, Form, LoginRequest, Purpose, State, Step};
use tokio::time::Instant;

use super::{
    Guest, Lifetimes, Progress, ReturnError, SignInError, Visit,
    conversation::{Conversations, Pending},
    guesses::pace,
    throttle::{Rate, Throttle},
};
use crate::{
    audit::{Entry, Event},
    backend::{Backends, Instance},
    clock::Timestamp,
    id::ConversationId,
    live::Live,
    metrics::{Logins, Meters},
    store::Store,
    token::Verifier,
};

/// A step that waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    state: State,
    /// Whom the throttle counts: the name given at an earlier step, else at this one.
    name: String,
    /// The field of this step that says who it is.
    name_field: Option<String>,
    /// What comes back with a person who was sent away.
    return_id: ConversationId,
    /// Since when the person is away.
    away_since: Option<Timestamp>,
    visit: Visit,
    /// The turn at which the sign-in began.
    turn: u64,
}

impl Waiting {
    /// Whose sign-in it is, when this is the answer.
    fn name(&self, answer: &Answer) -> String {
        let field = self.name_field.as_deref().unwrap_or("username");
        let typed = || answer.text(field).to_owned();
        Some(self.name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(typed)
    }
}

/// The field in which somebody says who they are: `username`, or the first one that takes a text,
/// whatever a backend calls it (THREATS P2).
fn name_field(form: &Form) -> Option<String> {
    let mut texts = form.fields.iter().filter(|f| f.kind == FieldKind::Text);
    let first = texts.next()?;
    let is_username = |name: &&str| *name == "username";
    let names = form.fields.iter().map(|field| field.name.as_str());
    let name = names.into_iter().find(is_username).unwrap_or(&first.name);
    Some(name.to_owned())
}

/// For how long a person may be away at an issuer (THREATS O1).
const AWAY_MILLIS: u64 = 300_000;

/// Signs people in.
pub struct Desk {
    pub(crate) store: Store,
    pub(crate) live: Live,
    pub(crate) backends: Arc<Backends>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) conversations: Arc<Conversations<Waiting>>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) meters: Arc<Meters>,
}

impl Desk {
    /// Signs in with a name and a password in one go: what scripts and the stock command line do.
    /// Asked is the named backend, or those that ask for exactly these, in their configured order,
    /// until one of them knows the person.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn password(
        &self,
        name: &str,
        password: &str,
        backend: Option<&str>,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let began = Instant::now();
        let meant = self.meant(backend);
        let attempt = self.attempt((meant, name), &guest, now).await?;
        let answer = Answer::password(name, password);
        let outcome = self.try_password(&answer, backend, &guest, now).await;
        Self::settle(attempt, &outcome);
        pace(began, &outcome).await;
        outcome.map(|progress| self.seen_off(progress, (meant, name), &guest, now))
    }

    async fn try_password(
        &self,
        answer: &Answer,
        named: Option<&str>,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let mut asked = false;
        let is_meant = |backend: &&Instance| named.is_none_or(|name| backend.name() == name);
        for backend in self.password_takers().filter(is_meant) {
            let step = backend.begin(&self.request(backend, guest)).await;
            let Step::Ask { form, state } = self.told(backend, step)? else {
                continue;
            };
            if !form.is_password() {
                continue;
            }
            asked = true;
            match self.told(backend, backend.resume(&state, answer).await)? {
                Step::NotMine => {}
                step => {
                    let sign_in =
                        Thread::new(answer.text("username"), &Visit::default(), guest.turn);
                    return self.advance(backend, step, sign_in, guest, now).await;
                }
            }
        }
        if !asked {
            self.note(Logins::NO_BACKEND, &SignInError::NoBackend);
            return Err(SignInError::NoBackend);
        }
        self.note(named.unwrap_or(Logins::NO_BACKEND), &SignInError::Denied);
        let denied = Entry::new(Event::LoginDenied).reason("not known");
        self.refuse(denied.typed(answer.text("username")), guest, now);
        Err(SignInError::Denied)
    }

    pub(super) fn refuse(&self, entry: Entry, guest: &Guest, now: Timestamp) {
        self.live.audit.report(guest.scene(now), entry);
    }

    /// Begins a sign-in with the named backend, or the first one.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn begin(
        &self,
        backend: Option<&str>,
        visit: &Visit,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let mut interactive = self.backends.interactive();
        let backend = match backend {
            Some(name) => interactive.find(|backend| backend.name() == name),
            None => interactive.next(),
        };
        let backend = backend.ok_or(SignInError::NoBackend)?;
        self.charge(Rate::Begin, guest.address, now)?;
        let thread = Thread::new("", visit, guest.turn);
        let mut request = self.request(backend, &guest);
        request.return_state = thread.return_id.to_string();
        if visit.reauth {
            request.purpose = Purpose::Reauthenticate;
        }
        let step = self.told(backend, backend.begin(&request).await)?;
        self.advance(backend, step, thread, &guest, now).await
    }

    /// Takes a sign-in one step further.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn answer(
        &self,
        id: &ConversationId,
        answer: &Answer,
        visit: &Visit,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let began = Instant::now();
        let is_here = |step: &Waiting| step.away_since.is_none();
        // Whoever has to wait can answer this very step afterwards.
        let found = self.conversations.look(id, now, |pending| {
            (pending.backend.clone(), pending.step.name(answer))
        });
        let (backend, name) = found.ok_or(SignInError::Expired)?;
        let attempt = self.attempt((&backend, &name), &guest, now).await?;
        let Some(pending) = self.conversations.take_if(id, now, is_here) else {
            attempt.withdrawn();
            return Err(SignInError::Expired);
        };
        let mut thread = Thread::new(&name, visit, pending.step.turn.min(guest.turn));
        thread.return_id = pending.step.return_id;
        let outcome = self.resume(&pending, answer, thread, &guest, now).await;
        Self::settle(attempt, &outcome);
        pace(began, &outcome).await;
        outcome.map(|progress| self.seen_off(progress, (&backend, &name), &guest, now))
    }

    /// Finds the sign-in of a person who comes back from an issuer, to be gone on with by
    /// [`Desk::come_back`]. From now on nobody else can come back to it.
    ///
    /// # Errors
    /// [`ReturnError`].
    pub fn find_away(
        &self,
        return_state: &str,
        browser: &str,
        now: Timestamp,
    ) -> Result<Away, ReturnError> {
        let is_ours = |step: &Waiting| {
            let is_in_time = |since| now.is_near(since, AWAY_MILLIS);
            step.away_since.is_some_and(is_in_time)
                && step.visit.browser.as_deref() == Some(browser)
        };
        let id = return_state.parse::<ConversationId>().ok();
        let found = id.and_then(|id| self.conversations.take_if(&id, now, is_ours));
        match found {
            Some(pending) => Ok(Away(pending)),
            // Either somebody else's, or none at all.
            None if self.conversations.any(now, |step| {
                is_ours(step) || id == Some(step.return_id) && step.away_since.is_some()
            }) =>
            {
                Err(ReturnError::OtherBrowser)
            }
            None => Err(ReturnError::Unknown),
        }
    }

    /// Goes on with the sign-in of a person who came back, with the query they brought.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn come_back(
        &self,
        away: &Away,
        query: BTreeMap<String, String>,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let Away(pending) = away;
        let answer = Answer {
            callback: query,
            ..Answer::default()
        };
        let mut thread = Thread::new(&pending.step.name, &pending.step.visit, guest.turn);
        thread.return_id = pending.step.return_id;
        self.resume(pending, &answer, thread, &guest, now).await
    }

    async fn resume(
        &self,
        pending: &Pending<Waiting>,
        answer: &Answer,
        thread: Thread,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let backend = self
            .backends
            .get(&pending.backend)
            .ok_or(SignInError::NoBackend)?;
        let step = backend.resume(&pending.step.state, answer).await;
        let step = self.told(backend, step)?;
        self.advance(backend, step, thread, guest, now).await
    }

    async fn advance(
        &self,
        backend: &Instance,
        step: Step,
        thread: Thread,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let outcome = self.take(backend, step, thread, guest, now).await;
        self.tally(backend, &outcome);
        outcome
    }

    async fn take(
        &self,
        backend: &Instance,
        step: Step,
        thread: Thread,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Progress, SignInError> {
        let (name, address) = (backend.name(), guest.address);
        let refuse = |entry: Entry, typed: &str| {
            self.refuse(entry.backend(name).typed(typed), guest, now);
        };
        match step {
            Step::Ask { form, state } => {
                let waiting = Waiting {
                    name_field: name_field(&form),
                    ..thread.wait(state, None)
                };
                let id = self.conversations.put(name, waiting, address, now)?;
                Ok(Progress::Ask(id, form))
            }
            Step::Redirect { url, state } => {
                let id = thread.return_id;
                let waiting = thread.wait(state, Some(now));
                self.conversations.put_as(id, name, waiting, address, now)?;
                Ok(Progress::Redirect(id, url))
            }
            Step::Accept(identity) => {
                let invite = thread.visit.invite;
                let guest = Guest {
                    turn: thread.turn,
                    ..guest.clone()
                };
                let signed_in = self.sign_in(backend, &identity, invite, guest, now).await;
                match signed_in {
                    Ok(signed_in) => Ok(Progress::SignedIn(Box::new(signed_in))),
                    Err(error) => {
                        let denied = Entry::new(Event::LoginDenied).reason(error.word());
                        refuse(denied, &thread.name);
                        Err(error)
                    }
                }
            }
            Step::Denied { reason, message } => {
                // What a plugin says is for the log: it may repeat what somebody typed.
                tracing::info!(backend = name, %address, reason, "sign-in denied");
                refuse(
                    Entry::new(Event::LoginDenied).reason("denied"),
                    &thread.name,
                );
                Err(message.map_or(SignInError::Denied, |message| {
                    SignInError::Refused(plain(&message))
                }))
            }
            Step::NotMine => {
                refuse(
                    Entry::new(Event::LoginDenied).reason("not known"),
                    &thread.name,
                );
                Err(SignInError::Denied)
            }
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

/// A person who came back.
#[derive(Debug)]
pub struct Away(Pending<Waiting>);

impl Away {
    /// What they came for.
    pub const fn visit(&self) -> &Visit {
        &self.0.step.visit
    }

    /// The backend they were sent away by.
    pub fn backend(&self) -> &str {
        &self.0.backend
    }
}

/// What runs through a sign-in from step to step.
struct Thread {
    name: String,
    return_id: ConversationId,
    visit: Visit,
    turn: u64,
}

impl Thread {
    fn new(name: &str, visit: &Visit, turn: u64) -> Self {
        Self {
            name: name.to_owned(),
            return_id: ConversationId::random(),
            visit: visit.clone(),
            turn,
        }
    }

    fn wait(self, state: State, away_since: Option<Timestamp>) -> Waiting {
        Waiting {
            state,
            name: self.name,
            name_field: None,
            return_id: self.return_id,
            away_since,
            visit: self.visit,
            turn: self.turn,
        }
    }
}

/// A plugin's sentence for a person: one line, not too long.
fn plain(message: &str) -> String {
    let line = message.chars().filter(|c| !c.is_control());
    line.take(300).collect()
}
