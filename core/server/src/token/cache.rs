//! Tokens verified before, so that a second look costs a hash and a few comparisons.
//!
//! **Invariants:** bounded by entries and by bytes; found by the whole text of the token, so a
//! text that differs anywhere is another token; being here is no verdict, `verify` asks the
//! passing of time, the revocation index, the keys and the account each time.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, Weighter, sync};

use super::verify::VerifiedToken;

/// Most entries held at once.
const ENTRIES: usize = 16 * 1024;
/// What the smallest entry is counted as, in bytes; with [`BYTES`] it bounds the entries.
const FLOOR: usize = 1024;
/// Most bytes held at once.
const BYTES: usize = ENTRIES * FLOOR;

pub(super) struct Cache(sync::Cache<Key, Arc<VerifiedToken>, Weight>);

impl Cache {
    pub(super) fn new() -> Self {
        Self(sync::Cache::with_weighter(ENTRIES, BYTES as u64, Weight))
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<VerifiedToken>> {
        self.0.get(&Probe(token))
    }

    pub(super) fn insert(&self, token: &[u8], verified: Arc<VerifiedToken>) {
        self.0.insert(Key(token.into()), verified);
    }

    pub(super) fn remove(&self, token: &[u8]) {
        self.0.remove(&Probe(token));
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(PartialEq, Eq)]
struct Key(Box<[u8]>);

struct Probe<'a>(&'a [u8]);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Probe(&self.0).hash(state);
    }
}

// The end of a token is its signature and as good as random: hashing more would tell no more.
impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0
            .last_chunk::<32>()
            .map_or(self.0, |tail| tail)
            .hash(state);
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == *key.0
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<VerifiedToken>> for Weight {
    fn weight(&self, key: &Key, _: &Arc<VerifiedToken>) -> u64 {
        // The claims' texts are in the token too, so twice its length covers both.
        let bytes = 2 * key.0.len() + size_of::<VerifiedToken>();
        bytes.max(FLOOR) as u64
    }
}
