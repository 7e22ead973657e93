//! How often something took less time than each of a few bounds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Bounds for what a processor, a disk, a network or a plugin takes, in nanoseconds.
pub(super) const TIMES: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// A histogram of times, from a tenth of a millisecond to ten seconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; TIMES.len() + 1],
    nanos: AtomicU64,
}

impl Default for Histogram {
    /// Nothing yet.
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; TIMES.len() + 1],
            nanos: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Something took so long.
    pub fn took(&self, time: Duration) {
        let nanos = nanos(time);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// How it stands.
    pub(super) fn reading(&self) -> Reading {
        let counts = self.buckets.iter();
        let counts = counts.map(|bucket| bucket.load(Ordering::Relaxed));
        Reading::new(TIMES, counts, self.nanos.load(Ordering::Relaxed))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The place of a time among the buckets of [`TIMES`]: the last one has no bound.
pub(super) fn bucket_of(nanos: u64) -> usize {
    let fits = |bound: &u64| nanos <= *bound;
    TIMES.iter().position(fits).unwrap_or(TIMES.len())
}

/// What a histogram held at a moment, in seconds.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    /// Upper bound and how many lay at or below it.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Reading {
    /// Of bounds in nanoseconds, how many lay in each bucket (one more than there are bounds), and
    /// the nanoseconds of all together.
    #[allow(
        clippy::cast_precision_loss,
        reason = "2^53 ns are a hundred days: close enough for a sum"
    )]
    pub(super) fn new(bounds: &[u64], counts: impl Iterator<Item = u64>, nanos: u64) -> Self {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        let mut bounds = bounds.iter();
        for more in counts {
            count += more;
            if let Some(bound) = bounds.next() {
                buckets.push((*bound as f64 / 1e9, count));
            }
        }
        Self {
            buckets,
            count,
            sum: nanos as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_at_or_below_their_bound_and_are_told_in_seconds() {
        let times = Histogram::default();
        times.took(Duration::from_micros(2500));
        times.took(Duration::from_nanos(2_500_001));
        times.took(Duration::from_secs(60));
        let reading = times.reading();
        assert_eq!(reading.buckets.len(), TIMES.len());
        assert_eq!(reading.buckets[3], (0.001, 0));
        assert_eq!(reading.buckets[4], (0.0025, 1));
        assert_eq!(reading.buckets[5], (0.005, 2));
        assert_eq!(reading.buckets.last(), Some(&(10.0, 2)));
        assert_eq!(reading.count, 3);
        assert!((reading.sum - 60.005).abs() < 1e-6);
        let bounds = reading.buckets.iter();
        let longest = bounds.map(|(bound, _)| bound.to_string().len()).max();
        assert!(longest <= Some(7), "written as people would: {longest:?}");
    }
}
