//! The throttle: slows down whoever guesses passwords (THREATS P2, P3).
//!
//! Owns: counting sign-in attempts per (account, network), per network and per account. Does not:
//! know whether an account exists, so unknown names are counted like known ones; keep anything
//! across a restart.
//!
//! An attempt is counted *before* the backend is asked, so parallel guesses cannot overtake the
//! count. A success takes its own counts back and clears its own pair, and nothing else: signing
//! in to one's own account in between buys no guesses at another. A network that signed in to the
//! account lately is not held up by what others did to the account, so an attacker elsewhere
//! cannot lock its owner out.
//!
//! **Invariant:** memory is bounded by [`Limits::max_entries`], whatever the number of names and
//! addresses; the names themselves are not kept.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
};

use parking_lot::Mutex;

use crate::clock::Timestamp;

/// How many failures are forgiven, and for how long they are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures of one account from one network.
    pub per_pair: u32,
    /// Failures from one network, whatever the account.
    pub per_network: u32,
    /// Failures of one account, wherever from.
    pub per_account: u32,
    /// Milliseconds after which a failure is forgotten.
    pub window_millis: u64,
    /// Counters kept at most.
    pub max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_pair: 10,
            per_network: 60,
            per_account: 120,
            window_millis: 900_000,
            max_entries: 100_000,
        }
    }
}

/// Too many attempts: come back after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// For `Retry-After` (RFC 9110 section 10.2.3).
    pub retry_after_seconds: u64,
}

/// An attempt that has been counted and has not come out yet. One that never does (its client went
/// away) is counted until its counter's window is over.
#[derive(Debug)]
#[must_use = "how it came out has to be told"]
pub struct Attempt {
    keys: [u64; 3],
}

#[derive(Clone, Copy)]
struct Counter {
    since: Timestamp,
    failures: u32,
    /// Attempts that have not come out yet.
    pending: u32,
    /// For a pair: when this network last signed in to this account.
    succeeded: Option<Timestamp>,
}

/// The counters.
pub struct Throttle {
    limits: Limits,
    counters: Mutex<HashMap<u64, Counter>>,
    hasher: RandomState,
}

/// How many times as many attempts at once a network may make that signed in to the account lately.
const KNOWN_AT_ONCE: u32 = 8;

/// For how long a network that signed in to an account counts as its owner's.
const KNOWN_MILLIS: u64 = 30 * 24 * 3600 * 1000;

impl Throttle {
    /// A throttle that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Counts an attempt to sign in as `name` from `address`, or refuses it uncounted.
    ///
    /// # Errors
    /// [`Throttled`] says when to come back.
    pub fn attempt(
        &self,
        name: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        let keys = self.keys(name, address);
        let limits = [
            self.limits.per_pair,
            self.limits.per_network,
            self.limits.per_account,
        ];
        let mut counters = self.counters.lock();
        let is_known = counters
            .get(&keys[0])
            .and_then(|pair| pair.succeeded)
            .is_some_and(|at| now.millis_since(at) < KNOWN_MILLIS);
        for (i, (key, limit)) in keys.iter().zip(limits).enumerate() {
            let Some(counter) = counters.get(key) else {
                continue;
            };
            let age = now.millis_since(counter.since);
            let is_over = age >= self.limits.window_millis;
            let failures = if is_over { 0 } else { counter.failures };
            // Programs of one's own may sign in side by side; a stranger's attempts are failures
            // until they come out.
            let at_once = if is_known {
                limit.saturating_mul(KNOWN_AT_ONCE)
            } else {
                limit
            };
            let is_exempt = i == 2 && is_known;
            let is_held_up =
                failures >= limit || failures.saturating_add(counter.pending) >= at_once;
            if is_held_up && !is_exempt {
                let wait = if failures >= limit {
                    self.limits.window_millis - age
                } else {
                    1000
                };
                return Err(Throttled {
                    retry_after_seconds: wait.div_ceil(1000).max(1),
                });
            }
        }
        if counters.len() + keys.len() > self.limits.max_entries {
            make_room(&mut counters, self.limits, now);
        }
        for key in keys {
            let counter = counters.entry(key).or_insert(Counter {
                since: now,
                failures: 0,
                pending: 0,
                succeeded: None,
            });
            if now.millis_since(counter.since) >= self.limits.window_millis {
                (counter.since, counter.failures, counter.pending) = (now, 0, 0);
            }
            counter.pending = counter.pending.saturating_add(1);
        }
        Ok(Attempt { keys })
    }

    /// The attempt was a success: takes its counts back and clears its own pair.
    pub fn succeeded(&self, attempt: Attempt, now: Timestamp) {
        self.come_out(&attempt, |counter, is_pair| {
            if is_pair {
                (counter.since, counter.failures, counter.succeeded) = (now, 0, Some(now));
            }
        });
    }

    /// The attempt came to nothing through no fault of the person: takes its counts back.
    pub fn withdrawn(&self, attempt: Attempt) {
        self.come_out(&attempt, |_, _| {});
    }

    /// The attempt failed.
    pub fn failed(&self, attempt: Attempt) {
        self.come_out(&attempt, |counter, _| {
            counter.failures = counter.failures.saturating_add(1)
        });
    }

    fn come_out(&self, attempt: &Attempt, mut note: impl FnMut(&mut Counter, bool)) {
        let mut counters = self.counters.lock();
        for (i, key) in attempt.keys.iter().enumerate() {
            if let Some(counter) = counters.get_mut(key) {
                counter.pending = counter.pending.saturating_sub(1);
                note(counter, i == 0);
            }
        }
    }

    fn keys(&self, name: &str, address: IpAddr) -> [u64; 3] {
        let name = name.trim().to_lowercase();
        let network = network(address);
        [
            self.hasher.hash_one((0_u8, &name, network)),
            self.hasher.hash_one((1_u8, network)),
            self.hasher.hash_one((2_u8, &name)),
        ]
    }
}

/// Whom an address belongs to: an IPv4 address, or an IPv6 /64, which is what one customer has.
pub(super) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6) >> 64 << 64,
    }
}

/// Forgets what is past its window, and if that is not enough, the mildest half: a spray of new
/// addresses must not push out the counters that are holding somebody back.
fn make_room(counters: &mut HashMap<u64, Counter>, limits: Limits, now: Timestamp) {
    let lives = |c: &Counter| now.millis_since(c.since) < limits.window_millis;
    counters.retain(|_, c| lives(c));
    if counters.len() + 3 > limits.max_entries {
        let mut failures: Vec<u32> = counters.values().map(|c| c.failures).collect();
        let middle = failures.len() / 2;
        let (_, median, _) = failures.select_nth_unstable(middle);
        let (median, mut spare) = (*median, limits.max_entries / 2);
        counters.retain(|_, c| {
            let keep = c.failures > median || (c.failures == median && spare > 0);
            spare = spare.saturating_sub(usize::from(keep && c.failures == median));
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: Limits = Limits {
        per_pair: 3,
        per_network: 6,
        per_account: 8,
        window_millis: 60_000,
        max_entries: 300,
    };
    const T0: Timestamp = Timestamp::from_seconds(1_000_000);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn fail(throttle: &Throttle, name: &str, from: IpAddr, times: usize) {
        for _ in 0..times {
            let attempt = throttle.attempt(name, from, T0).unwrap();
            throttle.failed(attempt);
        }
    }

    #[test]
    fn a_pair_is_held_up_after_its_limit_and_let_in_after_the_window() {
        let throttle = Throttle::new(LIMITS);
        fail(&throttle, "alice", ip(1), 3);
        assert_eq!(
            throttle.attempt("alice", ip(1), T0).unwrap_err(),
            Throttled {
                retry_after_seconds: 60
            }
        );
        assert!(
            throttle
                .attempt("alice", ip(1), T0.plus_seconds(60))
                .is_ok()
        );
    }

    #[test]
    fn another_spelling_of_the_name_is_the_same_account() {
        let throttle = Throttle::new(LIMITS);
        fail(&throttle, "alice", ip(1), 1);
        fail(&throttle, "ALICE", ip(1), 1);
        fail(&throttle, " Alice\t", ip(1), 1);
        assert!(throttle.attempt("aLiCe", ip(1), T0).is_err());
    }

    #[test]
    fn many_names_from_one_network_are_held_up() {
        let throttle = Throttle::new(LIMITS);
        for i in 0..6 {
            fail(&throttle, &format!("user{i}"), ip(1), 1);
        }
        assert!(throttle.attempt("somebody-else", ip(1), T0).is_err());
        assert!(throttle.attempt("somebody-else", ip(2), T0).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let throttle = Throttle::new(LIMITS);
        for i in 0..3 {
            fail(
                &throttle,
                "alice",
                format!("2001:db8::{i}").parse().unwrap(),
                1,
            );
        }
        assert!(
            throttle
                .attempt("alice", "2001:db8::99".parse().unwrap(), T0)
                .is_err()
        );
        assert!(
            throttle
                .attempt("alice", "2001:db8:0:1::99".parse().unwrap(), T0)
                .is_ok()
        );
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_same_network() {
        let throttle = Throttle::new(LIMITS);
        fail(&throttle, "alice", ip(1), 3);
        assert!(
            throttle
                .attempt("alice", "::ffff:10.0.0.1".parse().unwrap(), T0)
                .is_err()
        );
    }

    #[test]
    fn ones_own_success_buys_no_guesses_at_another_account() {
        let throttle = Throttle::new(LIMITS);
        for _ in 0..3 {
            fail(&throttle, "victim", ip(1), 1);
            let own = throttle.attempt("attacker", ip(1), T0).unwrap();
            throttle.succeeded(own, T0);
        }
        assert!(throttle.attempt("victim", ip(1), T0).is_err());
    }

    #[test]
    fn an_account_attacked_from_everywhere_is_held_up_except_where_its_owner_signs_in() {
        let throttle = Throttle::new(LIMITS);
        let owner = throttle.attempt("alice", ip(200), T0).unwrap();
        throttle.succeeded(owner, T0);
        for i in 0..4 {
            fail(&throttle, "alice", ip(i), 2);
        }
        assert!(
            throttle.attempt("alice", ip(99), T0).is_err(),
            "a new network"
        );
        assert!(
            throttle.attempt("alice", ip(200), T0).is_ok(),
            "the owner's network"
        );
    }

    #[test]
    fn parallel_guesses_do_not_overtake_the_count() {
        let throttle = Throttle::new(LIMITS);
        let admitted = std::thread::scope(|scope| {
            let guesses: Vec<_> = (0..50)
                .map(|_| scope.spawn(|| throttle.attempt("alice", ip(1), T0).is_ok()))
                .collect();
            guesses
                .into_iter()
                .filter_map(|guess| guess.join().ok())
                .filter(|admitted| *admitted)
                .count()
        });
        assert_eq!(admitted, 3);
    }

    #[test]
    fn an_account_is_signed_in_to_side_by_side_where_it_was_before() {
        let throttle = Throttle::new(Limits {
            per_network: 100,
            ..LIMITS
        });
        let first = throttle.attempt("alice", ip(1), T0).unwrap();
        throttle.succeeded(first, T0);
        let attempts: Vec<_> = (0..24)
            .map(|_| throttle.attempt("alice", ip(1), T0).unwrap())
            .collect();
        assert!(throttle.attempt("alice", ip(1), T0).is_err());
        for attempt in attempts {
            throttle.succeeded(attempt, T0);
        }
        fail(&throttle, "alice", ip(1), 3);
        assert!(
            throttle.attempt("alice", ip(1), T0).is_err(),
            "guesses are counted all the same"
        );
    }

    #[test]
    fn successes_never_add_up_to_a_refusal() {
        let throttle = Throttle::new(LIMITS);
        for _ in 0..100 {
            let attempt = throttle.attempt("alice", ip(1), T0).unwrap();
            throttle.succeeded(attempt, T0);
        }
    }

    #[test]
    fn a_spray_of_addresses_neither_grows_memory_nor_frees_an_attacker() {
        let throttle = Throttle::new(LIMITS);
        fail(&throttle, "alice", ip(1), 3);
        for i in 0..5_000_u32 {
            fail(
                &throttle,
                &format!("n{i}"),
                IpAddr::from(i.to_be_bytes()),
                1,
            );
        }
        assert!(throttle.counters.lock().len() <= LIMITS.max_entries);
        assert!(throttle.attempt("alice", ip(1), T0).is_err());
    }
}
