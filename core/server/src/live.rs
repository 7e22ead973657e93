//! What is true right now, in memory: the face of the store that requests are decided on.
//!
//! Owns: the pairing of each durable change with its in-memory twin. Does not: decide anything.
//!
//! **Invariant:** memory changes after the commit is durable and before its caller hears of it,
//! on the writer's thread, so that a client that goes away cannot leave the two apart.

use std::{collections::HashSet, sync::Arc};

use crate::{
    account::{self, AccountName},
    clock::Timestamp,
    known::KnownIdentities,
    store::{Store, StoreError, Tx},
    token::{self, AccountIndex, RevocationIndex, hash::Hasher},
};

/// The shared in-memory state that transactions keep in step with the store.
#[derive(Clone)]
pub struct Live {
    /// Every account's flags.
    pub accounts: Arc<AccountIndex>,
    /// Every id that is revoked and not expired.
    pub revocations: Arc<RevocationIndex>,
    /// The API tokens that end before their time.
    pub retiring: Arc<token::api::Retiring>,
    /// Keyed hashes of what must not be stored in the clear.
    pub hasher: Arc<Hasher>,
    /// Whom the identities of requests lead to.
    pub known: Arc<KnownIdentities>,
    /// The operator's admin list.
    pub admin_list: Arc<HashSet<String>>,
}

impl Live {
    /// What the store says, with nobody on the admin list.
    ///
    /// # Errors
    /// Only of the store.
    pub fn load(store: &Store, hasher: Hasher, now: Timestamp) -> Result<Self, StoreError> {
        let reader = store.reader();
        Ok(Self {
            accounts: Arc::new(account::load_index(&reader)?),
            revocations: Arc::new(token::load(&reader, now)?),
            retiring: Arc::new(token::api::Retiring::load(&reader)?),
            hasher: Arc::new(hasher),
            known: Arc::default(),
            admin_list: Arc::default(),
        })
    }

    /// Whether the operator's list makes this account an admin.
    pub fn is_listed_admin(&self, name: &AccountName) -> bool {
        self.admin_list.contains(name.as_str())
    }

    /// From this commit on, identities of requests are looked up anew.
    pub fn forget_identities(&self, tx: &mut Tx<'_>) {
        let known = Arc::clone(&self.known);
        tx.on_commit(move || known.clear());
    }

    /// Refuses every token that carries `id` from this commit on, until `expires_at`, after which
    /// such tokens are refused for their age. `None`: for ever.
    ///
    /// # Errors
    /// Only of the store.
    pub fn revoke(
        &self,
        tx: &mut Tx<'_>,
        id: [u8; 16],
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        tx.sign_off();
        token::revoke(tx, id, expires_at)?;
        let index = Arc::clone(&self.revocations);
        tx.on_commit(move || index.insert(id, expires_at));
        Ok(())
    }
}
