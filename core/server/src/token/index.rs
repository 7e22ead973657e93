//! What is alive and what is dead, in memory: every account's flags, every revoked id.
//!
//! **Invariants:** look-ups take one shard's read lock at most, never one that all requests share,
//! and never touch the disk; a revoked id is remembered until every token that could carry it has
//! expired, even if the clock jumps.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use crate::{clock::Timestamp, id::Uid};

const SHARDS: usize = 64;
const ADMIN: u8 = 1;
const DISABLED: u8 = 2;
const DELETED: u8 = 4;

/// What a request needs to know of an account.
#[derive(Debug)]
pub struct AccountState {
    /// The immutable id.
    pub uid: Uid,
    /// The name (`sub` claim).
    pub id: Box<str>,
    flags: AtomicU8,
}

impl AccountState {
    /// The state of an account.
    pub fn new(uid: Uid, id: &str, is_admin: bool, disabled: bool) -> Self {
        let flags = (if is_admin { ADMIN } else { 0 }) | (if disabled { DISABLED } else { 0 });
        Self {
            uid,
            id: id.into(),
            flags: AtomicU8::new(flags),
        }
    }

    /// May administer.
    pub fn is_admin(&self) -> bool {
        self.has(ADMIN)
    }

    /// May not act for now.
    pub fn is_disabled(&self) -> bool {
        self.has(DISABLED)
    }

    /// Is gone for good.
    pub fn is_deleted(&self) -> bool {
        self.has(DELETED)
    }

    /// Changes [`AccountState::is_admin`].
    pub fn set_admin(&self, yes: bool) {
        self.set(ADMIN, yes);
    }

    /// Changes [`AccountState::is_disabled`].
    pub fn set_disabled(&self, yes: bool) {
        self.set(DISABLED, yes);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    fn set(&self, flag: u8, yes: bool) {
        if yes {
            self.flags.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!flag, Ordering::AcqRel);
        }
    }
}

/// Every account there is.
#[derive(Debug)]
pub struct AccountIndex {
    by_uid: [RwLock<HashMap<Uid, Arc<AccountState>>>; SHARDS],
    by_id: RwLock<HashMap<Box<str>, Uid>>,
}

impl Default for AccountIndex {
    fn default() -> Self {
        Self {
            by_uid: std::array::from_fn(|_| RwLock::default()),
            by_id: RwLock::default(),
        }
    }
}

impl AccountIndex {
    /// The account with this id.
    pub fn get(&self, uid: &Uid) -> Option<Arc<AccountState>> {
        self.shard(uid).read().get(uid).cloned()
    }

    /// The account with this name.
    pub fn by_id(&self, id: &str) -> Option<Arc<AccountState>> {
        let uid = *self.by_id.read().get(id)?;
        self.get(&uid)
    }

    /// Adds an account.
    pub fn insert(&self, state: AccountState) {
        self.by_id.write().insert(state.id.clone(), state.uid);
        self.shard(&state.uid)
            .write()
            .insert(state.uid, Arc::new(state));
    }

    /// Removes an account: whoever holds its state sees that it is deleted.
    pub fn remove(&self, uid: &Uid) {
        if let Some(state) = self.shard(uid).write().remove(uid) {
            state.set(DELETED, true);
            let mut by_id = self.by_id.write();
            if by_id.get(&state.id) == Some(uid) {
                by_id.remove(&state.id);
            }
        }
    }

    fn shard(&self, uid: &Uid) -> &RwLock<HashMap<Uid, Arc<AccountState>>> {
        &self.by_uid[usize::from(uid.as_bytes()[0]) % SHARDS]
    }
}

/// How long past its expiry a revoked id is remembered, in milliseconds: clocks differ and jump.
const MARGIN_MILLIS: u64 = 3_600_000;

/// Every id (of a login, API token, grant or access token) that is revoked and not expired.
#[derive(Debug)]
pub struct RevocationIndex {
    shards: [RwLock<HashMap<[u8; 16], Timestamp, RandomState>>; SHARDS],
    hasher: RandomState,
    next: AtomicU64,
}

impl Default for RevocationIndex {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self {
            shards: std::array::from_fn(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))),
            hasher,
            next: AtomicU64::new(0),
        }
    }
}

/// An id that no token expires out of.
const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

impl RevocationIndex {
    /// Whether tokens that carry this id are refused.
    pub fn contains(&self, id: &[u8; 16]) -> bool {
        self.shard(id).read().contains_key(id)
    }

    /// Refuses tokens that carry this id until `expires_at`; `None`: for ever.
    pub fn insert(&self, id: [u8; 16], expires_at: Option<Timestamp>) {
        let until = expires_at.unwrap_or(FOR_EVER);
        let mut shard = self.shard(&id).write();
        let known = shard.entry(id).or_insert(until);
        *known = until.max(*known);
    }

    /// Forgets, in the next shard, what no token can carry any more. Returns the forgotten ids.
    pub fn purge(&self, now: Timestamp) -> Vec<[u8; 16]> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.shards[usize::try_from(next % SHARDS as u64).unwrap_or(0)];
        let mut forgotten = Vec::new();
        shard.write().retain(|id, until| {
            let keep = *until == FOR_EVER || now.millis_since(*until) < MARGIN_MILLIS;
            if !keep {
                forgotten.push(*id);
            }
            keep
        });
        forgotten
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, id: &[u8; 16]) -> &RwLock<HashMap<[u8; 16], Timestamp, RandomState>> {
        // Hashed again: who picks ids must not pick shards.
        let shard = self.hasher.hash_one(id) % SHARDS as u64;
        &self.shards[usize::try_from(shard).unwrap_or(0)]
    }
}
