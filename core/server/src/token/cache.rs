//! Tokens verified before, so that a second look costs a hash and a few comparisons.
//!
//! **Invariants:** bounded by entries and by bytes; no token lies here, but a digest of its whole
//! text, so a text that differs anywhere is another token; being here is no verdict, `verify` asks
//! the passing of time, the revocation index, the keys and the account each time; a token that
//! comes once only pushes nothing out.
//!
//! The digest (XXH3, 128 bits) is made with random bytes that nobody outside learns. Whoever does
//! not hold a token can only guess what hashes alike; whoever does would at best have found another
//! spelling of the token they hold.

use std::{
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use quick_cache::{Equivalent, Weighter, sync};
use xxhash_rust::xxh3::xxh3_128_with_secret;

use super::verify::VerifiedToken;
use crate::id::random_bytes;

/// Most entries held at once.
const ENTRIES: usize = 16 * 1024;
/// What the smallest entry is counted as, in bytes; with [`BYTES`] it bounds the entries.
const FLOOR: usize = 320;
/// Most bytes held at once.
const BYTES: usize = ENTRIES * FLOOR;

/// Random bytes that the digests are made with; as many as XXH3 mixes in.
const SECRET: usize = 192;

pub(super) struct Cache {
    kept: sync::Cache<Key, VerifiedToken, Weight>,
    secret: [u8; SECRET],
    doorkeeper: Doorkeeper,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            kept: sync::Cache::with_weighter(ENTRIES, BYTES as u64, Weight),
            secret: random_bytes(),
            doorkeeper: Doorkeeper::new(),
        }
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<VerifiedToken> {
        self.kept.get(&self.probe(token))
    }

    /// Keeps a token the second time it comes.
    pub(super) fn offer(&self, token: &[u8], verified: &VerifiedToken) {
        if self.doorkeeper.knows(tail(token)) {
            self.insert(token, verified);
        }
    }

    pub(super) fn insert(&self, token: &[u8], verified: &VerifiedToken) {
        self.kept.insert(self.probe(token).key(), verified.clone());
    }

    pub(super) fn remove(&self, token: &[u8]) {
        self.kept.remove(&self.probe(token));
    }

    pub(super) fn clear(&self) {
        self.kept.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    const fn probe<'a>(&'a self, token: &'a [u8]) -> Probe<'a> {
        Probe {
            token,
            secret: &self.secret,
        }
    }
}

/// The end of a token: of its signature, and as good as random.
fn tail(token: &[u8]) -> u64 {
    token
        .last_chunk()
        .map_or(0, |tail| u64::from_le_bytes(*tail))
}

/// What stands for a token. Where its end says which one it may be, the digest says whether it is.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    tail: u64,
    digest: [u8; 16],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.tail);
    }
}

/// A token that is looked for.
struct Probe<'a> {
    token: &'a [u8],
    secret: &'a [u8; SECRET],
}

impl Probe<'_> {
    fn key(&self) -> Key {
        Key {
            tail: tail(self.token),
            digest: self.digest(),
        }
    }

    fn digest(&self) -> [u8; 16] {
        xxh3_128_with_secret(self.token, self.secret).to_le_bytes()
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(tail(self.token));
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.tail == tail(self.token) && key.digest == self.digest()
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

impl Weighter<Key, VerifiedToken> for Weight {
    fn weight(&self, _: &Key, verified: &VerifiedToken) -> u64 {
        (size_of::<Key>() + verified.size()).max(FLOOR) as u64
    }
}
