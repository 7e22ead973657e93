//! The accounts that identities of requests were found to lead to: what a header sign-in is decided
//! on without reading the store.
//!
//! **Invariants:** an entry holds for exactly the facts it was found for; it is bounded; a deleted or
//! disabled account is seen through its state at once; a change of a link or a rule empties it.

use std::sync::Arc;

use omnigent_plugin::Identity;
use quick_cache::sync::Cache;

use crate::token::AccountState;

const AT_MOST: usize = 16_384;

/// See the module.
pub struct KnownIdentities(Cache<Box<[u8]>, Arc<AccountState>>);

impl Default for KnownIdentities {
    fn default() -> Self {
        Self(Cache::new(AT_MOST))
    }
}

impl KnownIdentities {
    /// The account, if this very identity led to one that is still active.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<AccountState>> {
        self.0.get(key).filter(|account| account.is_active())
    }

    /// Remembers what was found.
    pub(crate) fn put(&self, key: &[u8], account: Arc<AccountState>) {
        self.0.insert(key.into(), account);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

/// All facts of an identity in one key, lengths first.
pub(crate) fn key_of(backend: &str, identity: &Identity) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    let mut add = |part: Option<&str>| {
        let length = part.map_or(u32::MAX, |part| {
            u32::try_from(part.len()).unwrap_or(u32::MAX - 1)
        });
        key.extend_from_slice(&length.to_be_bytes());
        key.extend_from_slice(part.unwrap_or_default().as_bytes());
    };
    add(Some(backend));
    add(Some(&identity.subject));
    for part in [&identity.issuer, &identity.username, &identity.email] {
        add(part.as_deref());
    }
    add(identity.email_verified.then_some("verified"));
    for group in &identity.groups {
        add(Some(group));
    }
    key
}
