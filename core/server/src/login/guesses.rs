//! What the desk counts, and what becomes of it.
//!
//! Owns: which outcome is a failure, and remembering the devices of those who got in. Does not: count
//! (`throttle` does).
//!
//! **Invariants:** what is told like a wrong password is counted like one, so that waiting tells no
//! more than the answer; a policy that does not admit somebody, and says so, is no wrong password.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::{
    Desk, Guest, Progress, SignInError, SignedIn,
    throttle::{
        Attempt, Class, Guess, Rate,
        familiar::{self, Familiar},
    },
};
use crate::{
    account::AccountError,
    audit::{Entry, Event},
    backend::Instance,
    clock::Timestamp,
    id::Uid,
    metrics::Logins,
};

/// Refusals are told at the next of these moments after the request came: the time that passed until
/// then may tell who knows a name (THREATS P1).
const PACE: Duration = Duration::from_millis(500);

impl Desk {
    /// Counts a guess at the password of a name at a backend, before it is looked at.
    ///
    /// # Errors
    /// [`SignInError::Throttled`].
    pub async fn guess(
        &self,
        (backend, name): (&str, &str),
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        let mark = self.familiar((backend, name), guest, now);
        let mut others = self.password_takers().filter(|own| own.name() != backend);
        let guess = Guess {
            class: Class::SignIn,
            name,
            backend,
            is_shared: others.next().is_some(),
            address: guest.address,
            device: mark.map(|mark| mark.device),
        };
        let counted = self.throttle.attempt_in_turn(&guess, now).await;
        counted.map_err(SignInError::Throttled)
    }

    /// Counts an attempt to sign in.
    pub(super) async fn attempt(
        &self,
        (backend, name): (&str, &str),
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        let counted = self.guess((backend, name), guest, now).await;
        counted.inspect_err(|error| {
            self.refuse(Entry::new(Event::Throttled).typed(name), guest, now);
            self.note(backend, error);
        })
    }

    /// The backend a password is for: the named one, or the only one that takes any. [`Logins::NO_BACKEND`]
    /// where there is no such, or several: then it is for whichever knows the name first.
    pub(super) fn meant(&self, named: Option<&str>) -> &str {
        let is_meant = |own: &&Instance| named.is_none_or(|name| own.name() == name);
        let mut meant = self.password_takers().filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(only), None) => only.name(),
            _ => Logins::NO_BACKEND,
        }
    }

    /// Those that may take a password. Who sends people elsewhere is not asked: it may be waiting for
    /// somebody who does not answer.
    pub(super) fn password_takers(&self) -> impl Iterator<Item = &Instance> {
        let backends = self.backends.interactive();
        backends.filter(|backend| !backend.can("redirect"))
    }

    /// Counts a guess at a code of ours: at one of `whose`, or, when that is empty, at any.
    ///
    /// # Errors
    /// [`SignInError::Throttled`].
    pub fn guess_code(
        &self,
        whose: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        let guess = Guess {
            class: Class::Code,
            name: whose,
            backend: Logins::NO_BACKEND,
            is_shared: false,
            address,
            device: None,
        };
        let counted = self.throttle.attempt(&guess, now);
        counted.map_err(SignInError::Throttled)
    }

    /// Counts something a network makes.
    ///
    /// # Errors
    /// [`SignInError::Throttled`].
    pub fn charge(&self, rate: Rate, address: IpAddr, now: Timestamp) -> Result<(), SignInError> {
        let taken = self.throttle.take(rate, address, now);
        taken.map_err(SignInError::Throttled)
    }

    /// What becomes of a counted guess. A step on the way takes back its own count and clears
    /// nothing, so that a right password buys no guesses at the second factor.
    pub(super) fn settle(attempt: Attempt, outcome: &Result<Progress, SignInError>) {
        match outcome {
            Ok(Progress::SignedIn(_)) => attempt.succeeded(),
            Err(error) if is_failure(error) => attempt.failed(),
            _ => attempt.withdrawn(),
        }
    }

    /// Gives the device of somebody who signed in as `whose`, a name at a backend, its mark, and remembers
    /// its network.
    pub fn befriend(
        &self,
        login: &mut SignedIn,
        uid: &Uid,
        whose: (&str, &str),
        guest: &Guest,
        now: Timestamp,
    ) {
        let (backend, name) = whose;
        self.throttle.note_known(backend, name, guest.address, now);
        let known = self.familiar(whose, guest, now).filter(|m| m.uid == *uid);
        if known.is_none_or(|mark| mark.is_old(now)) {
            let device = known.map(|mark| mark.device);
            let mark = familiar::mark(&self.live.hasher, uid, whose, device, now);
            login.devices = Some(familiar::add(guest.devices.as_deref(), &mark));
        }
    }

    /// Remembers the device of somebody who typed their name and got in, at the backend that was meant.
    pub(super) fn seen_off(
        &self,
        progress: Progress,
        whose: (&str, &str),
        guest: &Guest,
        now: Timestamp,
    ) -> Progress {
        match progress {
            Progress::SignedIn(mut login)
                if whose.0 != Logins::NO_BACKEND && !whose.1.is_empty() =>
            {
                let uid = login.uid;
                self.befriend(&mut login, &uid, whose, guest, now);
                Progress::SignedIn(login)
            }
            progress => progress,
        }
    }

    fn familiar(&self, whose: (&str, &str), guest: &Guest, now: Timestamp) -> Option<Familiar> {
        let cookie = guest.devices.as_deref()?;
        let mark = familiar::find(&self.live.hasher, cookie, whose, now)?;
        // Its account may be gone.
        self.live.accounts.get(&mark.uid).map(|_| mark)
    }
}

/// Waits with a refusal, so that the time it took tells nothing: what happens within one beat is not told
/// apart. Work that goes past a beat for one name and not for another still is; see `backend/hashing.rs`
/// for what is left of that. Nothing is held meanwhile but the connection: the guess has come out.
pub(super) async fn pace(began: Instant, outcome: &Result<Progress, SignInError>) {
    if outcome.as_ref().is_err_and(is_failure) {
        tokio::time::sleep_until(began + next_beat(began.elapsed())).await;
    }
}

/// The first beat after so much time: never at once, never between two.
fn next_beat(elapsed: Duration) -> Duration {
    let beats = elapsed.as_millis() / PACE.as_millis() + 1;
    PACE.saturating_mul(u32::try_from(beats).unwrap_or(u32::MAX))
}

/// Whether a refusal is a wrong guess, or is told like one.
fn is_failure(error: &SignInError) -> bool {
    match error {
        SignInError::Denied | SignInError::Refused(_) => true,
        SignInError::Account(error) => !matches!(
            error,
            AccountError::NotAdmitted
                | AccountError::Domain(_)
                | AccountError::Group
                | AccountError::Reserved(_)
                | AccountError::Name(_)
                | AccountError::NameTaken
                | AccountError::IdentityTaken
                | AccountError::AnotherSubject
                | AccountError::Collision
        ),
        SignInError::Expired
        | SignInError::Throttled(_)
        | SignInError::Busy
        | SignInError::NoBackend
        | SignInError::Unavailable(_)
        | SignInError::Store(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_on_the_half_second() {
        for (elapsed, told) in [
            (0, 500),
            (1, 500),
            (44, 500),
            (499, 500),
            (500, 1000),
            (1234, 1500),
        ] {
            assert_eq!(
                next_beat(Duration::from_millis(elapsed)),
                Duration::from_millis(told)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_wrong_guess_is_told_at_once() {
        let told_after = async |error: SignInError| {
            let began = Instant::now();
            pace(began, &Err(error)).await;
            began.elapsed()
        };
        assert_eq!(told_after(SignInError::Denied).await, PACE);
        assert_eq!(told_after(SignInError::Busy).await, Duration::ZERO);
        let policy = told_after(AccountError::NotAdmitted.into()).await;
        assert_eq!(policy, Duration::ZERO);
    }

    #[test]
    fn a_policy_is_no_wrong_password_and_what_is_told_like_one_is() {
        for error in [
            AccountError::NotAdmitted,
            AccountError::Domain("x.org".into()),
            AccountError::Group,
            AccountError::NameTaken,
            AccountError::AnotherSubject,
        ] {
            assert!(!is_failure(&error.into()));
        }
        // Both are told as "invalid username or password".
        for error in [AccountError::Disabled, AccountError::NotFound] {
            assert!(is_failure(&error.into()));
        }
        assert!(is_failure(&SignInError::Denied) && !is_failure(&SignInError::Busy));
    }
}
