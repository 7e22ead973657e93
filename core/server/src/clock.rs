//! The only place that reads the time. Everyone else is handed a [`Timestamp`].

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch. Never before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` whole seconds after the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch: what the HTTP API and JWT claims speak (RFC 7519 section 2).
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This moment moved on by `seconds`.
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later (a clock may jump back).
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the present comes from. Tests hand in [`Clock::manual`].
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<std::sync::Arc<std::sync::atomic::AtomicU64>>);

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(std::sync::Arc::new(
            std::sync::atomic::AtomicU64::new(start.millis()),
        )))
    }

    /// Moves a manual clock to `now`; the machine's clock ignores it.
    pub fn set(&self, now: Timestamp) {
        if let Some(manual) = &self.0 {
            manual.store(now.millis(), std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// The present in nanoseconds since the epoch, for the spans of traces: their times are compared
    /// with those of other machines, and are shorter than a millisecond.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that may read the clock"
    )]
    pub fn nanos(&self) -> u64 {
        match &self.0 {
            Some(_) => self.now().millis().saturating_mul(1_000_000),
            None => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
                u64::try_from(elapsed.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
            }
        }
    }

    /// The present, as of the kernel's last tick: up to 10 ms ago, and six times as cheap to ask for
    /// as the very moment. A machine clock set before 1970 reads as the epoch instead of panicking.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => Timestamp(manual.load(std::sync::atomic::Ordering::SeqCst)),
            None => since_epoch(clock_gettime(ClockId::RealtimeCoarse)),
        }
    }
}

fn since_epoch(time: Timespec) -> Timestamp {
    let seconds = u64::try_from(time.tv_sec);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.map_or(Timestamp::default(), |seconds| {
        Timestamp(seconds.saturating_mul(1000).saturating_add(millis))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        let at = |tv_sec, tv_nsec| since_epoch(Timespec { tv_sec, tv_nsec });
        assert_eq!(at(-86_400, 5_000_000), Timestamp::default());
        assert_eq!(at(0, 0), Timestamp::default());
        assert_eq!(at(86_400, 7_999_999), Timestamp::from_millis(86_400_007));
        assert_eq!(at(i64::MAX, 0), Timestamp::from_millis(u64::MAX));
    }

    #[test]
    fn the_cheap_clock_is_the_machines() {
        let clock = Clock::system();
        let apart = clock.now().millis().abs_diff(clock.nanos() / 1_000_000);
        assert!(apart < 1000, "{apart} ms");
    }
}
