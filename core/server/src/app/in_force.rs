//! Which configuration the audit trail knows of: a change of it is an entry, whether a reload or a restart
//! brought it.
//!
//! **Invariant:** of values only keyed hashes are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    audit::{Entry, Event},
    config::{Change, Config},
    live::Live,
    store::{KnownTable, Reader, Record, StoreError, Table, Tx},
    token::hash::Kind,
};

/// The configuration that the trail last told of.
const IN_FORCE: Table<(), InForce> = Table::new(35, "configuration-in-force");

/// Each key with the hash of its value, as it was configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InForce(BTreeMap<String, [u8; 16]>);

impl Record for InForce {
    const VERSION: u8 = 1;
}

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![IN_FORCE.known()]
}

impl InForce {
    pub(super) fn of(config: &Config, live: &Live) -> Self {
        Self(config.sealed(|value| {
            let hash = live.hasher.hash(Kind::Config, value.as_bytes());
            hash.first_chunk().copied().unwrap_or_default()
        }))
    }

    /// Whether this is what the trail knows of.
    ///
    /// # Errors
    /// Only of the store.
    pub(super) fn is_noted(&self, from: &Reader) -> Result<bool, StoreError> {
        Ok(IN_FORCE.get(from, &())?.as_ref() == Some(self))
    }

    /// Notes the keys that a restart changed.
    ///
    /// # Errors
    /// Only of the store.
    pub(super) fn note_start(&self, live: &Live, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        // At the first start nothing changes.
        let before = IN_FORCE.get(tx, &())?.unwrap_or_else(|| self.clone());
        let keys = self.0.keys().chain(before.0.keys());
        let mut changed: Vec<_> = keys
            .filter(|key| self.0.get(*key) != before.0.get(*key))
            .collect();
        changed.sort_unstable();
        changed.dedup();
        for key in changed {
            let entry = Entry::new(Event::ConfigChanged).reason("by a restart");
            live.note(tx, entry.detail(key))?;
        }
        IN_FORCE.put(tx, &(), self)
    }

    /// Notes the keys that a reload changes.
    ///
    /// # Errors
    /// Only of the store.
    pub(super) fn note_reload(
        &self,
        live: &Live,
        tx: &mut Tx<'_>,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        for change in changes {
            let entry = Entry::new(Event::ConfigChanged);
            let entry = match change.needs_restart {
                true => entry.reason("at the next start"),
                false => entry,
            };
            live.note(tx, entry.detail(change.key_path))?;
        }
        IN_FORCE.put(tx, &(), self)
    }
}
