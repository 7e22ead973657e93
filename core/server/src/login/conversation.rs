//! Conversations under way: what a backend wants to remember between two steps.
//!
//! Owns: the state between steps, its age and its number. Does not: look into it.
//!
//! **Invariants:** a conversation is taken out when it is answered, so no answer is given twice to
//! the same step; each network has a bounded number of its own, so a flood from one cannot push
//! out the sign-ins of others; when all places are taken, the network that has most of them gives
//! one to a network that has fewer.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use parking_lot::Mutex;

use super::throttle::network;
use crate::{clock::Timestamp, id::ConversationId};

/// For how long a step waits for its answer.
pub const LIFETIME_MILLIS: u64 = 600_000;

/// An office behind one address signs in at nine.
const PER_NETWORK: usize = 1024;
const AT_MOST: usize = 16_384;

/// What is kept of a conversation until its next answer.
#[derive(Clone, Debug)]
pub struct Pending<S> {
    /// The configured backend it is held with.
    pub backend: String,
    /// The step it stands at.
    pub step: S,
    begun_at: Timestamp,
    network: u128,
}

/// Too many sign-ins are under way: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// All conversations under way.
#[derive(Debug)]
pub struct Conversations<S>(Mutex<Table<S>>);

#[derive(Debug)]
struct Table<S> {
    pending: HashMap<ConversationId, Pending<S>>,
    /// Oldest first; ids already answered are skipped when they come up.
    order: VecDeque<(Timestamp, ConversationId)>,
    by_network: HashMap<u128, VecDeque<ConversationId>>,
}

impl<S> Default for Conversations<S> {
    fn default() -> Self {
        let table = Table {
            pending: HashMap::new(),
            order: VecDeque::new(),
            by_network: HashMap::new(),
        };
        Self(Mutex::new(table))
    }
}

impl<S> Conversations<S> {
    /// Keeps a step until its answer comes. The oldest of the same network gives way, or of one that
    /// has more.
    ///
    /// # Errors
    /// [`TooMany`] when the server holds as many as it can, and no network has more than this one.
    pub fn put(
        &self,
        backend: &str,
        step: S,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<ConversationId, TooMany> {
        let id = ConversationId::random();
        self.put_as(id, backend, step, address, now).map(|()| id)
    }

    /// As [`Conversations::put`], under an id made before.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn put_as(
        &self,
        id: ConversationId,
        backend: &str,
        step: S,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let mut table = self.0.lock();
        table.expire(now);
        let network = network(address);
        let own = table.by_network.get(&network).map_or(0, VecDeque::len);
        if own >= PER_NETWORK {
            let oldest = table
                .by_network
                .get(&network)
                .and_then(|own| own.front().copied());
            oldest.map(|id| table.remove(&id));
        } else if table.pending.len() >= AT_MOST {
            let crowd = table.by_network.values().max_by_key(|own| own.len());
            let oldest = crowd
                .filter(|crowd| crowd.len() > own + 1)
                .and_then(|crowd| crowd.front().copied())
                .ok_or(TooMany)?;
            table.remove(&oldest);
        }
        table.order.push_back((now, id));
        table.by_network.entry(network).or_default().push_back(id);
        table.pending.insert(
            id,
            Pending {
                backend: backend.to_owned(),
                step,
                begun_at: now,
                network,
            },
        );
        Ok(())
    }

    /// As [`Conversations::take`], if `fits` says so; else it stays.
    pub fn take_if(
        &self,
        id: &ConversationId,
        now: Timestamp,
        fits: impl FnOnce(&S) -> bool,
    ) -> Option<Pending<S>> {
        let mut table = self.0.lock();
        table.expire(now);
        if fits(&table.pending.get(id)?.step) {
            table.remove(id)
        } else {
            None
        }
    }

    /// Looks at a step under way.
    pub fn look<T>(
        &self,
        id: &ConversationId,
        now: Timestamp,
        at: impl FnOnce(&Pending<S>) -> T,
    ) -> Option<T> {
        let mut table = self.0.lock();
        table.expire(now);
        table.pending.get(id).map(at)
    }

    /// Whether a step under way is one of these.
    pub fn any(&self, now: Timestamp, is_one: impl Fn(&S) -> bool) -> bool {
        let mut table = self.0.lock();
        table.expire(now);
        table.pending.values().any(|pending| is_one(&pending.step))
    }

    /// Takes a conversation out to answer it. `None`: unknown, answered before, or too old.
    pub fn take(&self, id: &ConversationId, now: Timestamp) -> Option<Pending<S>> {
        let mut table = self.0.lock();
        table.expire(now);
        table.remove(id)
    }
}

impl<S> Table<S> {
    fn remove(&mut self, id: &ConversationId) -> Option<Pending<S>> {
        let pending = self.pending.remove(id)?;
        if let Some(own) = self.by_network.get_mut(&pending.network) {
            own.retain(|other| other != id);
            if own.is_empty() {
                self.by_network.remove(&pending.network);
            }
        }
        Some(pending)
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((begun_at, id)) = self.order.front().copied() {
            let is_live = self
                .pending
                .get(&id)
                .is_some_and(|p| now.is_near(p.begun_at, LIFETIME_MILLIS));
            if is_live && now.is_near(begun_at, LIFETIME_MILLIS) {
                break;
            }
            self.order.pop_front();
            self.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_step_is_answered_once() {
        let conversations = Conversations::default();
        let id = conversations.put("local", 7, ip("10.0.0.1"), T0).unwrap();
        assert_eq!(conversations.take(&id, T0).unwrap().step, 7);
        assert!(conversations.take(&id, T0).is_none());
    }

    #[test]
    fn a_step_does_not_wait_for_ever() {
        let conversations = Conversations::default();
        let id = conversations.put("local", (), ip("10.0.0.1"), T0).unwrap();
        assert!(conversations.take(&id, T0.plus_seconds(600)).is_none());
    }

    #[test]
    fn a_flood_from_one_network_pushes_out_only_its_own() {
        let conversations = Conversations::default();
        let bystander = conversations.put("local", (), ip("10.0.0.2"), T0).unwrap();
        let first = conversations.put("local", (), ip("10.0.0.1"), T0).unwrap();
        for _ in 0..10_000 {
            conversations.put("local", (), ip("10.0.0.1"), T0).unwrap();
        }
        assert!(conversations.take(&first, T0).is_none());
        assert!(conversations.take(&bystander, T0).is_some());
        assert_eq!(conversations.0.lock().pending.len(), PER_NETWORK);
    }

    #[test]
    fn networks_that_take_every_place_make_room_for_others() {
        let conversations = Conversations::default();
        let crowd = |i: usize| IpAddr::from([10, 0, 0, u8::try_from(i % 16).unwrap()]);
        for i in 0..AT_MOST {
            conversations.put("local", (), crowd(i), T0).unwrap();
        }
        let bystanders: Vec<_> = (0..100_u8)
            .map(|i| conversations.put("local", (), IpAddr::from([9, 0, 0, i]), T0))
            .collect();
        for i in 0..AT_MOST {
            let _ = conversations.put("local", (), crowd(i), T0);
        }
        for id in bystanders {
            assert!(conversations.take(&id.unwrap(), T0).is_some());
        }
    }

    #[test]
    fn a_flood_from_everywhere_is_refused_and_passes() {
        let conversations = Conversations::default();
        let address = |i: u32| IpAddr::from(i.to_be_bytes());
        for i in 0..u32::try_from(AT_MOST).unwrap() {
            conversations.put("local", (), address(i), T0).unwrap();
        }
        assert_eq!(
            conversations.put("local", (), ip("200.0.0.1"), T0),
            Err(TooMany)
        );
        assert!(
            conversations
                .put("local", (), ip("200.0.0.1"), T0.plus_seconds(600))
                .is_ok()
        );
    }
}
