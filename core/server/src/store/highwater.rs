//! The high-water file: how far the database had come, in a file of its own.
//!
//! The engine opens a damaged, emptied or older database without a word (PITFALLS). This file
//! remembers how far it had come, so that falling behind is noticed. It also carries the lock
//! that keeps a second process out.
//!
//! **Invariant:** never ahead of the database on the platter. Being behind it is safe.
//!
//! Two slots, 4 KiB apart, written in turn: a torn write leaves the other one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Its name in the data directory.
pub(super) const NAME: &str = "high-water";

/// How long the newest slot may stay unsynced: only a power cut loses it, and older is safe.
const LAG: Duration = Duration::from_millis(100);

const SLOT: u64 = 4096;
const MAGIC: [u8; 8] = *b"omnighw1";

/// What is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) schema: u32,
    pub(super) initialised: bool,
    pub(super) sequence: u64,
    pub(super) count: u64,
    pub(super) digest: u64,
}

/// The open, locked file.
pub(super) struct HighWater {
    file: File,
    last: Mark,
    unsynced_since: Option<Instant>,
}

/// Why it could not be opened.
pub(super) enum Fault {
    Locked,
    /// Neither slot can be read.
    Damaged,
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl HighWater {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Opens and locks it; makes it when `create`.
    pub(super) fn open(dir: &Path, create: bool) -> Result<Self, Fault> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600);
        let file = options.open(Self::path(dir))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => Fault::Locked,
            other => Fault::Io(other.into()),
        })?;
        let empty = file.metadata()?.len() == 0;
        let slots = [read_slot(&file, 0), read_slot(&file, SLOT)];
        let newest = slots
            .into_iter()
            .flatten()
            .max_by_key(|mark| (mark.sequence, mark.initialised));
        let last = match newest {
            Some(mark) => mark,
            None if empty && create => Mark::default(),
            None => return Err(Fault::Damaged),
        };
        let mut high_water = Self {
            file,
            last,
            unsynced_since: None,
        };
        if empty {
            high_water.write(Mark::default())?;
            high_water.sync()?;
            File::open(dir)?.sync_all()?;
        }
        Ok(high_water)
    }

    pub(super) const fn last(&self) -> Mark {
        self.last
    }

    /// Remembers `mark`: at once against a kill, against a power cut by and by, except that a
    /// change of `initialised` is synced before this returns.
    pub(super) fn advance(&mut self, mark: Mark) -> io::Result<()> {
        let urgent = mark.initialised != self.last.initialised;
        self.write(mark)?;
        let late = self
            .unsynced_since
            .is_some_and(|since| since.elapsed() >= LAG);
        if urgent || late { self.sync() } else { Ok(()) }
    }

    /// The time until the newest slot should be synced; nothing when it is.
    pub(super) fn due(&self) -> Option<Duration> {
        self.unsynced_since
            .map(|since| LAG.saturating_sub(since.elapsed()))
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.unsynced_since = None;
        Ok(())
    }

    fn write(&mut self, mark: Mark) -> io::Result<()> {
        let body = postcard::to_extend(&mark, MAGIC.to_vec()).map_err(io::Error::other)?;
        let mut slot = [0; 64];
        slot[0] = u8::try_from(body.len()).unwrap_or(u8::MAX);
        slot[1..=body.len()].copy_from_slice(&body);
        let sum = xxh3_64(&slot[..56]);
        slot[56..].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&slot, (mark.sequence % 2) * SLOT)?;
        if mark.sequence == 0 {
            self.file.write_all_at(&slot, SLOT)?;
        }
        self.last = mark;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

fn read_slot(file: &File, at: u64) -> Option<Mark> {
    let mut slot = [0; 64];
    file.read_exact_at(&mut slot, at).ok()?;
    let (body, sum) = slot.split_at(56);
    if xxh3_64(body).to_le_bytes() != sum {
        return None;
    }
    let (&length, body) = body.split_first()?;
    let body = body.get(..usize::from(length))?.strip_prefix(&MAGIC)?;
    postcard::from_bytes(body).ok()
}
