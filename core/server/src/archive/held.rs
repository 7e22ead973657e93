//! The archive that an operator is reading through their socket, a piece at a time.
//!
//! **Invariants:** one at a time; one that nobody asks for is let go of, so that the writer does not
//! note changes for somebody who is gone.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{ArchiveError, Source};
use crate::{clock::Timestamp, id::random_bytes, store::StoreError};

/// Milliseconds after which one that is not read is let go of; and after which it makes room for
/// another.
const IDLE: u64 = 120_000;
const YIELDS: u64 = 15_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Option<Holding>>);

#[derive(Debug)]
struct Holding {
    id: String,
    source: Arc<Mutex<Source>>,
    asked_at: Timestamp,
}

impl Held {
    /// Makes room: lets go of one that is not being read.
    ///
    /// # Errors
    /// [`StoreError::SnapshotTaken`].
    pub(crate) fn make_room(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut held = self.0.lock();
        match &*held {
            Some(holding) if now.is_near(holding.asked_at, YIELDS) => {
                Err(StoreError::SnapshotTaken)
            }
            _ => {
                *held = None;
                Ok(())
            }
        }
    }

    /// Holds it, and says by which id it is read.
    pub(crate) fn hold(&self, source: Source, now: Timestamp) -> String {
        let id = hex::encode(random_bytes::<16>());
        *self.0.lock() = Some(Holding {
            id: id.clone(),
            source: Arc::new(Mutex::new(source)),
            asked_at: now,
        });
        id
    }

    /// The next lines of the one with this id, nothing at the end; `None` when there is none.
    /// Blocks.
    pub(crate) fn lines(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Option<Result<Option<Vec<u8>>, ArchiveError>> {
        let source = {
            let mut held = self.0.lock();
            let holding = held.as_mut().filter(|holding| holding.id == id)?;
            holding.asked_at = now;
            Arc::clone(&holding.source)
        };
        let lines = source.lock().lines();
        if !matches!(lines, Ok(Some(_))) {
            let mut held = self.0.lock();
            if held.as_ref().is_some_and(|holding| holding.id == id) {
                *held = None;
            }
        }
        Some(lines)
    }

    /// Lets go of one that nobody has asked for in a while.
    pub(crate) fn drop_idle(&self, now: Timestamp) {
        let mut held = self.0.lock();
        if held
            .as_ref()
            .is_some_and(|holding| !now.is_near(holding.asked_at, IDLE))
        {
            *held = None;
        }
    }
}
