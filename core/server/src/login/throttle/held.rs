//! Who waits: what an operator may see of the throttle, and clear.
//!
//! **Invariant:** names are kept of keys that wait, of at most [`MOST`] of them, and no longer than
//! they do.

use std::collections::HashMap;

use serde::Serialize;

use super::{Class, Keys, Network, Rate, Scope, Throttle, short, table::Place};
use crate::clock::Timestamp;

const MOST: usize = 4096;

/// A key that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldKey {
    /// What is limited: `sign-in`, `code`, `begin`, `register` or `write`.
    pub class: &'static str,
    /// Who waits: `pair` (this network at this account), `device`, `account` (strangers to it),
    /// `network` or `wider-network`.
    pub scope: &'static str,
    /// The account's name as it is counted.
    pub account: Option<String>,
    /// The network.
    pub network: Option<String>,
    /// Failures that are not forgotten.
    pub failures: Option<u32>,
    /// Seconds until the next attempt.
    pub retry_after_seconds: u64,
}

/// Who waits, and what it takes to know.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// The longest wait first.
    pub held: Vec<HeldKey>,
    /// Keys that are kept, by sort.
    pub tracked: HashMap<&'static str, usize>,
    /// Bytes of memory in use.
    pub bytes: usize,
}

/// Whose waits to clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of an account, from everywhere.
    Account(String),
    /// Those of a network, at every account, and of the wider one around it.
    Network(Network),
    /// All there are.
    All,
}

struct Label {
    class: &'static str,
    scope: &'static str,
    of: Option<Scope>,
    account: Option<String>,
    network: Option<Network>,
    until: Timestamp,
}

#[derive(Default)]
pub(super) struct Labels(HashMap<u64, Label>);

impl Labels {
    pub(super) fn note(
        &mut self,
        key: u64,
        scope: Scope,
        keys: &Keys,
        until: Timestamp,
        now: Timestamp,
    ) {
        let (name, own) = (Some(keys.name.clone()), Some(Network::of(keys.address)));
        let (text, account, network) = match scope {
            Scope::Pair => ("pair", name, own),
            Scope::Device => ("device", name, None),
            Scope::Account => ("account", name, None),
            Scope::Network => ("network", None, own),
            Scope::Around => ("wider-network", None, Some(Network::around(keys.address))),
        };
        let label = Label {
            class: match keys.class {
                Class::SignIn => "sign-in",
                Class::Code => "code",
            },
            scope: text,
            of: Some(scope),
            account,
            network,
            until,
        };
        self.put(key, label, now);
    }

    pub(super) fn note_rate(
        &mut self,
        key: u64,
        rate: Rate,
        network: Network,
        until: Timestamp,
        now: Timestamp,
    ) {
        let label = Label {
            class: match rate {
                Rate::Begin => "begin",
                Rate::Register => "register",
                Rate::Write => "write",
            },
            scope: match network == Network::of(network.address()) {
                true => "network",
                false => "wider-network",
            },
            of: None,
            account: None,
            network: Some(network),
            until,
        };
        self.put(key, label, now);
    }

    fn put(&mut self, key: u64, label: Label, now: Timestamp) {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, label| label.until > now);
        }
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.insert(key, label);
        }
    }
}

impl Throttle {
    /// Who waits.
    pub fn held(&self, now: Timestamp) -> Held {
        let mut state = self.state.lock();
        state.labels.0.retain(|_, label| label.until > now);
        let limits = state.limits;
        let mut labels = std::mem::take(&mut state.labels.0);
        let mut held = Vec::with_capacity(labels.len());
        labels.retain(|key, label| {
            let mut failures = None;
            if let Some(scope) = label.of {
                // Cleared since, or given way.
                let mark = state.table(scope).find(*key);
                let Some(mark) = mark.filter(|mark| mark.held_until > now.millis()) else {
                    return false;
                };
                failures = Some(scope.rule(&limits).failures(mark, now));
            }
            held.push(HeldKey {
                class: label.class,
                scope: label.scope,
                account: label.account.clone(),
                network: label.network.map(|network| network.to_string()),
                failures,
                retry_after_seconds: label.until.millis_since(now).div_ceil(1000),
            });
            true
        });
        state.labels.0 = labels;
        held.sort_by(|a, b| {
            let order = |key: &HeldKey| (key.account.clone(), key.network.clone(), key.scope);
            b.retry_after_seconds
                .cmp(&a.retry_after_seconds)
                .then_with(|| order(a).cmp(&order(b)))
        });
        let usages = [
            ("pairs", state.pairs.usage(now)),
            ("accounts", state.accounts.usage(now)),
            ("networks", state.networks.usage(now)),
            ("rates", self.rates.lock().1.usage(now)),
        ];
        Held {
            held,
            tracked: usages
                .iter()
                .map(|(sort, (used, _))| (*sort, *used))
                .collect(),
            bytes: usages.iter().map(|(_, (_, bytes))| bytes).sum::<usize>() + state.known.bytes(),
        }
    }

    /// Lets go of whoever waits, and says how many counts are cleared. What is known of networks and
    /// devices stays.
    pub fn clear(&self, which: &Which, now: Timestamp) -> usize {
        let accounts = match which {
            Which::Account(name) => {
                [Class::SignIn, Class::Code].map(|class| self.account(class, name).1)
            }
            _ => [0, 0],
        };
        let networks = match which {
            Which::Network(network) => {
                let address = network.address();
                [Network::of(address), Network::around(address)].map(|network| self.short(network))
            }
            _ => [0, 0],
        };
        let is_account = |key: u32| accounts.iter().any(|account| short(*account) == key);
        let mut state = self.state.lock();
        let mut cleared = 0;
        match which {
            Which::All => {
                for table in state.tables() {
                    cleared += table.clear(now, |_| true);
                }
                cleared += self.rates.lock().1.clear(now, |_| true);
                state.labels.0.clear();
            }
            Which::Account(name) => {
                let name = super::name::spelling(name);
                cleared += state.pairs.clear(now, |place| is_account(place.account));
                cleared += state.accounts.clear(now, |place| is_account(place.account));
                let is_its = |label: &Label| label.account.as_deref() == Some(&name);
                state.labels.0.retain(|_, label| !is_its(label));
            }
            Which::Network(network) => {
                let is_in = |place: &Place| networks.contains(&place.network);
                cleared += state.pairs.clear(now, is_in);
                cleared += state.networks.clear(now, is_in);
                cleared += self.rates.lock().1.clear(now, is_in);
                let address = network.address();
                let both = [Network::of(address), Network::around(address)];
                let is_its = |label: &Label| label.network.is_some_and(|n| both.contains(&n));
                state.labels.0.retain(|_, label| !is_its(label));
            }
        }
        cleared
    }
}

impl super::State {
    fn tables(&mut self) -> [&mut super::Table; 3] {
        [&mut self.pairs, &mut self.accounts, &mut self.networks]
    }
}
