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
    clock::Timestamp,
    id::Uid,
};

/// Refusals are told at the next of these moments after the request came: the time that passed until
/// then may tell who knows a name (THREATS P1).
const PACE: Duration = Duration::from_millis(500);

impl Desk {
    /// Counts a guess at a password of `name`, before it is looked at.
    ///
    /// # Errors
    /// [`SignInError::Throttled`].
    pub async fn guess(
        &self,
        name: &str,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        let guess = Guess {
            class: Class::SignIn,
            name,
            address: guest.address,
            device: self.familiar(name, guest, now).map(|mark| mark.device),
        };
        let counted = self.throttle.attempt_in_turn(&guess, now).await;
        counted.map_err(SignInError::Throttled)
    }

    /// Counts an attempt to sign in.
    pub(super) async fn attempt(
        &self,
        backend: &str,
        name: &str,
        guest: &Guest,
        now: Timestamp,
    ) -> Result<Attempt, SignInError> {
        self.guess(name, guest, now).await.inspect_err(|error| {
            self.refuse(Entry::new(Event::Throttled).typed(name), guest, now);
            self.note(backend, error);
        })
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

    /// Gives the device of somebody who signed in as `name` its mark, and remembers its network.
    pub fn befriend(
        &self,
        login: &mut SignedIn,
        uid: &Uid,
        name: &str,
        guest: &Guest,
        now: Timestamp,
    ) {
        self.throttle.note_known(name, guest.address, now);
        let known = self.familiar(name, guest, now).filter(|m| m.uid == *uid);
        if known.is_none_or(|mark| mark.is_old(now)) {
            let device = known.map(|mark| mark.device);
            let mark = familiar::mark(&self.live.hasher, uid, name, device, now);
            login.devices = Some(familiar::add(guest.devices.as_deref(), &mark));
        }
    }

    /// Remembers the device of somebody who typed their name and got in.
    pub(super) fn seen_off(
        &self,
        progress: Progress,
        name: &str,
        guest: &Guest,
        now: Timestamp,
    ) -> Progress {
        match progress {
            Progress::SignedIn(mut login) if !name.is_empty() => {
                let uid = login.uid;
                self.befriend(&mut login, &uid, name, guest, now);
                Progress::SignedIn(login)
            }
            progress => progress,
        }
    }

    fn familiar(&self, name: &str, guest: &Guest, now: Timestamp) -> Option<Familiar> {
        let cookie = guest.devices.as_deref()?;
        let mark = familiar::find(&self.live.hasher, cookie, name, now)?;
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
