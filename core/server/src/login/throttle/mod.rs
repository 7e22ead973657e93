//! The throttle: slows down whoever guesses, and whoever makes too much of anything (THREATS P2, P3,
//! A4, T9).
//!
//! Owns: counting guesses and what strangers may make. Does not: know whether an account exists, so
//! unknown names are counted like known ones; know HTTP.
//!
//! A guess is counted *before* it is looked at, so parallel guesses cannot overtake the count, and a
//! refusal says nothing of whether it was right. It is counted against
//!
//! | key | who waits |
//! |---|---|
//! | account and network | somebody who tries again and again |
//! | network, and the wider one around it | somebody who tries many accounts |
//! | account | strangers to it, when many networks try it together |
//!
//! or, when it comes from a device that signed in to this account before ([`familiar`]), against
//! that device and nothing else: whatever others do, from wherever, does not hold its owner up. A
//! network that signed in to the account lately is no stranger to it either.
//!
//! A name is counted in one spelling, whichever backend is asked. What a success earns is earned for
//! the very name at the backend that took it: another spelling, or the same name at another backend,
//! may be somebody else. It takes its own counts back and clears its own pair, and nothing else:
//! signing in to one's own account in between buys no guesses at another. An [`Attempt`] that never
//! comes out, because its client went away, is a failure.
//!
//! **Invariants:** memory is bounded ([`Throttle::held`] says how much is in use), and a flood of
//! new keys pushes out nobody who has more to lose ([`table`]); names are not kept, but of those who
//! wait ([`held`]).

mod attempt;
mod buckets;
pub mod familiar;
mod held;
mod known;
mod limits;
mod name;
mod network;
mod rule;
mod saved;
mod table;
mod turn;

use std::{collections::hash_map::RandomState, hash::BuildHasher, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::{
    clock::Timestamp,
    token::hash::{Hasher, Kind},
};
use held::Labels;
use known::Known;
use limits::{Scope, around};
use rule::Mark;
use saved::Saving;
use table::Table;
use turn::Turns;

pub use attempt::Attempt;
pub use held::{Held, HeldKey, Which};
pub use limits::Limits;
pub use network::Network;
pub use rule::{Row, Rule};
pub(crate) use saved::{SAVED, save};

/// What is guessed at. Each has counts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passwords, and whatever else a backend asks for.
    SignIn,
    /// Codes that we made: user codes, the setup code, invites, sign-in links.
    Code,
}

/// What a network may make only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Something that waits for a person: a sign-in, a ticket, a device grant.
    Begin,
    /// An account.
    Register,
    /// Any request that writes and has no credential.
    Write,
}

/// A guess that is about to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Guess<'a> {
    /// At what.
    pub class: Class,
    /// At whose, as it was typed. Empty: at anybody's.
    pub name: &'a str,
    /// At which backend, or at `none` in particular.
    pub backend: &'a str,
    /// Whether another one takes passwords, too: the name may be somebody else's there.
    pub is_shared: bool,
    /// Where from.
    pub address: IpAddr,
    /// By a device that signed in to this account before.
    pub device: Option<[u8; 16]>,
}

/// Too many: come back after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// For `Retry-After` (RFC 9110 section 10.2.3).
    pub retry_after_seconds: u64,
}

impl Throttled {
    fn millis(wait: u64) -> Self {
        Self {
            retry_after_seconds: wait.div_ceil(1000).max(1),
        }
    }
}

/// A guess that is not counted.
#[derive(Clone, Copy, Debug)]
struct Refused {
    throttled: Throttled,
    /// Only because others of the same device, or of a network that is known, are under way.
    is_crowd: bool,
}

/// What a guess counts against.
#[derive(Clone, Debug)]
struct Keys {
    class: Class,
    name: String,
    address: IpAddr,
    account: u64,
    /// The account as whoever signs in to it means it: the very name, at this backend.
    own: u64,
    is_shared: bool,
    network: u32,
    each: [Option<(Scope, u64)>; 4],
}

struct State {
    limits: Limits,
    pairs: Table,
    accounts: Table,
    networks: Table,
    known: Known,
    labels: Labels,
    saving: Saving,
}

impl State {
    fn table(&mut self, scope: Scope) -> &mut Table {
        match scope {
            Scope::Pair | Scope::Device => &mut self.pairs,
            Scope::Account => &mut self.accounts,
            Scope::Network | Scope::Around => &mut self.networks,
        }
    }
}

/// The counters.
pub struct Throttle {
    state: Mutex<State>,
    rates: Mutex<(Limits, Table)>,
    random: RandomState,
    hasher: Arc<Hasher>,
    turns: Turns,
}

impl Throttle {
    /// A throttle that has seen nothing yet. Accounts are known by hashes of `hasher`'s, which are
    /// the same after a restart.
    pub fn new(limits: Limits, hasher: Arc<Hasher>) -> Self {
        let table = || Table::new(limits.max_entries);
        Self {
            state: Mutex::new(State {
                limits,
                pairs: table(),
                accounts: table(),
                networks: table(),
                known: Known::new(limits.max_entries),
                labels: Labels::default(),
                saving: Saving::default(),
            }),
            rates: Mutex::new((limits, table())),
            random: RandomState::new(),
            hasher,
            turns: Turns::default(),
        }
    }

    /// Other limits from now on; what was counted stays. How many keys are kept stays too.
    pub fn set_limits(&self, limits: Limits) {
        self.state.lock().limits = limits;
        self.rates.lock().0 = limits;
    }

    /// Counts a guess, or refuses it uncounted.
    ///
    /// # Errors
    /// [`Throttled`] says when to come back.
    pub fn attempt(
        self: &Arc<Self>,
        guess: &Guess<'_>,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        self.count(guess, now).map_err(|refused| refused.throttled)
    }

    fn count(self: &Arc<Self>, guess: &Guess<'_>, now: Timestamp) -> Result<Attempt, Refused> {
        let keys = self.keys(guess);
        let mut state = self.state.lock();
        let limits = state.limits;
        let is_known = state.known.contains(keys.own, keys.network, now);
        for (scope, key) in keys.each.into_iter().flatten() {
            if scope == Scope::Account && is_known {
                continue;
            }
            let rule = scope.rule(&limits);
            let Some(mark) = state.table(scope).find(key) else {
                continue;
            };
            if let Some(wait) = rule.wait(mark, scope.row(&limits), now) {
                let is_own = scope == Scope::Device || scope == Scope::Pair && is_known;
                return Err(Refused {
                    throttled: Throttled::millis(wait),
                    is_crowd: is_own && mark.held_until <= now.millis(),
                });
            }
        }
        let mut counted = keys.clone();
        for place in &mut counted.each {
            let Some((scope, key)) = *place else { continue };
            let account = short(keys.account);
            let network = match scope {
                Scope::Around => self.short(Network::around(keys.address)),
                _ => keys.network,
            };
            match state.table(scope).make(key, account, network, now) {
                Some(mark) => mark.pending = mark.pending.saturating_add(1),
                None => *place = None,
            }
        }
        let is_counted =
            counted.each.iter().flatten().count() == keys.each.iter().flatten().count();
        drop(state);
        let attempt = Attempt {
            throttle: Arc::clone(self),
            keys: Some(counted),
            at: now,
        };
        if is_counted {
            Ok(attempt)
        } else {
            // Nowhere to count it: everything there is under way.
            attempt.withdrawn();
            Err(Refused {
                throttled: Throttled::millis(1000),
                is_crowd: false,
            })
        }
    }

    /// Counts something a network makes, or refuses it.
    ///
    /// # Errors
    /// [`Throttled`] says when to come back.
    pub fn take(&self, rate: Rate, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        let (own, wide) = (Network::of(address), Network::around(address));
        let mut rates = self.rates.lock();
        let (limits, table) = &mut *rates;
        let rule = match rate {
            Rate::Begin => limits.begin,
            Rate::Register => limits.register,
            Rate::Write => limits.write,
        };
        let both = [(own, rule), (wide, around(rule))];
        let refused = both.into_iter().find_map(|(network, rule)| {
            let key = self.random.hash_one((rate, network));
            let mark = table.make(key, 0, self.short(network), now)?;
            let wait = rule.take(mark, now).err()?;
            Some((key, network, wait))
        });
        drop(rates);
        let Some((key, network, wait)) = refused else {
            return Ok(());
        };
        let until = Timestamp::from_millis(now.millis().saturating_add(wait));
        self.state
            .lock()
            .labels
            .note_rate(key, rate, network, until, now);
        Err(Throttled::millis(wait))
    }

    /// A name was signed in to at a backend from an address, in some way that is no guess.
    pub fn note_known(&self, backend: &str, name: &str, address: IpAddr, now: Timestamp) {
        let own = self.own(backend, name);
        let network = self.short(Network::of(address));
        self.state.lock().known.note(own, network, now);
    }

    /// The key of the account as whoever signs in to it means it: another spelling, or the same name at
    /// another backend, may be somebody else's.
    fn own(&self, backend: &str, name: &str) -> u64 {
        self.random.hash_one((backend, name)).max(1)
    }

    fn keys(&self, guess: &Guess<'_>) -> Keys {
        let class = guess.class;
        let (name, account) = self.account(class, guess.name);
        let account_own = self.own(guess.backend, guess.name);
        let (own, wide) = (Network::of(guess.address), Network::around(guess.address));
        let key = |scope: Scope, what: &dyn Fn() -> u64| Some((scope, what()));
        let each = match guess.device {
            Some(device) if class == Class::SignIn => {
                let of_device = || self.random.hash_one((Scope::Device, account_own, device));
                [key(Scope::Device, &of_device), None, None, None]
            }
            _ => {
                let pair = || {
                    self.random
                        .hash_one((Scope::Pair, account, guess.backend, own))
                };
                let network = || self.random.hash_one((Scope::Network, class, own));
                let around = || self.random.hash_one((Scope::Around, class, wide));
                let is_somebodys = !name.is_empty();
                [
                    key(Scope::Pair, &pair).filter(|_| is_somebodys || class == Class::SignIn),
                    key(Scope::Network, &network),
                    key(Scope::Around, &around),
                    Some((Scope::Account, account)).filter(|_| is_somebodys),
                ]
            }
        };
        Keys {
            class,
            name,
            address: guess.address,
            account,
            own: account_own,
            is_shared: guess.is_shared,
            network: self.short(own),
            each,
        }
    }

    /// The one spelling of a name, and the key of its account.
    fn account(&self, class: Class, name: &str) -> (String, u64) {
        let name = name::spelling(name);
        let hash = self.fingerprint(class, &name);
        let first = hash.first_chunk::<8>().copied().unwrap_or_default();
        (name, u64::from_le_bytes(first).max(1))
    }

    fn fingerprint(&self, class: Class, spelling: &str) -> [u8; 32] {
        let class: &[u8] = match class {
            Class::SignIn => b"sign-in\0",
            Class::Code => b"code\0",
        };
        let text = [class, spelling.as_bytes()].concat();
        self.hasher.hash(Kind::Throttle, &text)
    }

    fn short(&self, network: Network) -> u32 {
        short(self.random.hash_one(network))
    }
}

fn short(hash: u64) -> u32 {
    (hash >> 16) as u32
}

/// Whose an address is: an IPv4 address, or an IPv6 /64, which is what one customer has.
pub(super) fn network(address: IpAddr) -> u128 {
    Network::of(address).first()
}

#[cfg(test)]
mod tests;
