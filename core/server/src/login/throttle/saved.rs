//! What of the throttle survives a restart: the accounts that strangers have to wait for.
//!
//! Written behind, once a minute, and only for accounts whose free failures are used up: a spray of
//! names writes nothing, and an attack on one account one record a minute. A crash forgets at most
//! the last minute's failures. Networks, devices and pairs start anew.
//!
//! **Invariant:** a name is stored as a keyed hash, of at most [`MOST`] accounts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Mark, Throttle};
use crate::{
    clock::Timestamp,
    store::{Order, Read, Record, StoreError, Table, Tx},
};

const MOST: usize = 10_000;

/// The accounts strangers wait for, by the keyed hash of their name.
pub(crate) const SAVED: Table<[u8; 32], Saved> = Table::new(43, "throttled-accounts");

/// What is kept of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    owes_until: Timestamp,
    held_until: Timestamp,
    row: u16,
}

impl Record for Saved {
    const VERSION: u8 = 1;
}

#[derive(Default)]
pub(super) struct Saving {
    /// What is stored, or is to be: the stored key of each account.
    keys: HashMap<u64, [u8; 32]>,
}

impl Saving {
    pub(super) fn note(&mut self, key: u64, hash: [u8; 32]) {
        if self.keys.len() < MOST || self.keys.contains_key(&key) {
            self.keys.insert(key, hash);
        }
    }
}

impl Throttle {
    /// Takes over what was stored.
    ///
    /// # Errors
    /// Only of the store.
    pub(crate) fn restore(&self, from: &impl Read, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for entry in SAVED.scan(from, &[], None, Order::Ascending).take(MOST) {
            let (hash, saved) = entry?;
            let hash: [u8; 32] = hash
                .as_slice()
                .try_into()
                .map_err(|_| SAVED.corrupt(&hash))?;
            let first = hash.first_chunk::<8>().copied().unwrap_or_default();
            let key = u64::from_le_bytes(first).max(1);
            if let Some(mark) = state.accounts.make(key, super::short(key), 0, now) {
                *mark = Mark {
                    owes_until: saved.owes_until.millis(),
                    held_until: saved.held_until.millis(),
                    pending: 0,
                    row: saved.row,
                };
            }
            state.saving.note(key, hash);
        }
        Ok(())
    }

    /// What is to be stored of each account: `None`, nothing any more.
    pub(crate) fn changes(&self, now: Timestamp) -> Vec<([u8; 32], Option<Saved>)> {
        let mut state = self.state.lock();
        let keys: Vec<_> = state.saving.keys.iter().map(|(k, h)| (*k, *h)).collect();
        let mut changes = Vec::with_capacity(keys.len());
        for (key, hash) in keys {
            let mark = state.accounts.find(key).copied();
            let saved = mark
                .filter(|mark| mark.end() > now.millis())
                .map(|mark| Saved {
                    owes_until: Timestamp::from_millis(mark.owes_until),
                    held_until: Timestamp::from_millis(mark.held_until),
                    row: mark.row,
                });
            if saved.is_none() {
                state.saving.keys.remove(&key);
            }
            changes.push((hash, saved));
        }
        changes
    }
}

/// Stores what changed.
///
/// # Errors
/// Only of the store.
pub(crate) fn save(
    tx: &mut Tx<'_>,
    changes: &[([u8; 32], Option<Saved>)],
) -> Result<(), StoreError> {
    for (hash, saved) in changes {
        match saved {
            Some(saved) if SAVED.get(tx, hash)?.as_ref() == Some(saved) => {}
            Some(saved) => SAVED.put(tx, hash, saved)?,
            None => {
                SAVED.delete(tx, hash)?;
            }
        }
    }
    Ok(())
}
