//! How large the store is and how it is doing, from counters that are kept: nothing is walked.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{ledger::Ledger, writer::Room};

/// Upper bounds of the buckets that flushes are counted in.
pub const FLUSH_BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Whether writes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// All of them.
    Open,
    /// The disk is nearly full: only those that take something away from somebody.
    SignOffsOnly,
    /// The disk is full: none.
    Full,
    /// A write failed, so none until a restart.
    ReadOnly,
}

/// The store at one moment.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Bytes of its files on disk.
    pub disk: u64,
    /// Bytes that are free for it there.
    pub free: u64,
    /// Whether the reserve for sign-offs is in place.
    pub has_reserve: bool,
    /// Whether writes are taken.
    pub writing: Writing,
    /// The number of the last group written.
    pub sequence: u64,
    /// How many records there are in all.
    pub records: u64,
    /// How many by table id; empty tables are left out.
    pub by_table: Vec<(u8, u64)>,
    /// Writes that wait.
    pub waiting: u64,
    /// Groups written since it was opened.
    pub flushes: u64,
    /// Transactions written since it was opened.
    pub transactions: u64,
    /// Time all these flushes took.
    pub flushing: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// How many took no longer than each of [`FLUSH_BOUNDS`], each counted once, in the first that
    /// fits; the last one counts those beyond all.
    pub flush_times: [u64; FLUSH_BOUNDS.len() + 1],
    /// How long ago the last one was.
    pub since_flush: Option<Duration>,
    /// Whether a snapshot is being read.
    pub has_snapshot: bool,
}

/// What the writer keeps for it.
#[derive(Debug)]
pub(super) struct Counters {
    opened: Instant,
    rows: [AtomicU64; 256],
    sequence: AtomicU64,
    flushes: AtomicU64,
    transactions: AtomicU64,
    nanos: AtomicU64,
    longest: AtomicU64,
    times: [AtomicU64; FLUSH_BOUNDS.len() + 1],
    /// Nanoseconds after `opened`; zero: never.
    last: AtomicU64,
    is_broken: AtomicBool,
    room: AtomicU64,
    pub(super) has_reserve: AtomicBool,
}

impl Counters {
    pub(super) fn new(ledger: &Ledger) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        let counters = Self {
            opened: Instant::now(),
            rows: std::array::from_fn(|_| zero()),
            sequence: zero(),
            flushes: zero(),
            transactions: zero(),
            nanos: zero(),
            longest: zero(),
            times: std::array::from_fn(|_| zero()),
            last: zero(),
            is_broken: AtomicBool::new(false),
            room: zero(),
            has_reserve: AtomicBool::new(false),
        };
        counters.count(ledger);
        Arc::new(counters)
    }

    /// Takes over what the books say.
    pub(super) fn count(&self, ledger: &Ledger) {
        let mut rows = [0_u64; 256];
        for (bucket, (tally, _)) in &ledger.tallies {
            let [table, _] = bucket.to_be_bytes();
            rows[usize::from(table)] += tally.count;
        }
        for (kept, count) in self.rows.iter().zip(rows) {
            kept.store(count, Ordering::Relaxed);
        }
        self.sequence.store(ledger.mark.sequence, Ordering::Relaxed);
    }

    /// Notes a change of how many records are in the bucket's table.
    pub(super) fn moved(&self, table: u8, was: u64, is: u64) {
        let rows = &self.rows[usize::from(table)];
        rows.fetch_add(is.wrapping_sub(was), Ordering::Relaxed);
    }

    pub(super) fn flushed(&self, sequence: u64, transactions: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sequence.store(sequence, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        let transactions = u64::try_from(transactions).unwrap_or(0);
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
        let place = FLUSH_BOUNDS.iter().position(|bound| took <= *bound);
        self.times[place.unwrap_or(FLUSH_BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        let last = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(last.max(1), Ordering::Relaxed);
    }

    pub(super) fn broke(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_room(&self, room: Room) {
        self.room.store(room as u64, Ordering::Relaxed);
    }

    pub(super) fn writing(&self) -> Writing {
        let room = self.room.load(Ordering::Relaxed);
        match self.is_broken.load(Ordering::Relaxed) {
            true => Writing::ReadOnly,
            _ if room == Room::Plenty as u64 => Writing::Open,
            _ if room == Room::SignOffs as u64 => Writing::SignOffsOnly,
            _ => Writing::Full,
        }
    }

    /// All but what the disk and the queue say.
    pub(super) fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rows = self.rows.iter().zip(0_u8..=u8::MAX).skip(1);
        let by_table: Vec<(u8, u64)> = rows
            .map(|(count, id)| (id, load(count)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let last = Some(load(&self.last)).filter(|last| *last > 0);
        Stats {
            disk: 0,
            free: 0,
            has_reserve: self.has_reserve.load(Ordering::Relaxed),
            writing: self.writing(),
            sequence: load(&self.sequence),
            records: by_table.iter().map(|(_, count)| count).sum(),
            by_table,
            waiting: 0,
            flushes: load(&self.flushes),
            transactions: load(&self.transactions),
            flushing: Duration::from_nanos(load(&self.nanos)),
            longest: Duration::from_nanos(load(&self.longest)),
            flush_times: std::array::from_fn(|place| load(&self.times[place])),
            since_flush: last.map(|last| {
                self.opened
                    .elapsed()
                    .saturating_sub(Duration::from_nanos(last))
            }),
            has_snapshot: false,
        }
    }
}

/// Bytes that the files in `dir`, and in the folders of it, take on disk.
pub fn disk(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => disk(&entry.path()),
            Ok(about) => {
                use std::os::unix::fs::MetadataExt;
                about.blocks().saturating_mul(512)
            }
            Err(_) => 0,
        })
        .sum()
}
