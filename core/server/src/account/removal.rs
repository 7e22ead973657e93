//! Removing accounts, and what backends keep of their people: passwords, most of all.
//!
//! Owns: what is still to be removed by backends that were not in force when an account was deleted.
//! Does not: know what that is (the backend does).
//!
//! **Invariant:** from the deletion on, nobody signs in with what is left, is linked or registers beside
//! it ([`admit`](super::admit), `office`); a note of it ends in the transaction that removes it.

use omnigent_plugin::Change;
use serde::{Deserialize, Serialize};

use super::{
    Account, AccountError, IdentityKey, Office, OfficeError, by_name, office::collision,
    still_admin,
};
use crate::{
    audit::Scene,
    backend::{self, Instance},
    store::{Order, Read, Record, StoreError, Table, Tx},
};

/// Deleted identities that a backend which was not in force still keeps something of.
pub const REMNANTS: Table<IdentityKey, Remnant> = Table::new(29, "remnants-of-the-deleted");

/// Notes read at once.
const PAGE: usize = 100;

/// What is to be removed, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remnant {
    /// The identity that was deleted.
    pub key: IdentityKey,
}

impl Record for Remnant {
    const VERSION: u8 = 1;
}

/// Notes that something is left of the identity.
fn note(tx: &mut Tx<'_>, key: &IdentityKey) -> Result<(), StoreError> {
    REMNANTS.put(tx, key, &Remnant { key: key.clone() })
}

/// Some of what is left at the backend.
fn left_at(from: &impl Read, backend: &str) -> Result<Vec<IdentityKey>, StoreError> {
    REMNANTS
        .scan(from, &IdentityKey::prefix(backend), None, Order::Ascending)
        .take(PAGE)
        .map(|entry| entry.map(|(_, remnant)| remnant.key))
        .collect()
}

impl Office {
    /// Removes the account, its password and everything that acts for it. What a backend keeps that is
    /// not in force goes when it is again ([`Office::settle`]).
    ///
    /// # Errors
    /// [`AccountError::NotFound`]; [`AccountError::LastAdmin`]; [`AccountError::NotAdmin`].
    pub async fn remove(&self, scene: Scene, name: &str) -> Result<(), OfficeError> {
        let wanted = name.to_owned();
        let account = self
            .store
            .read(move |reader| by_name(reader, &wanted))
            .await?;
        let mut changes: Vec<(IdentityKey, Change)> = Vec::new();
        for key in &account.identities {
            let backend = self.backends.get(&key.backend);
            if let Some(backend) = backend.filter(|backend| backend.is_directory()) {
                changes.push((key.clone(), backend.directory_remove(&key.subject).await?));
            }
        }
        let (now, uid) = (scene.at, account.uid);
        let (live, backends) = (self.live.by(scene), self.backends.clone());
        self.store
            .write(move |tx| {
                still_admin(&live, tx)?;
                for (key, change) in &changes {
                    backend::apply_change(tx, &key.backend, change).map_err(collision)?;
                }
                let Account { identities, .. } = super::delete(&live, tx, &uid, now)?;
                let is_removed = |key: &IdentityKey| changes.iter().any(|(own, _)| own == key);
                let may_be_kept = |key: &IdentityKey| {
                    let backend = backends.get(&key.backend);
                    backend.is_none_or(Instance::is_directory)
                };
                for key in identities {
                    if !is_removed(&key) && may_be_kept(&key) {
                        note(tx, &key)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Has the backends in force remove what they kept of people who were deleted while they were not.
    /// What cannot be removed now stays noted.
    pub async fn settle(&self) {
        for backend in self.backends.iter() {
            if let Err(error) = self.settle_at(backend).await {
                let backend = backend.name();
                tracing::warn!(backend, %error, "what is left of deleted people is still there");
            }
        }
    }

    async fn settle_at(&self, backend: &Instance) -> Result<(), OfficeError> {
        loop {
            let name = backend.name().to_owned();
            let left = self
                .store
                .read(move |reader| left_at(reader, &name).map_err(AccountError::from))
                .await?;
            if left.is_empty() {
                return Ok(());
            }
            for key in left {
                // Who keeps nobody has nothing to remove.
                let change = match backend.is_directory() {
                    true => Some(backend.directory_remove(&key.subject).await?),
                    false => None,
                };
                self.store
                    .write(move |tx| {
                        if !REMNANTS.delete(tx, &key)? {
                            return Ok(());
                        }
                        match &change {
                            Some(change) => {
                                backend::apply_change(tx, &key.backend, change).map_err(collision)
                            }
                            None => Ok(()),
                        }
                    })
                    .await
                    .map_err(OfficeError::Account)?;
            }
        }
    }
}
