//! Refusals on their way into the trail: the first of its kind is written at once, what repeats it
//! is summed.
//!
//! **Invariants:** memory and entries are bounded however many refusals there are and wherever from:
//! at most [`KINDS`] kinds are told apart in a window, each is written twice in it at most, and all
//! others are summed by event; a refusal that was summed keeps its place, its account, its backend
//! and its reason.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use super::{Entry, Event, Scene};
use crate::{clock::Timestamp, id::Uid};

/// A refusal.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) scene: Scene,
    pub(super) entry: Entry,
}

/// Kinds told apart at once.
const KINDS: usize = 256;

/// For how long what repeats is summed, in milliseconds.
const WINDOW: u64 = 60_000;

/// What makes two refusals one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    event: Event,
    /// Nothing for all that were too many to be told apart.
    of: Option<Of>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Of {
    network: Option<IpAddr>,
    account: Option<Uid>,
    backend: Option<String>,
    reason: Option<String>,
}

struct Sum {
    since: Timestamp,
    /// How many were not written.
    count: u64,
    last: Report,
}

/// The sums of the present window.
#[derive(Default)]
pub(super) struct Sums(HashMap<Kind, Sum>);

impl Sums {
    /// Takes a refusal in. Gives back what is to be written now.
    pub(super) fn take(&mut self, report: Report) -> Option<Report> {
        let mut kind = Kind {
            event: report.entry.event,
            of: Some(Of {
                network: report.scene.address.map(network),
                account: report.entry.account.as_ref().map(|(uid, _)| *uid),
                backend: report.entry.backend.clone(),
                reason: report.entry.reason.as_deref().map(str::to_owned),
            }),
        };
        if !self.0.contains_key(&kind) && self.0.len() >= KINDS {
            kind.of = None;
        }
        if let Some(sum) = self.0.get_mut(&kind) {
            sum.count += 1;
            sum.last = report;
            return None;
        }
        let written = Report {
            scene: report.scene.clone(),
            entry: report.entry.clone(),
        };
        let sum = Sum {
            since: report.scene.at,
            count: 0,
            last: report,
        };
        self.0.insert(kind, sum);
        Some(written)
    }

    /// The sums whose window is over, or all of them.
    pub(super) fn over(&mut self, now: Timestamp, all: bool) -> Vec<Report> {
        let is_over = |_: &Kind, sum: &mut Sum| all || !now.is_near(sum.since, WINDOW);
        let over = self.0.extract_if(is_over);
        let summed = over.filter(|(_, sum)| sum.count > 0).map(|(kind, sum)| {
            let Report { scene, mut entry } = sum.last;
            entry.count = Some(sum.count);
            if kind.of.is_some() {
                return Report { scene, entry };
            }
            // From many places, of many people: none of them stands for the others.
            let entry = Entry::new(kind.event)
                .reason("one of many")
                .count(sum.count);
            let scene = Scene::system(scene.at);
            Report { scene, entry }
        });
        summed.collect()
    }

    /// Whether nothing waits to be written.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The network an address is of: one customer's, as far as one can tell.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(bits).into()
        }
    }
}
