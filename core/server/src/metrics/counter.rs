//! A count that many threads add to without waiting for each other.
//!
//! Each thread has a place of its own, on a cache line of its own, as long as there are no more
//! threads than places; with more, some share.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Places for threads. The server has as many workers as cores, at least two.
pub(super) const SHARDS: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter([Place; SHARDS]);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        // `shard` is always below SHARDS.
        if let Some(place) = self.0.get(shard()) {
            place.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How many there have been.
    pub fn count(&self) -> u64 {
        let places = self.0.iter();
        places.map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

/// The place of this thread.
pub(super) fn shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        shard.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|_| counter.add_one()));
            }
        });
        assert_eq!(counter.count(), 2000 * SHARDS as u64);
    }
}
