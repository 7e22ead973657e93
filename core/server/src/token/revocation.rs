//! Ids that no longer count: in memory for every request, in the store for the next start.
//!
//! Owns: table 5, its face in memory, and the copy of that which makes a start quick. Does not: know
//! whose ids they are (a login's or API token's `sid`, a `grant_id`: all random, so one set holds
//! them).
//!
//! **Invariants:**
//! - Order: [`revoke`] in a transaction, [`RevocationIndex::insert`] right after its durable
//!   commit, then the acknowledgement to the caller. So an acknowledged revocation holds at once
//!   and after a crash.
//! - An id is forgotten only when each token that carries it is refused for its age, also if the
//!   clock jumps (THREATS S6): the time that forgetting goes by is never ahead of the clock, follows
//!   it by at most [`MAX_STEP`] a call, and tokens that ended before the latest end forgotten stay
//!   refused whatever the clock says then ([`RevocationIndex::floor`]).

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::{
    audit::rfc3339,
    clock::Timestamp,
    id::IdHash,
    store::{Read, Reader, Record, Store, StoreError, Table, Tx},
};

/// Revoked ids.
pub const REVOCATIONS: Table<[u8; 16], Revocation> = Table::new(5, "revocations");

/// How far forgetting has come; one record in the table of single facts.
pub(super) const PROGRESS: Table<str, Progress> = Table::new(12, "meta");
const PROGRESS_KEY: &str = "revocations";

/// What is kept of a revoked id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// No token that carries the id ends later; `None`: one may never end.
    pub expires_at: Option<Timestamp>,
}

impl Record for Revocation {
    const VERSION: u8 = 1;
}

/// Whether this record of this table says how far forgetting has come: another installation, with keys
/// of its own, has forgotten nothing.
pub(crate) fn is_progress(table: u8, key: &[u8]) -> bool {
    table == PROGRESS.known().id && key == PROGRESS_KEY.as_bytes()
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    trusted: Timestamp,
    floor: Timestamp,
}

impl Record for Progress {
    const VERSION: u8 = 1;
}

/// How long an id is remembered past its end, in seconds.
const MARGIN: u64 = 3600;
/// How far one call may move the time that forgetting goes by, in milliseconds.
const MAX_STEP: u64 = 5 * 60 * 1000;
/// How far that time may be ahead of what is stored of it, in milliseconds.
const MAX_UNSAVED: u64 = 24 * 3600 * 1000;

const SHARDS: usize = 256;
/// Shards looked through by one purge: a thirty-second of all ids.
const SHARDS_PER_PURGE: usize = 8;
const FOREVER: u32 = u32::MAX;

/// An id and the second from which it may be forgotten, kept in brief.
const ENTRY: usize = 16 + 4;
/// With fewer ids a start reads them from the store.
const MANY: usize = 20_000;

type Ids = HashMap<[u8; 16], u32, IdHash>;

/// Every revoked id that a token could still carry, in memory.
pub struct RevocationIndex {
    // Per id the second from which it may be forgotten, rounded up. 20 bytes an id.
    shards: Box<[RwLock<Ids>]>,
    generation: AtomicU64,
    furthest: AtomicU64,
    floor: AtomicU64,
    cursor: AtomicUsize,
    /// The generation that is kept in brief.
    kept: AtomicU64,
}

impl RevocationIndex {
    /// Whether `id` has been revoked.
    pub fn contains(&self, id: &[u8; 16]) -> bool {
        self.shard(id).read().contains_key(id)
    }

    /// Whether one of the two has been revoked. With a million ids each look-up waits for memory:
    /// these wait together.
    pub fn contains_either(&self, [one, other]: [&[u8; 16]; 2]) -> bool {
        // Both may be of one shard, for which a writer may wait.
        let (ones, others) = (self.shard(one), self.shard(other));
        let (ones, others) = (ones.read_recursive(), others.read_recursive());
        ones.contains_key(one) | others.contains_key(other)
    }

    /// Refuses `id` from now on, in memory. `expires_at`: no token that carries it ends later;
    /// `None`: one may never end. Repeating never shortens. Call it after the durable commit of
    /// [`revoke`] and before acknowledging.
    pub fn insert(&self, id: [u8; 16], expires_at: Option<Timestamp>) {
        let until = expires_at.map_or(FOREVER, |at| {
            u32::try_from(at.millis().div_ceil(1000)).unwrap_or(FOREVER)
        });
        let mut shard = self.shard(&id).write();
        let entry = shard.entry(id).or_insert(until);
        *entry = until.max(*entry);
        drop(shard);
        // After the entry is there: whoever sees this number sees the entry too.
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes in an entry of the index kept in brief.
    fn recall(&self, entry: [u8; ENTRY]) {
        let (id, until) = entry.split_at(16);
        if let (Some(id), Some(until)) = (id.first_chunk::<16>(), until.first_chunk::<4>()) {
            let until = u32::from_le_bytes(*until);
            self.shard(id).write().insert(*id, until);
        }
    }

    /// Gives all entries of a shard, as [`RevocationIndex::recall`] takes them.
    fn tell(&self, shard: u8, put: &mut dyn FnMut([u8; ENTRY])) {
        for (id, until) in &*self.shards[usize::from(shard)].read() {
            let mut entry = [0; ENTRY];
            entry[..16].copy_from_slice(id);
            entry[16..].copy_from_slice(&until.to_le_bytes());
            put(entry);
        }
    }

    /// A number that grows with each insertion. Read before looking ids up, it tells later
    /// whether the look-up still stands.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The latest end of any id forgotten: tokens that end by then are refused even if the clock
    /// has been set back.
    pub fn floor(&self) -> Timestamp {
        Timestamp::from_millis(self.floor.load(Ordering::SeqCst))
    }

    /// Forgets some of the ids whose end is long past, a thirty-second of them a call. Call it
    /// about once a minute. Returns how many it forgot.
    pub fn purge(&self, now: Timestamp) -> usize {
        self.advance(now);
        let trusted = self.trusted(now);
        let start = self.cursor.fetch_add(SHARDS_PER_PURGE, Ordering::Relaxed);
        (start..start.saturating_add(SHARDS_PER_PURGE))
            .map(|at| self.purge_shard(at % SHARDS, trusted))
            .sum()
    }

    /// The time that whatever is deleted for its age goes by, `now` by the clock: a clock that jumps
    /// ahead is followed by at most [`MAX_STEP`] a call of [`RevocationIndex::purge`], one that is set
    /// back at once.
    pub fn trusted(&self, now: Timestamp) -> Timestamp {
        now.min(self.furthest())
    }

    /// How far the clock has been followed.
    fn furthest(&self) -> Timestamp {
        Timestamp::from_millis(self.furthest.load(Ordering::SeqCst))
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn purge_shard(&self, at: usize, trusted: Timestamp) -> usize {
        let mut shard = self.shards[at].write();
        let before = shard.len();
        let is_past = |until: u32| is_forgettable(Timestamp::from_seconds(until.into()), trusted);
        let ends = shard.values().copied().filter(|until| is_past(*until));
        let Some(latest) = ends.max() else { return 0 };
        // Before the first is forgotten.
        self.raise_floor(Timestamp::from_seconds(latest.into()));
        shard.retain(|_, until| !is_past(*until));
        if shard.capacity() > 4 * shard.len() + 64 {
            shard.shrink_to_fit();
        }
        before - shard.len()
    }

    /// Follows the clock to `now`, never back.
    fn advance(&self, now: Timestamp) {
        let step = |furthest: u64| match furthest {
            0 => now.millis(),
            furthest => now
                .millis()
                .min(furthest.saturating_add(MAX_STEP))
                .max(furthest),
        };
        let update = |furthest| Some(step(furthest));
        let _ = self
            .furthest
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
    }

    fn raise_floor(&self, floor: Timestamp) {
        self.floor.fetch_max(floor.millis(), Ordering::SeqCst);
    }

    /// Shards are the store's buckets: by the first byte.
    fn shard(&self, id: &[u8; 16]) -> &RwLock<Ids> {
        &self.shards[usize::from(id[0])]
    }
}

impl Default for RevocationIndex {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            generation: AtomicU64::new(1),
            furthest: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            cursor: AtomicUsize::new(0),
            kept: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for RevocationIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationIndex({} ids)", self.len())
    }
}

fn is_forgettable(end: Timestamp, trusted: Timestamp) -> bool {
    end < Timestamp::from_seconds(FOREVER.into()) && end.plus_seconds(MARGIN) <= trusted
}

/// Writes the revocation of `id`; see the module on what must follow. `expires_at` as in
/// [`RevocationIndex::insert`].
///
/// # Errors
/// Only of the store.
pub fn revoke(
    tx: &mut Tx<'_>,
    id: [u8; 16],
    expires_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let longest = match REVOCATIONS.get(tx, &id)? {
        Some(known) => known.expires_at.zip(expires_at).map(|(a, b)| a.max(b)),
        None => expires_at,
    };
    let revocation = Revocation {
        expires_at: longest,
    };
    REVOCATIONS.put(tx, &id, &revocation)
}

/// Whether `id` has been revoked, by an earlier transaction or this one: the index in memory learns of
/// it a moment later.
///
/// # Errors
/// Only of the store.
pub fn is_revoked(from: &impl Read, id: &[u8; 16]) -> Result<bool, StoreError> {
    REVOCATIONS.contains(from, id)
}

/// The index of everything stored. For start-up; `now` only counts at the very first one.
///
/// # Errors
/// Only of the store.
pub fn load(from: &Reader, now: Timestamp) -> Result<RevocationIndex, StoreError> {
    let index = RevocationIndex::default();
    let progress = PROGRESS.get(from, PROGRESS_KEY)?;
    let Progress { trusted, floor } = progress.unwrap_or(Progress {
        trusted: now,
        ..Progress::default()
    });
    index.furthest.store(trusted.millis(), Ordering::SeqCst);
    index.raise_floor(floor);
    if floor > now {
        tracing::warn!(
            until = rfc3339(floor),
            "the clock has been set back: tokens that end before that are refused"
        );
    }
    let read = |key: &[u8], revocation: Revocation| {
        let id = key.try_into().map_err(|_| REVOCATIONS.corrupt(key))?;
        Ok((id, revocation.expires_at))
    };
    REVOCATIONS.load_brief(
        from,
        |entry| index.recall(entry),
        read,
        |(id, expires_at)| index.insert(id, expires_at),
    )?;
    Ok(index)
}

/// Keeps the index in brief beside the store, for the next start, if it is large and has changed.
///
/// # Errors
/// Those of the store and of the file; what was kept before stays.
pub(crate) async fn keep(index: &Arc<RevocationIndex>, store: &Store) -> Result<(), StoreError> {
    let generation = index.generation();
    if index.kept.load(Ordering::Relaxed) == generation || index.len() < MANY {
        return Ok(());
    }
    let books = store.books(REVOCATIONS).await?;
    let source = Arc::clone(index);
    let write = move || books.keep(|first, put| source.tell(first, put));
    tokio::task::spawn_blocking(write)
        .await
        .map_err(|_| StoreError::Panicked)?
        .map_err(|error| StoreError::Engine(error.to_string()))?;
    index.kept.store(generation, Ordering::Relaxed);
    Ok(())
}

/// Whether a stored revocation may be deleted: no token that carries its id counts, whatever the
/// clock says. Goes by the time [`RevocationIndex::trusted`].
pub(crate) fn is_past(revocation: &Revocation, trusted: Timestamp) -> bool {
    revocation
        .expires_at
        .is_some_and(|end| is_forgettable(end, trusted))
}

/// Refuses, from this commit on and whatever the clock says, the tokens that end by `end`: what they
/// could be revoked by goes with this transaction.
///
/// # Errors
/// Only of the store.
pub(crate) fn leave_behind(
    index: &Arc<RevocationIndex>,
    tx: &mut Tx<'_>,
    end: Timestamp,
) -> Result<(), StoreError> {
    let stored = PROGRESS.get(tx, PROGRESS_KEY)?.unwrap_or_default();
    let trusted = index.furthest();
    let floor = stored.floor.max(index.floor()).max(end);
    if floor > stored.floor || trusted.millis_since(stored.trusted) >= MAX_UNSAVED {
        // In the same commit as the deletions: after a restart the floor stands in for them.
        PROGRESS.put(tx, PROGRESS_KEY, &Progress { trusted, floor })?;
        let index = Arc::clone(index);
        tx.on_commit(move || index.raise_floor(floor));
    }
    Ok(())
}
