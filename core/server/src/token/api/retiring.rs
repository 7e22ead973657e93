//! Which API tokens end before their time, in memory: the old ones of rotations with an overlap.
//! For telling whoever presents one; ending them is [`retire_due`](super::retire_due)'s work.
//!
//! **Invariant:** it says what [`RETIREMENTS`] says of tokens that are there; reading takes no lock.

use std::collections::HashMap;

use arc_swap::ArcSwap;

use super::RETIREMENTS;
use crate::{
    clock::Timestamp,
    id::LoginId,
    store::{Order, Read, StoreError},
};

/// The ends of tokens that were replaced, by id.
#[derive(Debug, Default)]
pub struct Retiring(ArcSwap<HashMap<LoginId, Timestamp>>);

impl Retiring {
    /// What the store says.
    ///
    /// # Errors
    /// Only of the store.
    pub fn load(from: &impl Read) -> Result<Self, StoreError> {
        let mut ends = HashMap::new();
        for entry in RETIREMENTS.scan(from, &[], None, Order::Descending) {
            let (key, ()) = entry?;
            let at = key.first_chunk::<8>().copied().map(u64::from_be_bytes);
            let id = key.last_chunk::<16>().copied().map(LoginId::from_bytes);
            let (at, id) = at.zip(id).ok_or_else(|| RETIREMENTS.corrupt(&key))?;
            // The latest first: the earliest stays.
            ends.insert(id, Timestamp::from_millis(at));
        }
        Ok(Self(ArcSwap::from_pointee(ends)))
    }

    /// When a token ends that was replaced.
    pub fn get(&self, id: &LoginId) -> Option<Timestamp> {
        self.0.load().get(id).copied()
    }

    /// A token was replaced and ends at `at`, if not before.
    pub(super) fn note(&self, id: LoginId, at: Timestamp) {
        self.0.rcu(|ends| {
            let mut ends = HashMap::clone(ends);
            let end = ends.entry(id).or_insert(at);
            *end = at.min(*end);
            ends
        });
    }

    /// A token has ended.
    pub(super) fn forget(&self, id: &LoginId) {
        if self.get(id).is_some() {
            self.0.rcu(|ends| {
                let mut ends = HashMap::clone(ends);
                ends.remove(id);
                ends
            });
        }
    }
}
