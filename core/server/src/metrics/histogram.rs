//! How often a value lay below each of a few bounds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Bounds for what a network or a plugin takes, in nanoseconds.
pub(crate) const TIMES: &[u64] = &[
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

/// Bounds for how much goes together.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// A histogram of times or sizes.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// What a raw value is multiplied by to be of its unit.
    unit: f64,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of times, from a tenth of a millisecond to ten seconds.
    pub fn of_times() -> Self {
        Self::new(TIMES, NANO)
    }

    /// Of sizes, from one to 512.
    pub fn of_sizes() -> Self {
        Self::new(SIZES, 1.0)
    }

    fn new(bounds: &'static [u64], unit: f64) -> Self {
        Self {
            bounds,
            unit,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Something took so long.
    pub fn took(&self, time: Duration) {
        self.observe(nanos(time));
    }

    /// There was a value: nanoseconds in a histogram of times.
    pub fn observe(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(self.bounds, value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// How it stands.
    pub(super) fn reading(&self) -> Reading {
        let counts = self.buckets.iter();
        Reading::new(
            self.bounds,
            self.unit,
            counts.map(|bucket| bucket.load(Ordering::Relaxed)),
            self.sum.load(Ordering::Relaxed),
        )
    }
}

/// Seconds in a nanosecond.
pub(super) const NANO: f64 = 1e-9;

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The place of `value` among the buckets of these bounds: the last one has none.
pub(super) fn bucket_of(bounds: &[u64], value: u64) -> usize {
    let fits = |bound: &u64| value <= *bound;
    bounds.iter().position(fits).unwrap_or(bounds.len())
}

/// What a histogram held at a moment.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    /// Upper bound and how many lay at or below it.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Reading {
    #[allow(
        clippy::cast_precision_loss,
        reason = "2^53 ns are a hundred days: close enough for a sum"
    )]
    pub(super) fn new(
        bounds: &[u64],
        unit: f64,
        counts: impl Iterator<Item = u64>,
        sum: u64,
    ) -> Self {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(bounds.len() + 1);
        let tops = bounds.iter().map(|bound| of_unit(*bound, unit));
        for (top, more) in tops.chain([f64::INFINITY]).zip(counts) {
            count += more;
            buckets.push((top, count));
        }
        // The last bucket has no bound: it is the count.
        buckets.truncate(bounds.len());
        Self {
            buckets,
            count,
            sum: sum as f64 * unit,
        }
    }
}

/// `value` times `unit`, written as people would: 0.0025 and not 0.0025000000000000001.
#[allow(clippy::cast_precision_loss, reason = "bounds are small")]
fn of_unit(value: u64, unit: f64) -> f64 {
    value as f64 / (1.0 / unit).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_at_or_below_their_bound() {
        let sizes = Histogram::of_sizes();
        for size in [1, 2, 3, 512, 513] {
            sizes.observe(size);
        }
        let reading = sizes.reading();
        let below = |top: f64| reading.buckets.iter().find(|(at, _)| *at == top);
        assert_eq!(below(1.0), Some(&(1.0, 1)));
        assert_eq!(below(2.0), Some(&(2.0, 2)));
        assert_eq!(below(4.0), Some(&(4.0, 3)));
        assert_eq!(below(512.0), Some(&(512.0, 4)));
        assert_eq!((reading.count, reading.sum), (5, 1031.0));
    }

    #[test]
    fn times_are_told_in_seconds() {
        let times = Histogram::of_times();
        times.took(Duration::from_micros(2500));
        times.took(Duration::from_secs(60));
        let reading = times.reading();
        assert_eq!(reading.buckets[4], (0.0025, 1));
        assert_eq!(reading.buckets.last(), Some(&(10.0, 1)));
        assert_eq!(reading.count, 2);
        assert!((reading.sum - 60.0025).abs() < 1e-6);
        let texts: Vec<_> = reading
            .buckets
            .iter()
            .map(|(top, _)| top.to_string())
            .collect();
        assert!(texts.iter().all(|text| text.len() <= 7), "{texts:?}");
    }
}
