//! Spans of traces: how many there were, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanFate {
    /// The collector took it.
    Sent = 0,
    /// There was no room for it, or no collector in time.
    Dropped = 1,
    /// The collector did not want it.
    Refused = 2,
}

impl SpanFate {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Sent, "sent"),
        (Self::Dropped, "dropped"),
        (Self::Refused, "refused"),
    ];
}

/// The spans so far.
#[derive(Debug, Default)]
pub struct Spans([AtomicU64; SpanFate::ALL.len()]);

impl Spans {
    /// So many more came to this.
    pub fn note(&self, fate: SpanFate, more: u64) {
        self.0[fate as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// How many came to what.
    pub(crate) fn readings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let fates = SpanFate::ALL.iter();
        fates.map(|(fate, word)| (*word, self.0[*fate as usize].load(Ordering::Relaxed)))
    }
}
