//! The account books: what should be in the database, kept in the database with every group.
//!
//! Records fall into buckets by the first two bytes of their key (table, first key byte). For each
//! bucket a tally of count and digest (the wrapping sum of the records' checksums) lies under
//! `[0, table, byte]`, and one meta record under `[0]` sums up the tallies. A missing, added or
//! altered record makes its bucket's tally wrong; a missing tally makes the meta record wrong; a
//! meta record from the past is behind the high-water file.
//!
//! **Invariant:** a group's records, tallies and meta record are written in one atomic batch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{highwater::Mark, record, tx::Overlay};

/// The layout of the whole store this code writes. Newer ones are refused.
pub(super) const SCHEMA: u32 = 1;

/// The meta record's key. Tallies follow it; tables start at `[1]`.
pub(super) const META: [u8; 1] = [0];

const VERSION: u8 = 1;

/// Which bucket a full key belongs to.
pub(super) fn bucket(key: &[u8]) -> u16 {
    u16::from_be_bytes([
        key.first().copied().unwrap_or(0),
        key.get(1).copied().unwrap_or(0),
    ])
}

/// Count and digest of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) digest: u64,
}

impl Tally {
    pub(super) fn add(&mut self, sum: u64) {
        self.count = self.count.wrapping_add(1);
        self.digest = self.digest.wrapping_add(sum);
    }

    fn subtract(&mut self, sum: u64) {
        self.count = self.count.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(sum);
    }
}

/// The books as of the last group.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) mark: Mark,
    /// Tallies of the buckets that are not empty, each with its own record's checksum.
    pub(super) tallies: BTreeMap<u16, (Tally, u64)>,
}

/// The books as they will be, and what must be written for it.
pub(super) struct Staged {
    pub(super) mark: Mark,
    tallies: BTreeMap<u16, Option<(Tally, u64)>>,
    pub(super) records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Staged {
    /// What the touched buckets will hold.
    pub(super) fn touched(&self) -> Vec<(u16, Tally)> {
        let tally = |kept: &Option<(Tally, u64)>| kept.map(|(tally, _)| tally).unwrap_or_default();
        self.tallies
            .iter()
            .map(|(id, kept)| (*id, tally(kept)))
            .collect()
    }
}

impl Ledger {
    /// Reads the books from the entries below table 1; says what is wrong with them.
    pub(super) fn load(
        entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Option<Self>, &'static str> {
        let mut ledger = Self::default();
        let mut meta = None;
        let mut sums = Tally::default();
        for (key, bytes) in entries {
            let sound = record::Sound::check(&key, &bytes).ok_or("its books are damaged")?;
            match *key {
                [0] => {
                    meta = Some(
                        postcard::from_bytes::<Mark>(sound.payload)
                            .map_err(|_| "its books are damaged")?,
                    )
                }
                [0, table, byte] => {
                    let tally =
                        postcard::from_bytes(sound.payload).map_err(|_| "its books are damaged")?;
                    ledger
                        .tallies
                        .insert(u16::from_be_bytes([table, byte]), (tally, sound.sum));
                    sums.add(sound.sum);
                }
                _ => return Err("its books are damaged"),
            }
        }
        let Some(mark) = meta else {
            return if sums == Tally::default() {
                Ok(None)
            } else {
                Err("its books are incomplete")
            };
        };
        let count = ledger
            .tallies
            .values()
            .fold(0_u64, |sum, (tally, _)| sum.wrapping_add(tally.count));
        if mark.digest != sums.digest || mark.count != count {
            return Err("its books do not add up");
        }
        ledger.mark = mark;
        Ok(Some(ledger))
    }

    /// Prepares the books for a group.
    pub(super) fn stage(&self, overlay: &Overlay, initialise: bool) -> Staged {
        let mut mark = self.mark;
        mark.schema = SCHEMA;
        mark.sequence += 1;
        mark.initialised |= initialise;
        let mut touched: BTreeMap<u16, Tally> = BTreeMap::new();
        for (key, change) in overlay {
            let id = bucket(key);
            let tally = touched
                .entry(id)
                .or_insert_with(|| self.tallies.get(&id).copied().unwrap_or_default().0);
            if let Some(sum) = change.was {
                tally.subtract(sum);
                mark.count = mark.count.wrapping_sub(1);
            }
            if let Some(sum) = change.value.as_deref().and_then(record::stored_sum) {
                tally.add(sum);
                mark.count = mark.count.wrapping_add(1);
            }
        }
        let mut records = Vec::with_capacity(touched.len() + 1);
        let mut tallies = BTreeMap::new();
        for (id, tally) in touched {
            let [table, byte] = id.to_be_bytes();
            let key = vec![0, table, byte];
            if let Some((_, sum)) = self.tallies.get(&id) {
                mark.digest = mark.digest.wrapping_sub(*sum);
            }
            let kept = (tally.count > 0).then(|| {
                let bytes = record::encode_raw(
                    &key,
                    VERSION,
                    &postcard::to_stdvec(&tally).unwrap_or_default(),
                );
                let sum = record::stored_sum(&bytes).unwrap_or_default();
                mark.digest = mark.digest.wrapping_add(sum);
                (bytes, sum)
            });
            tallies.insert(id, kept.as_ref().map(|(_, sum)| (tally, *sum)));
            records.push((key, kept.map(|(bytes, _)| bytes)));
        }
        let meta = postcard::to_stdvec(&mark).unwrap_or_default();
        records.push((
            META.to_vec(),
            Some(record::encode_raw(&META, VERSION, &meta)),
        ));
        Staged {
            mark,
            tallies,
            records,
        }
    }

    /// Takes over what was staged, once it is written.
    pub(super) fn adopt(&mut self, staged: Staged) {
        self.mark = staged.mark;
        for (id, tally) in staged.tallies {
            match tally {
                Some(tally) => self.tallies.insert(id, tally),
                None => self.tallies.remove(&id),
            };
        }
    }
}
