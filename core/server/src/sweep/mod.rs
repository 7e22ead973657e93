//! Deleting what is past its time, a little every second.
//!
//! Owns: which records age, the order they are looked through in, how much is done at once. Does
//! not: decide whether anything still counts; everything here is refused for its age already, and
//! what lives in memory alone (conversations, the throttle) bounds itself.
//!
//! A round goes through the kinds one after the other. Each turn reads a page of a kind outside the
//! writer, then deletes what is past in transactions of [`AT_ONCE`], each of which looks again.
//!
//! **Invariants:** the writer is never held for a scan; a turn does a bounded amount of work; age is
//! measured by the time that revocations are forgotten by
//! ([`RevocationIndex::trusted`](crate::token::RevocationIndex::trusted)), which a clock that jumps
//! ahead moves by minutes only (THREATS S6), and with [`MARGIN`] to spare; tokens that only a deleted
//! record could have ended stay refused, also when the clock is set back.

mod kinds;

use std::sync::Arc;

use crate::{
    clock::Timestamp,
    store::{Reader, Store, StoreError, Tx},
    token::RevocationIndex,
};

use kinds::KINDS;

/// Seconds a record is kept past its end.
pub(crate) const MARGIN: u64 = 3600;

/// Records deleted in one transaction.
const AT_ONCE: usize = 250;

/// Whether something that ended at `end` is past, by the time `trusted`.
pub(crate) fn is_past(end: Timestamp, trusted: Timestamp) -> bool {
    end.plus_seconds(MARGIN) <= trusted
}

/// Records of one kind that age.
struct Kind {
    name: &'static str,
    look: Look,
    forget: Forget,
}

/// Reads a page, from after a key, of so many records, by a time.
type Look = fn(&Reader, Option<&[u8]>, usize, Timestamp) -> Result<Page, StoreError>;

/// Deletes those under these keys that are past. Says how many.
type Forget =
    fn(&mut Tx<'_>, &Arc<RevocationIndex>, &[Vec<u8>], Timestamp) -> Result<usize, StoreError>;

/// What a look found.
pub(crate) struct Page {
    /// Keys of records that are past.
    pub(crate) past: Vec<Vec<u8>>,
    /// Where to go on; nothing at the end.
    pub(crate) next: Option<Vec<u8>>,
}

/// The sweep under way.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// The kind looked through; nothing between rounds.
    kind: Option<usize>,
    from: Option<Vec<u8>>,
}

impl Sweeper {
    /// Begins a round, unless one is under way.
    pub fn begin(&mut self) {
        self.kind.get_or_insert(0);
    }

    /// Whether a round is under way.
    pub const fn is_sweeping(&self) -> bool {
        self.kind.is_some()
    }

    /// Looks at up to `budget` more records and deletes those that are past at `now`. Says how many.
    ///
    /// # Errors
    /// Those of the store; the next turn tries again.
    pub async fn turn(
        &mut self,
        store: &Store,
        index: &Arc<RevocationIndex>,
        now: Timestamp,
        budget: usize,
    ) -> Result<usize, StoreError> {
        let Some(place) = self.kind else {
            return Ok(0);
        };
        let Some(kind) = KINDS.get(place) else {
            self.kind = None;
            return Ok(0);
        };
        let (trusted, from) = (index.trusted(now), self.from.clone());
        let page = store
            .read(move |reader| (kind.look)(reader, from.as_deref(), budget, trusted))
            .await?;
        let mut forgotten = 0;
        for keys in page.past.chunks(AT_ONCE) {
            let (index, keys) = (Arc::clone(index), keys.to_vec());
            forgotten += store
                .write(move |tx| (kind.forget)(tx, &index, &keys, trusted))
                .await?;
        }
        if forgotten > 0 {
            tracing::debug!(kind = kind.name, forgotten, "what was past was deleted");
        }
        self.from = page.next;
        if self.from.is_none() {
            self.kind = Some(place + 1);
        }
        Ok(forgotten)
    }
}

#[cfg(test)]
mod tests;
