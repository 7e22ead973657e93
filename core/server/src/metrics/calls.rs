//! Calls into one backend, by method: how they came out, how long they took.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Histogram, histogram::Reading};

/// What a backend can be asked. A method that is not here counts as the last one.
const METHODS: [&str; 13] = [
    "identify",
    "login.begin",
    "login.resume",
    "revalidate",
    "directory.create",
    "directory.set_password",
    "directory.change_password",
    "directory.remove",
    "directory.describe",
    "logout",
    "logout.ended",
    "health",
    "other",
];

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// With an answer, be it "denied".
    Answered = 0,
    /// The backend said that it cannot tell.
    Failed = 1,
    /// Not in time.
    TimedOut = 2,
    /// With something unreadable, or a panic.
    Garbage = 3,
    /// Not made: too many were waiting.
    Busy = 4,
    /// Not made: the breaker is open.
    Paused = 5,
}

/// The method of that name among those that are counted.
pub fn known_method(method: &str) -> &'static str {
    let mut known = METHODS.iter().filter(|known| **known == method);
    known.next().unwrap_or(&METHODS[METHODS.len() - 1])
}

impl Fate {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::TimedOut, "timed_out"),
        (Self::Garbage, "garbage"),
        (Self::Busy, "busy"),
        (Self::Paused, "paused"),
    ];

    /// In a word.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

#[derive(Debug)]
struct Method {
    fates: [AtomicU64; Fate::ALL.len()],
    times: Histogram,
}

/// The calls so far.
#[derive(Debug)]
pub struct Calls([Method; METHODS.len()]);

impl Default for Calls {
    /// None.
    fn default() -> Self {
        Self(std::array::from_fn(|_| Method {
            fates: Default::default(),
            times: Histogram::default(),
        }))
    }
}

impl Calls {
    /// A call to `method` came out like this, after so long. Only calls that were made are timed.
    pub fn note(&self, method: &str, fate: Fate, took: Duration) {
        let place = METHODS.iter().position(|known| *known == method);
        let Some(method) = self.0.get(place.unwrap_or(METHODS.len() - 1)) else {
            return;
        };
        method.fates[fate as usize].fetch_add(1, Ordering::Relaxed);
        if !matches!(fate, Fate::Busy | Fate::Paused) {
            method.times.took(took);
        }
    }

    /// Method, how many came out how, and the times, of every method that was asked for.
    pub(super) fn readings(
        &self,
    ) -> impl Iterator<Item = (&'static str, Vec<(&'static str, u64)>, Reading)> {
        let methods = METHODS.iter().zip(&self.0);
        methods.filter_map(|(name, method)| {
            let fates: Vec<_> = Fate::ALL
                .iter()
                .map(|(fate, word)| {
                    let count = method.fates[*fate as usize].load(Ordering::Relaxed);
                    (*word, count)
                })
                .filter(|(_, count)| *count > 0)
                .collect();
            (!fates.is_empty()).then(|| (*name, fates, method.times.reading()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_were_not_made_are_counted_and_not_timed() {
        let calls = Calls::default();
        calls.note("login.begin", Fate::Answered, Duration::from_millis(1));
        calls.note("login.begin", Fate::Paused, Duration::ZERO);
        calls.note("something.new", Fate::Failed, Duration::from_millis(1));
        let readings: Vec<_> = calls.readings().collect();
        assert_eq!(readings.len(), 2);
        assert_eq!(readings[0].0, "login.begin");
        assert_eq!(readings[0].1, [("answered", 1), ("paused", 1)]);
        assert_eq!(readings[0].2.count, 1);
        assert_eq!(readings[1].0, "other");
    }
}
