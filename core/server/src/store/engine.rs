//! The only file that names sled: one ordered map of bytes, written in atomic batches.
//!
//! **Invariant:** a panic of the engine becomes an error here; nothing above sees one.

use std::{
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

use super::{
    error::StoreError,
    read::{Entry, Order},
};

/// The engine's data file in the data directory.
pub(super) const DATA: &str = "db";

/// The open engine.
pub(super) struct Engine {
    db: sled::Db,
    /// Our own descriptor of the data file: sled's flush does not reach the platter (PITFALLS).
    file: File,
}

/// Why it did not open.
pub(super) enum Fault {
    /// Another handle is open.
    Locked,
    /// It cannot make sense of its files.
    Unreadable(String),
}

impl Engine {
    pub(super) fn open(dir: &Path, cache: u64) -> Result<Self, Fault> {
        let config = || {
            sled::Config::new()
                .path(dir)
                .cache_capacity(cache)
                .flush_every_ms(None)
        };
        let db = match catch_unwind(|| config().open()) {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if error.to_string().contains("could not acquire lock") => {
                return Err(Fault::Locked);
            }
            Ok(Err(error)) => return Err(Fault::Unreadable(error.to_string())),
            Err(_) => return Err(Fault::Unreadable("it panicked".into())),
        };
        let file =
            File::open(dir.join(DATA)).map_err(|error| Fault::Unreadable(error.to_string()))?;
        Ok(Self { db, file })
    }

    /// As [`Engine::open`], waiting a little for a handle this process has just dropped.
    pub(super) fn reopen(dir: &Path, cache: u64) -> Result<Self, Fault> {
        for _ in 0..300 {
            match Self::open(dir, cache) {
                Err(Fault::Locked) => std::thread::sleep(Duration::from_millis(10)),
                other => return other,
            }
        }
        Err(Fault::Locked)
    }

    /// Deletes the snapshots: the engine makes them anew from its log, which takes longer. True
    /// when there were any.
    pub(super) fn delete_snapshots(dir: &Path) -> bool {
        let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let snapshots =
            files.filter(|file| file.file_name().to_string_lossy().starts_with("snap."));
        snapshots
            .filter(|file| std::fs::remove_file(file.path()).is_ok())
            .count()
            > 0
    }

    /// Bytes of the data file.
    pub(super) fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
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

    /// Shows `look` every entry of the range until it returns false.
    pub(super) fn scan(
        &self,
        range: Range<Vec<u8>>,
        mut look: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        guarded(|| {
            for entry in self.db.range(range) {
                let (key, bytes) = entry?;
                if !look(&key, &bytes) {
                    break;
                }
            }
            Ok(())
        })
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
        self.file
            .sync_data()
            .map_err(|error| StoreError::Engine(error.to_string()))
    }
}

fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::Engine(error.to_string())),
        Err(_) => Err(StoreError::Engine("panic".into())),
    }
}
