//! Every account's standing, in memory: what verifying a token looks up.
//!
//! Owns: uid → [`AccountState`], account id → [`AccountState`]. Does not: store accounts
//! (`account/` does, and keeps this index in step after each commit).
//!
//! **Invariant:** whoever holds the `Arc` of a state sees each change of it at once; a state that
//! left the index is marked deleted before it leaves.

use std::{
    borrow::Borrow,
    collections::HashSet,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use smol_str::SmolStr;

use crate::id::{IdHash, Uid};

const ADMIN: u8 = 1;
const DISABLED: u8 = 2;
const DELETED: u8 = 4;

/// One account as requests see it.
pub struct AccountState {
    /// The account's immutable id.
    pub uid: Uid,
    /// The account id people see: the `sub` claim. Here and not elsewhere in memory, where it is short.
    pub id: SmolStr,
    flags: AtomicU8,
    /// The turn at which its password was last changed; see [`AccountIndex::turn`].
    turned_at: AtomicU64,
}

impl AccountState {
    /// The state of an account that exists.
    pub fn new(uid: Uid, id: &str, is_admin: bool, is_disabled: bool) -> Self {
        let flags = (u8::from(is_admin) * ADMIN) | (u8::from(is_disabled) * DISABLED);
        Self {
            uid,
            id: id.into(),
            flags: AtomicU8::new(flags),
            turned_at: AtomicU64::new(0),
        }
    }

    /// Whether the account may administer. Says nothing about whether it may act at all.
    pub fn is_admin(&self) -> bool {
        self.flags() & ADMIN != 0
    }

    /// Whether an admin has switched the account off.
    pub fn is_disabled(&self) -> bool {
        self.flags() & DISABLED != 0
    }

    /// Whether the account is gone (or this state has been replaced in the index).
    pub fn is_deleted(&self) -> bool {
        self.flags() & DELETED != 0
    }

    /// Whether requests may act for this account: neither disabled nor deleted.
    pub fn is_active(&self) -> bool {
        self.flags() & (DISABLED | DELETED) == 0
    }

    /// Makes the account an admin or not. Requests see it at once.
    pub fn set_admin(&self, is_admin: bool) {
        self.set(ADMIN, is_admin);
    }

    /// Switches the account off or on. Requests see it at once.
    pub fn set_disabled(&self, is_disabled: bool) {
        self.set(DISABLED, is_disabled);
    }

    /// Marks the account as gone, for ever.
    pub fn set_deleted(&self) {
        self.set(DELETED, true);
    }

    fn flags(&self) -> u8 {
        self.flags.load(Ordering::Acquire)
    }

    fn set(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!flag, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountState")
            .field("uid", &self.uid)
            .field("id", &self.id)
            .field("is_admin", &self.is_admin())
            .field("is_disabled", &self.is_disabled())
            .field("is_deleted", &self.is_deleted())
            .finish()
    }
}

const SHARDS: usize = 32;

/// All accounts by uid and by id. Changed by the store's writer thread only, read by everybody.
pub struct AccountIndex {
    by_uid: [RwLock<ByUids>; SHARDS],
    by_id: [RwLock<HashSet<ById>>; SHARDS],
    hasher: RandomState,
    turn: AtomicU64,
}

impl AccountIndex {
    /// Which turn it is: to be asked before a password is looked at.
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::SeqCst)
    }

    /// The account's password is being changed, by this transaction: a sign-in that began before is
    /// too late, whichever password it was.
    pub fn password_changes(&self, uid: &Uid) {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(account) = self.get(uid) {
            account.turned_at.store(turn, Ordering::SeqCst);
        }
    }

    /// Whether the account's password was changed since that turn.
    pub fn has_turned_since(&self, uid: &Uid, turn: u64) -> bool {
        let account = self.get(uid);
        account.is_some_and(|account| account.turned_at.load(Ordering::SeqCst) > turn)
    }

    /// The account with this uid.
    pub fn get(&self, uid: &Uid) -> Option<Arc<AccountState>> {
        let shard = self.uid_shard(uid).read();
        shard.get(uid).map(|entry| Arc::clone(&entry.0))
    }

    /// The account with this id (the `sub` claim, exactly as written).
    pub fn by_id(&self, id: &str) -> Option<Arc<AccountState>> {
        let shard = self.id_shard(id).read();
        shard.get(id).map(|entry| Arc::clone(&entry.0))
    }

    /// Adds the account. One that had the same uid is replaced and marked deleted.
    pub fn insert(&self, state: AccountState) {
        self.remove(&state.uid);
        let state = Arc::new(state);
        let by_id = ById(Arc::clone(&state));
        self.id_shard(&state.id).write().replace(by_id);
        let shard = self.uid_shard(&state.uid);
        shard.write().replace(ByUid(state));
    }

    /// Marks the account deleted and takes it out.
    pub fn remove(&self, uid: &Uid) {
        let Some(ByUid(state)) = self.uid_shard(uid).write().take(uid) else {
            return;
        };
        state.set_deleted();
        let mut shard = self.id_shard(&state.id).write();
        // The name may have passed to another account.
        if shard.get(&*state.id).is_some_and(|held| held.0.uid == *uid) {
            shard.remove(&*state.id);
        }
    }

    /// How many accounts can administer: admins that are not disabled. Walks them all.
    pub fn admins(&self) -> usize {
        let is_able = |entry: &&ByUid| entry.0.is_admin() && entry.0.is_active();
        let count = |shard: &RwLock<ByUids>| shard.read().iter().filter(is_able).count();
        self.by_uid.iter().map(count).sum()
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.by_uid.iter().map(|shard| shard.read().len()).sum()
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn uid_shard(&self, uid: &Uid) -> &RwLock<ByUids> {
        &self.by_uid[usize::from(uid.as_bytes()[15]) % SHARDS]
    }

    fn id_shard(&self, id: &str) -> &RwLock<HashSet<ById>> {
        &self.by_id[self.hasher.hash_one(id) as usize % SHARDS]
    }
}

impl Default for AccountIndex {
    fn default() -> Self {
        Self {
            by_uid: std::array::from_fn(|_| RwLock::default()),
            by_id: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            turn: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for AccountIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountIndex({} accounts)", self.len())
    }
}

// Set entries that borrow their key from the state: one pointer per account and look-up.
struct ByUid(Arc<AccountState>);
type ByUids = HashSet<ByUid, IdHash>;
struct ById(Arc<AccountState>);

macro_rules! keyed {
    ($entry:ident, $key:ty, $field:ident) => {
        impl Borrow<$key> for $entry {
            fn borrow(&self) -> &$key {
                &self.0.$field
            }
        }
        impl Hash for $entry {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.$field.hash(state);
            }
        }
        impl PartialEq for $entry {
            fn eq(&self, other: &Self) -> bool {
                self.0.$field == other.0.$field
            }
        }
        impl Eq for $entry {}
    };
}
keyed!(ByUid, Uid, uid);
keyed!(ById, str, id);
