//! The only place that reads the time. Everyone else is handed a [`Timestamp`].

use std::time::{SystemTime, UNIX_EPOCH};

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

    /// Whether fewer than `millis` milliseconds lie between the two. What is far ahead is not near: the
    /// clock was set back since.
    pub const fn is_near(self, other: Self, millis: u64) -> bool {
        self.0.abs_diff(other.0) < millis
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

    /// The present. A machine clock set before 1970 reads as the epoch instead of panicking.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that may read the clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => Timestamp(manual.load(std::sync::atomic::Ordering::SeqCst)),
            None => since_epoch(SystemTime::now()),
        }
    }
}

fn since_epoch(time: SystemTime) -> Timestamp {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_lies_far_ahead_is_not_near() {
        let at = |seconds: u64| Timestamp::from_seconds(1_000_000 + seconds);
        for (other, is_near) in [(0, false), (1, true), (10, true), (19, true), (20, false)] {
            assert_eq!(at(10).is_near(at(other), 10_000), is_near, "{other}");
        }
    }

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        let day = Duration::from_secs(86_400);
        assert_eq!(since_epoch(UNIX_EPOCH - day), Timestamp::default());
        assert_eq!(since_epoch(UNIX_EPOCH), Timestamp::default());
        assert_eq!(since_epoch(UNIX_EPOCH + day).seconds(), 86_400);
    }
}
