//! What is true right now, in memory: the face of the store that requests are decided on.
//!
//! Owns: the pairing of each durable change with its in-memory twin. Does not: decide anything.
//!
//! **Invariant:** memory changes after the commit is durable and before its caller hears of it,
//! on the writer's thread, so that a client that goes away cannot leave the two apart.

use std::{collections::HashSet, sync::Arc};

use crate::{
    account::{self, Account, AccountName},
    audit::{Audit, Entry, Scene},
    clock::{Clock, Timestamp},
    id::Uid,
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
    /// Where changes and refusals are noted.
    pub audit: Audit,
    /// On whose behalf changes are made through this handle; nothing for the server itself.
    pub scene: Option<Arc<Scene>>,
}

impl Live {
    /// What the store says, with nobody on the admin list.
    ///
    /// # Errors
    /// Only of the store.
    pub fn load(store: &Store, hasher: Hasher, now: Timestamp) -> Result<Self, StoreError> {
        let reader = store.reader();
        let hasher = Arc::new(hasher);
        Ok(Self {
            accounts: Arc::new(account::load_index(&reader)?),
            revocations: Arc::new(token::load(&reader, now)?),
            retiring: Arc::new(token::api::Retiring::load(&reader)?),
            audit: Audit::new(Arc::clone(&hasher), Clock::system()),
            scene: None,
            hasher,
            known: Arc::default(),
            admin_list: Arc::default(),
        })
    }

    /// The same, for changes on somebody's behalf.
    #[must_use]
    pub fn by(&self, scene: Scene) -> Self {
        Self {
            scene: Some(Arc::new(scene)),
            ..self.clone()
        }
    }

    /// Notes in the audit trail what this transaction changes.
    ///
    /// # Errors
    /// Only of the store.
    pub fn note(&self, tx: &mut Tx<'_>, entry: Entry) -> Result<(), StoreError> {
        self.audit.record(tx, self.scene.as_deref(), entry)
    }

    /// As [`Live::note`], of something that concerns this account.
    ///
    /// # Errors
    /// Only of the store.
    pub fn note_of(&self, tx: &mut Tx<'_>, uid: &Uid, entry: Entry) -> Result<(), StoreError> {
        let account: Option<Account> = account::ACCOUNTS.get(tx, uid)?;
        let name = account.as_ref().map_or("", |account| account.name.as_str());
        self.note(tx, entry.account(*uid, name))
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
