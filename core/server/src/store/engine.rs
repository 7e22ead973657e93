//! The only file that names sled: one ordered map of bytes, written in atomic batches.
//!
//! **Invariant:** a panic of the engine becomes an error here; nothing above sees one.

use std::{
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::{
    error::{OpenError, StoreError},
    read::{Entry, Order},
};

/// The open engine.
pub(super) struct Engine {
    db: sled::Db,
    /// Our own descriptor of the data file: sled's flush does not reach the platter (PITFALLS).
    file: File,
}

impl Engine {
    pub(super) fn open(dir: &Path, cache: u64) -> Result<Self, OpenError> {
        let io = |cause: String| OpenError::Io {
            dir: dir.into(),
            cause,
        };
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache)
            .flush_every_ms(None);
        let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if error.to_string().contains("could not acquire lock") => {
                return Err(OpenError::Locked(dir.into()));
            }
            Ok(Err(error)) => return Err(io(error.to_string())),
            Err(_) => return Err(io("the storage engine panicked".into())),
        };
        let file = File::open(dir.join("db")).map_err(|error| io(error.to_string()))?;
        Ok(Self { db, file })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            self.db
                .get(key)
                .map(|found| found.map(|bytes| bytes.to_vec()))
        })
    }

    /// Walks the keys of the range, lazily.
    pub(super) fn range(
        &self,
        range: Range<Vec<u8>>,
        order: Order,
    ) -> impl Iterator<Item = Entry> + use<> {
        let mut walk = self.db.range(range);
        std::iter::from_fn(move || {
            let next = || match order {
                Order::Ascending => walk.next().transpose(),
                Order::Descending => walk.next_back().transpose(),
            };
            guarded(next).transpose()
        })
        .map(|entry| entry.map(|(key, bytes)| (key.to_vec(), bytes.to_vec())))
    }

    /// Applies all changes, or after a crash none.
    pub(super) fn apply(
        &self,
        changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        guarded(|| self.db.apply_batch(batch))
    }

    /// Returns when everything applied is on the platter.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        guarded(|| self.db.flush())?;
        rustix::fs::fdatasync(&self.file).map_err(|error| StoreError::Engine(error.to_string()))
    }
}

fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::Engine(error.to_string())),
        Err(_) => Err(StoreError::Engine("panic".into())),
    }
}
