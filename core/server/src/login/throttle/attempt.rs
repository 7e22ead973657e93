//! A guess under way, and how it comes out.

use std::{fmt, sync::Arc};

use super::{Class, Keys, Mark, Throttle, limits::Scope};
use crate::clock::Timestamp;

/// A guess that has been counted and has not come out yet. Dropped, it is a failure.
#[must_use = "how it came out has to be told"]
pub struct Attempt {
    pub(super) throttle: Arc<Throttle>,
    pub(super) keys: Option<Keys>,
    pub(super) at: Timestamp,
}

impl Attempt {
    /// It was right: takes its counts back and clears its own pair.
    pub fn succeeded(self) {
        self.come_out(Outcome::Succeeded);
    }

    /// It was none, or came to nothing through no fault of the person: takes its counts back.
    pub fn withdrawn(self) {
        self.come_out(Outcome::Withdrawn);
    }

    /// It was wrong.
    pub fn failed(self) {
        self.come_out(Outcome::Failed);
    }

    fn come_out(mut self, outcome: Outcome) {
        if let Some(keys) = self.keys.take() {
            self.throttle.come_out(&keys, self.at, outcome);
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(keys) = self.keys.take() {
            self.throttle.come_out(&keys, self.at, Outcome::Failed);
        }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Succeeded,
    Failed,
    Withdrawn,
}

impl Throttle {
    fn come_out(&self, keys: &Keys, at: Timestamp, outcome: Outcome) {
        let mut state = self.state.lock();
        let limits = state.limits;
        for (scope, key) in keys.each.into_iter().flatten() {
            let rule = scope.rule(&limits);
            let Some(mark) = state.table(scope).find(key) else {
                continue;
            };
            mark.pending = mark.pending.saturating_sub(1);
            match outcome {
                Outcome::Withdrawn => {}
                Outcome::Succeeded => {
                    // Of all backends: it may have been somebody else at another.
                    if !(keys.is_shared && scope == Scope::Account) {
                        mark.row = 0;
                    }
                    if matches!(scope, Scope::Pair | Scope::Device) {
                        let pending = mark.pending;
                        *mark = Mark {
                            pending,
                            ..Mark::default()
                        };
                    }
                }
                Outcome::Failed => {
                    rule.fail(mark, scope.row(&limits), at);
                    let until = Timestamp::from_millis(mark.held_until);
                    if until > at {
                        state.labels.note(key, scope, keys, until, at);
                        if scope == Scope::Account {
                            let hash = self.fingerprint(keys.class, &keys.name);
                            state.saving.note(key, hash);
                        }
                    }
                }
            }
        }
        if matches!(outcome, Outcome::Succeeded) && keys.class == Class::SignIn {
            state.known.note(keys.own, keys.network, at);
        }
        drop(state);
        self.turns.next();
    }
}
