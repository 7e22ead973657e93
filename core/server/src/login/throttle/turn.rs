//! Waiting for one's turn, where an account is signed in to side by side.
//!
//! Programs of one's own sign in at the same time, and no more guesses may be under way than failures
//! are free. So who comes from a device or network that signed in to the account before, and finds
//! others under way, waits until one of them has come out: a right password lets the next one in,
//! wrong ones use up what is free.
//!
//! **Invariants:** nobody waits for longer than [`LONGEST`]; no more than [`PLACES`] wait.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::{Notify, Semaphore};

use super::{Attempt, Guess, Throttle, Throttled};
use crate::clock::Timestamp;

const LONGEST: Duration = Duration::from_secs(3);

const PLACES: usize = 128;

pub(super) struct Turns {
    came_out: Notify,
    places: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            came_out: Notify::new(),
            places: Semaphore::new(PLACES),
        }
    }
}

impl Turns {
    /// A guess has come out.
    pub(super) fn next(&self) {
        self.came_out.notify_waiters();
    }
}

impl Throttle {
    /// As [`Throttle::attempt`]; somebody who was here before waits for their turn.
    ///
    /// # Errors
    /// [`Throttled`] says when to come back.
    pub async fn attempt_in_turn(
        self: &Arc<Self>,
        guess: &Guess<'_>,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        let (mut place, mut throttled) = (None, Throttled::millis(1));
        let in_turn = async {
            loop {
                let mut turn = pin!(self.turns.came_out.notified());
                turn.as_mut().enable();
                let refused = match self.count(guess, now) {
                    Ok(attempt) => return Ok(attempt),
                    Err(refused) => refused,
                };
                throttled = refused.throttled;
                if place.is_none() {
                    place = self.turns.places.try_acquire().ok();
                }
                if !refused.is_crowd || place.is_none() {
                    return Err(throttled);
                }
                turn.await;
            }
        };
        let came = tokio::time::timeout(LONGEST, in_turn).await;
        came.unwrap_or(Err(throttled))
    }
}
