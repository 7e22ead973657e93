//! A consistent picture of the whole store while writing goes on.
//!
//! The engine has no snapshots of its own. So from the moment a [`Snapshot`] is taken the writer
//! notes, before it changes a key that the snapshot has not passed yet, what lay there; and the
//! snapshot, walking the keys in order, puts what was noted over what it finds. What comes out is
//! the state at one sequence number: that of the last group before it was taken.
//!
//! **Invariants:** a key is noted before it is changed; what a walk found is corrected with what was
//! noted by then, under the one lock under which the writer notes. The writer never waits for the
//! snapshot: one that notes more than [`MOST_NOTED`] bytes is lost, and says so.
//!
//! The proof is not left to the argument: the books of that sequence number say how many records
//! there are and what their checksums sum up to, and a snapshot that ends otherwise is an error.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    error::StoreError,
    handle::Store,
    highwater::Mark,
    ledger::{Ledger, Tally},
    read::Order,
    record,
    tx::Overlay,
    verify::Verified,
};

/// Bytes of what lay there before, ahead of the walk: some hundred thousand records.
const MOST_NOTED: usize = 64 << 20;

/// Records read at once.
const AT_ONCE: usize = 1000;

/// Past the last key of any table.
const END: [u8; 1] = [u8::MAX];

/// Where the writer notes what it is about to change.
#[derive(Default)]
pub(super) struct Watch {
    is_on: AtomicBool,
    notes: Mutex<Option<Notes>>,
}

/// What the snapshot under way has not passed yet and what lay there when it was taken.
struct Notes {
    /// Which snapshot.
    number: u64,
    /// The walk is past every key up to here.
    position: Vec<u8>,
    before: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    is_lost: bool,
}

impl Watch {
    /// Notes what lies under the keys of the group that is about to be written.
    pub(super) fn note(
        &self,
        overlay: &Overlay,
        get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut notes = self.notes.lock();
        let Some(notes) = notes.as_mut().filter(|notes| !notes.is_lost) else {
            return;
        };
        for key in overlay.keys() {
            if *key <= notes.position || notes.before.contains_key(key) {
                continue;
            }
            match get(key) {
                Ok(before) => {
                    notes.bytes += key.len() + before.as_ref().map_or(0, Vec::len) + 64;
                    notes.before.insert(key.clone(), before);
                }
                Err(_) => notes.is_lost = true,
            }
            if notes.is_lost || notes.bytes > MOST_NOTED {
                notes.is_lost = true;
                notes.before = BTreeMap::new();
                return;
            }
        }
    }

    /// Whether a snapshot is being read.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    fn begin(&self) -> Result<u64, StoreError> {
        let mut notes = self.notes.lock();
        if notes.is_some() {
            return Err(StoreError::SnapshotTaken);
        }
        let number = u64::from_le_bytes(crate::id::random_bytes());
        *notes = Some(Notes {
            number,
            position: Vec::new(),
            before: BTreeMap::new(),
            bytes: 0,
            is_lost: false,
        });
        self.is_on.store(true, Ordering::Release);
        Ok(number)
    }

    fn end(&self, number: u64) {
        let mut notes = self.notes.lock();
        if notes.as_ref().is_some_and(|notes| notes.number == number) {
            *notes = None;
            self.is_on.store(false, Ordering::Release);
        }
    }

    /// Moves the walk on to `position` and hands over what was noted on the way.
    fn pass(
        &self,
        number: u64,
        position: &[u8],
    ) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, StoreError> {
        let mut notes = self.notes.lock();
        let notes = notes
            .as_mut()
            .filter(|notes| notes.number == number && !notes.is_lost)
            .ok_or(StoreError::SnapshotLost)?;
        let mut after = position.to_vec();
        after.push(0);
        let ahead = notes.before.split_off(&after);
        let passed = std::mem::replace(&mut notes.before, ahead);
        for (key, before) in &passed {
            notes.bytes -= key.len() + before.as_ref().map_or(0, Vec::len) + 64;
        }
        notes.position = position.to_vec();
        Ok(passed)
    }
}

/// A full key and what lies under it.
type Stored = (Vec<u8>, Vec<u8>);

/// The state of the store at one sequence number, read once from front to back.
pub struct Snapshot {
    data: Arc<Verified>,
    taken: Taken,
    position: Vec<u8>,
    found: Tally,
    is_over: bool,
}

/// Ends the snapshot when it goes, wherever it is by then.
struct Taken {
    watch: Arc<Watch>,
    number: u64,
    mark: Mark,
    expected: Tally,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.watch.end(self.number);
    }
}

impl Store {
    /// Takes a snapshot. One at a time.
    ///
    /// # Errors
    /// [`StoreError::SnapshotTaken`], and those of [`Store::write`].
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let data = Arc::clone(&self.reader().engine);
        let taken = self.write(take(&data)).await?;
        Ok(Snapshot::new(data, taken))
    }

    /// As [`Store::snapshot`]. Blocks.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot_blocking(&self) -> Result<Snapshot, StoreError> {
        let data = Arc::clone(&self.reader().engine);
        let taken = self.write_blocking(take(&data))?;
        Ok(Snapshot::new(data, taken))
    }
}

/// Between two groups, on the writer's thread: the books lie there as of the last one. They are read anew
/// and not taken over from the writer: after a sync that failed its own are behind what the engine holds,
/// and a store that is read-only for that is one to make a backup of.
fn take(
    data: &Arc<Verified>,
) -> impl FnOnce(&mut super::Tx<'_>) -> Result<Taken, StoreError> + Send + 'static {
    let data = Arc::clone(data);
    move |_| {
        let mut books = Vec::new();
        data.engine.scan(vec![0]..vec![1], |key, bytes| {
            books.push((key.to_vec(), bytes.to_vec()));
            true
        })?;
        let corrupt = || StoreError::Corrupt {
            table: "books".into(),
            key: String::new(),
        };
        let ledger = Ledger::load(books.into_iter()).map_err(|_| corrupt())?;
        let ledger = ledger.ok_or_else(corrupt)?;
        let digest = ledger
            .tallies
            .values()
            .fold(0_u64, |sum, (tally, _)| sum.wrapping_add(tally.digest));
        Ok(Taken {
            number: data.watch.begin()?,
            watch: Arc::clone(&data.watch),
            mark: ledger.mark,
            expected: Tally {
                count: ledger.mark.count,
                digest,
            },
        })
    }
}

impl Snapshot {
    fn new(data: Arc<Verified>, taken: Taken) -> Self {
        Self {
            data,
            taken,
            position: vec![0, u8::MAX, u8::MAX, u8::MAX],
            found: Tally::default(),
            is_over: false,
        }
    }

    /// The sequence number whose state this is.
    pub fn sequence(&self) -> u64 {
        self.taken.mark.sequence
    }

    /// Whether somebody had claimed the server by then.
    pub fn initialised(&self) -> bool {
        self.taken.mark.initialised
    }

    /// How many records there are in all.
    pub fn records(&self) -> u64 {
        self.taken.expected.count
    }

    /// The next records by key, nothing at the end. Blocks.
    ///
    /// # Errors
    /// [`StoreError::SnapshotLost`] when writing was so much faster than reading that it cannot go
    /// on; [`StoreError::Corrupt`], also at the end when what was read is not what the books say.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Stored>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let mut start = self.position.clone();
        start.push(0);
        let mut found: Vec<Stored> = self
            .data
            .range(start..END.to_vec(), Order::Ascending)
            .take(AT_ONCE)
            .collect::<Result<_, _>>()?;
        self.position = match found.last() {
            Some((key, _)) if found.len() == AT_ONCE => key.clone(),
            _ => END.to_vec(),
        };
        let noted = self.taken.watch.pass(self.taken.number, &self.position)?;
        if !noted.is_empty() {
            found.retain(|(key, _)| !noted.contains_key(key));
            let there = |(key, before): (Vec<u8>, Option<Vec<u8>>)| before.map(|old| (key, old));
            found.extend(noted.into_iter().filter_map(there));
            found.sort_unstable();
        }
        for (_, bytes) in &found {
            self.found
                .add(record::stored_sum(bytes).unwrap_or_default());
        }
        if self.position == END {
            self.is_over = true;
            if self.found != self.taken.expected {
                return Err(StoreError::Corrupt {
                    table: "snapshot".into(),
                    key: format!("{}", self.taken.mark.sequence),
                });
            }
        }
        Ok(Some(found))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.sequence())
    }
}
