//! What keeps sign-offs possible on a full disk: a file of a few megabytes that is given back to
//! the disk when nothing else is left.
//!
//! Three levels of free space. Above the store's `reserve` everything is written. Below it only
//! transactions that take something away from somebody (`Tx::sign_off`): ended logins, revoked
//! tokens, disabled accounts. When even [`FLOOR`] is not left, because others filled the disk, the
//! file is given up, and sign-offs go on in its place. Once there is room again, it is made anew.
//!
//! **Invariant:** the engine never meets a full disk: below [`FLOOR`] nothing is written.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::id::random_bytes;

/// Its name in the store's folder.
const NAME: &str = "reserve";

/// Its size in bytes: room for thousands of sign-offs.
const SIZE: u64 = 8 << 20;

/// Bytes that must be free for anything to be written: one group with its books, and a segment of
/// the engine.
pub(super) const FLOOR: u64 = 2 << 20;

/// The file.
pub(super) struct Reserve {
    path: PathBuf,
    is_there: bool,
}

impl Reserve {
    /// The one in `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        let path = dir.join(NAME);
        let is_there = fs::metadata(&path).is_ok_and(|file| file.len() == SIZE);
        Self { path, is_there }
    }

    pub(super) const fn is_there(&self) -> bool {
        self.is_there
    }

    /// Makes it, when so much more than it needs is free.
    pub(super) fn make(&mut self, free: u64, reserve: u64) {
        if self.is_there || free < reserve.saturating_add(2 * SIZE) {
            return;
        }
        match allocate(&self.path) {
            Ok(()) => self.is_there = true,
            Err(error) => {
                tracing::warn!(%error, "no space could be set aside for sign-offs on a full disk");
                drop(fs::remove_file(&self.path));
            }
        }
    }

    /// Gives it back to the disk. True when there was one.
    pub(super) fn give_up(&mut self) -> bool {
        let was_there = std::mem::take(&mut self.is_there);
        if was_there {
            drop(fs::remove_file(&self.path));
            tracing::warn!("the disk is full: the space set aside for sign-offs is in use now");
        }
        was_there
    }
}

fn allocate(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    if fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_err() {
        // A file system that cannot: then with bytes that no compression makes small.
        for _ in 0..SIZE / 4096 {
            file.write_all(&random_bytes::<4096>())?;
        }
    }
    file.sync_all()
}
