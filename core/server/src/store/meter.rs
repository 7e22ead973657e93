//! What the writer has done so far, and whether it still writes.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::metrics::{Counter, Histogram};

/// Whether the store takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Writable,
    /// A write failed: it does not until the server is restarted.
    ReadOnly,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Meter {
    /// How long groups of transactions took to be on the platter.
    pub(crate) commits: Histogram,
    /// How many transactions were in each.
    pub(crate) groups: Histogram,
    /// Groups that did not get there.
    pub(crate) failed: Counter,
    is_read_only: AtomicBool,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            commits: Histogram::of_times(),
            groups: Histogram::of_sizes(),
            failed: Counter::default(),
            is_read_only: AtomicBool::new(false),
        }
    }
}

impl Meter {
    /// A group of so many transactions has met its fate.
    pub(super) fn note(&self, transactions: usize, took: Duration, is_durable: bool) {
        if transactions == 0 {
            return;
        }
        if is_durable {
            self.commits.took(took);
            self.groups.observe(transactions as u64);
        } else {
            self.failed.add_one();
        }
    }

    pub(super) fn set_read_only(&self) {
        self.is_read_only.store(true, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> State {
        if self.is_read_only.load(Ordering::Relaxed) {
            State::ReadOnly
        } else {
            State::Writable
        }
    }
}

/// Bytes of the files in `dir`, two folders deep.
pub(super) fn size_of(dir: &Path) -> u64 {
    fn below(dir: &Path, depth: u8) -> u64 {
        let files = fs::read_dir(dir).into_iter().flatten().flatten();
        let size = |file: fs::DirEntry| match file.metadata() {
            Ok(about) if about.is_dir() && depth > 0 => below(&file.path(), depth - 1),
            Ok(about) if about.is_file() => about.len(),
            _ => 0,
        };
        files.map(size).sum()
    }
    below(dir, 2)
}

/// Bytes free for us on the disk of `dir`.
pub(super) fn free_on(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
