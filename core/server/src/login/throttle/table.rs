//! Marks by key, in memory that does not grow.
//!
//! Keys are hashes under a secret of ours, so nobody chooses where theirs go. Each has one bucket of
//! [`WAYS`] places. When a bucket is full, the key that has least to lose gives way: the one whose
//! failures are forgotten first. A flood of new keys, each with a failure or two, therefore pushes
//! out only its like, and never a key that waits long. To push out one that is held takes as many
//! keys that are held longer as the table has places, and each of those had to wait as long.
//!
//! **Invariants:** at most as many places as asked for, made when they are first needed; a key whose
//! attempt is under way gives way to nobody.

use super::{buckets::Buckets, rule::Mark};
use crate::clock::Timestamp;

const WAYS: usize = 8;

/// A key and its mark.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Zero: nobody's.
    key: u64,
    /// The account and the network it is of, shortened: to find what is to be cleared.
    pub(super) account: u32,
    pub(super) network: u32,
    pub(super) mark: Mark,
}

pub(super) struct Table(Buckets<[Place; WAYS]>);

impl Table {
    pub(super) fn new(places: usize) -> Self {
        Self(Buckets::new(places / WAYS))
    }

    /// The mark of `key`, if there is one.
    pub(super) fn find(&mut self, key: u64) -> Option<&mut Mark> {
        let key = key.max(1);
        let bucket = self.0.of(key).as_mut()?;
        bucket
            .iter_mut()
            .find(|place| place.key == key)
            .map(|place| &mut place.mark)
    }

    /// The mark of `key`, made if there is none. `None`: all in its bucket are under way.
    pub(super) fn make(
        &mut self,
        key: u64,
        account: u32,
        network: u32,
        now: Timestamp,
    ) -> Option<&mut Mark> {
        let key = key.max(1);
        let bucket = self.0.of(key).get_or_insert_default();
        let at = match bucket.iter().position(|place| place.key == key) {
            Some(at) => at,
            None => {
                let may_go = bucket
                    .iter()
                    .enumerate()
                    .filter(|(_, place)| place.mark.pending == 0);
                let (at, _) = may_go.min_by_key(|(_, place)| match place.key {
                    0 => 0,
                    _ if place.mark.is_blank(now) => 1,
                    _ => place.mark.end(),
                })?;
                bucket[at] = Place {
                    key,
                    account,
                    network,
                    mark: Mark::default(),
                };
                at
            }
        };
        Some(&mut bucket[at].mark)
    }

    /// Clears the marks for which `is_meant` says so, and says how many meant something. Attempts
    /// under way still come out.
    pub(super) fn clear(&mut self, now: Timestamp, is_meant: impl Fn(&Place) -> bool) -> usize {
        let mut cleared = 0;
        for place in self.0.made_mut().flatten() {
            if place.key != 0 && is_meant(place) {
                cleared += usize::from(!place.mark.is_blank(now));
                place.mark = Mark {
                    pending: place.mark.pending,
                    ..Mark::default()
                };
            }
        }
        cleared
    }

    /// Places in use, and the bytes that all there are take.
    pub(super) fn usage(&self, now: Timestamp) -> (usize, usize) {
        let in_use = |place: &&Place| place.key != 0 && !place.mark.is_blank(now);
        let used = self.0.made().flatten().filter(in_use).count();
        (used, self.0.bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_000_000);

    /// Spread like the hashes that keys are.
    fn key(i: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes())
    }

    fn mark(seconds: u64) -> Mark {
        Mark {
            owes_until: T0.plus_seconds(seconds).millis(),
            ..Mark::default()
        }
    }

    #[test]
    fn ten_million_keys_take_no_more_memory_and_push_out_nobody_who_has_more_to_lose() {
        // A hundredth of the size, a hundredth of the flood.
        let mut table = Table::new(1000);
        let attackers: Vec<u64> = (0..50).map(|i| key(1 << 40 | i)).collect();
        for attacker in &attackers {
            *table.make(*attacker, 0, 0, T0).unwrap() = mark(3600);
        }
        for i in 0..100_000 {
            *table.make(key(i), 0, 0, T0).unwrap() = mark(900);
        }
        let (_, full) = table.usage(T0);
        assert_eq!(size_of::<Place>(), 40);
        assert_eq!(full, 125 * (8 + 8 * 40));
        for attacker in attackers {
            assert_eq!(table.find(attacker), Some(&mut mark(3600)));
        }
    }

    #[test]
    fn whoever_is_under_way_stays() {
        let mut table = Table::new(8);
        for i in 1..=8 {
            table.make(i, 0, 0, T0).unwrap().pending = 1;
        }
        assert!(table.make(9, 0, 0, T0).is_none());
        table.find(3).unwrap().pending = 0;
        assert!(table.make(9, 0, 0, T0).is_some());
        assert!(table.find(3).is_none());
    }

    #[test]
    fn what_is_forgotten_gives_way_first() {
        let mut table = Table::new(8);
        for i in 1..=8 {
            *table.make(i, 0, 0, T0).unwrap() = mark(i * 10);
        }
        let later = T0.plus_seconds(45);
        *table.make(9, 0, 0, later).unwrap() = mark(50);
        assert!((5..=9).all(|i| table.find(i).is_some()));
        assert_eq!(table.usage(later).0, 5);
    }

    #[test]
    fn only_what_is_meant_is_cleared() {
        let mut table = Table::new(80);
        for i in 1..=8_u32 {
            *table.make(key(u64::from(i)), i % 2, 0, T0).unwrap() = mark(10);
        }
        assert_eq!(table.clear(T0, |place| place.account == 1), 4);
        assert_eq!(table.usage(T0).0, 4);
    }
}
