//! Tokens verified before, so that a second look costs a hash and a few comparisons.
//!
//! **Invariants:** bounded by entries and by bytes; found by the whole text of the token, so a
//! text that differs anywhere is another token; being here is no verdict, `verify` asks the
//! passing of time, the revocation index, the keys and the account each time; a token that comes
//! once only pushes nothing out.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use quick_cache::{Equivalent, Weighter, sync};

use super::verify::VerifiedToken;

/// Most entries held at once.
const ENTRIES: usize = 16 * 1024;
/// What the smallest entry is counted as, in bytes; with [`BYTES`] it bounds the entries.
const FLOOR: usize = 1280;
/// Most bytes held at once.
const BYTES: usize = ENTRIES * FLOOR;

pub(super) struct Cache {
    kept: sync::Cache<Key, Arc<VerifiedToken>, Weight>,
    doorkeeper: Doorkeeper,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            kept: sync::Cache::with_weighter(ENTRIES, BYTES as u64, Weight),
            doorkeeper: Doorkeeper::new(),
        }
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<VerifiedToken>> {
        self.kept.get(&Probe(token))
    }

    /// Keeps a token the second time it comes.
    pub(super) fn offer(&self, verified: &Arc<VerifiedToken>) {
        if self.doorkeeper.knows(tail(verified.text())) {
            self.insert(verified);
        }
    }

    pub(super) fn insert(&self, verified: &Arc<VerifiedToken>) {
        let key = Key {
            tail: tail(verified.text()),
            token: Arc::clone(verified),
        };
        self.kept.insert(key, Arc::clone(verified));
    }

    pub(super) fn remove(&self, token: &[u8]) {
        self.kept.remove(&Probe(token));
    }

    pub(super) fn clear(&self) {
        self.kept.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// The end of a token: of its signature, and as good as random. To hash more would tell no more.
fn tail(token: &[u8]) -> u64 {
    token
        .last_chunk()
        .map_or(0, |tail| u64::from_le_bytes(*tail))
}

struct Key {
    /// Of its text: what goes is found without a look at what it said.
    tail: u64,
    token: Arc<VerifiedToken>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.token.text() == other.token.text()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.tail);
    }
}

struct Probe<'a>(&'a [u8]);

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(tail(self.0));
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.token.text()
    }
}

/// Remembers what came lately, in a bit each (Einziger, Friedman and Manes, "TinyLFU", section 3.4).
/// Two tokens may share a bit: then one of them is kept at once.
struct Doorkeeper {
    bits: Box<[AtomicU64]>,
    noted: AtomicUsize,
}

impl Doorkeeper {
    /// Base 2 logarithm of how many bits there are: 8 for each entry of the cache.
    const LOG: u32 = ENTRIES.ilog2() + 3;

    fn new() -> Self {
        Self {
            bits: (0..1 << (Self::LOG - 6))
                .map(|_| AtomicU64::new(0))
                .collect(),
            noted: AtomicUsize::new(0),
        }
    }

    /// Whether a token with this tail came lately. From now on, it did.
    fn knows(&self, tail: u64) -> bool {
        // Letters: their bits are spread first (Knuth, volume 3, section 6.4).
        let place = tail.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::LOG);
        let bit = 1 << (place % 64);
        let word = usize::try_from(place / 64)
            .ok()
            .and_then(|at| self.bits.get(at));
        let Some(word) = word else { return true };
        let is_known = word.fetch_or(bit, Relaxed) & bit != 0;
        if !is_known && self.noted.fetch_add(1, Relaxed) >= ENTRIES {
            self.noted.store(0, Relaxed);
            self.bits.iter().for_each(|word| word.store(0, Relaxed));
        }
        is_known
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<VerifiedToken>> for Weight {
    fn weight(&self, key: &Key, _: &Arc<VerifiedToken>) -> u64 {
        key.token.size().max(FLOOR) as u64
    }
}
