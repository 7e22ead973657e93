//! The accounts that identities of requests were found to lead to: what a header sign-in is decided
//! on without reading the store.
//!
//! **Invariants:** an entry holds for exactly the facts it was found for last; they are bounded; a deleted or
//! disabled account is seen through its state at once; a change of a link or a rule empties it.

use std::sync::Arc;

use omnigent_plugin::Identity;
use quick_cache::sync::Cache;

use crate::token::AccountState;

const AT_MOST: usize = 16_384;

/// See the module.
pub struct KnownIdentities(Cache<Box<[u8]>, Known>);

/// What an identity was when it was looked up last, and whom it led to.
#[derive(Clone)]
struct Known {
    facts: Arc<[u8]>,
    account: Arc<AccountState>,
}

impl Default for KnownIdentities {
    fn default() -> Self {
        Self(Cache::new(AT_MOST))
    }
}

impl KnownIdentities {
    /// The account, if the identity led to one that is still active, with these very facts.
    pub(crate) fn get(&self, key: &IdentityFacts) -> Option<Arc<AccountState>> {
        let known = self.0.get(key.who())?;
        let holds = *known.facts == *key.bytes && known.account.is_active();
        holds.then_some(known.account)
    }

    /// Remembers what was found. What was known of the identity before is forgotten.
    pub(crate) fn put(&self, key: &IdentityFacts, account: Arc<AccountState>) {
        let facts = key.bytes.as_slice().into();
        self.0.insert(key.who().into(), Known { facts, account });
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

/// All facts of an identity as bytes, lengths first: backend, subject and issuer, then the others.
pub(crate) struct IdentityFacts {
    bytes: Vec<u8>,
    who: usize,
}

impl IdentityFacts {
    pub(crate) fn new(backend: &str, identity: &Identity) -> Self {
        let mut bytes = Vec::with_capacity(160);
        let mut add = |part: Option<&str>| {
            let length = part.map_or(u32::MAX, |part| {
                u32::try_from(part.len()).unwrap_or(u32::MAX - 1)
            });
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
            bytes.len()
        };
        add(Some(backend));
        add(Some(&identity.subject));
        let who = add(identity.issuer.as_deref());
        add(identity.username.as_deref());
        add(identity.email.as_deref());
        add(identity.email_verified.then_some("verified"));
        for group in &identity.groups {
            add(Some(group));
        }
        Self { bytes, who }
    }

    fn who(&self) -> &[u8] {
        self.bytes.get(..self.who).unwrap_or_default()
    }
}
