//! The proof that nothing is missing, added or altered: every bucket is walked once after opening
//! and compared with the books.
//!
//! **Invariant:** nothing of a bucket is read before the bucket is proven. Who needs one that is
//! not yet, proves it on the spot (a few thousand records); a thread in the background proves the
//! rest. A record put into an unproven bucket changes what is expected of it by exactly that
//! record, so what was missing before stays missing, and is found.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    engine::Engine,
    error::{OpenError, StoreError},
    ledger::{Tally, bucket},
    read::{Entry, Order},
    record,
    snapshot::Watch,
};

const LOCKS: usize = 64;

const UNKNOWN: u8 = 0;
const SOUND: u8 = 1;
const DAMAGED: u8 = 2;

/// Records that are surely proven in a millisecond.
const PER_MILLI: u128 = 500;

/// Logins and the audit trail: many, and not on the way of a request that only needs an account.
const LATER: [u16; 2] = [4, 60];

/// The engine behind its proof.
pub(super) struct Verified {
    pub(super) engine: Engine,
    dir: PathBuf,
    /// One state per bucket.
    states: Box<[AtomicU8]>,
    /// Bucket `b` changes, while unproven, only under lock `b % LOCKS`.
    locks: [Mutex<()>; LOCKS],
    /// What the unproven buckets should hold. The innermost lock.
    expected: Mutex<BTreeMap<u16, Tally>>,
    damage: watch::Sender<Option<Arc<OpenError>>>,
    stop: AtomicBool,
    /// Anything was written since it was opened.
    has_changed: AtomicBool,
    /// Where the writer notes what it changes, while a snapshot is read.
    pub(super) watch: Arc<Watch>,
    /// Whole tables being loaded.
    pub(super) loading: AtomicUsize,
}

impl Verified {
    pub(super) fn new(engine: Engine, dir: PathBuf, expected: BTreeMap<u16, Tally>) -> Self {
        Self {
            engine,
            dir,
            states: (0..=u16::MAX).map(|_| AtomicU8::new(UNKNOWN)).collect(),
            locks: std::array::from_fn(|_| Mutex::new(())),
            expected: Mutex::new(expected),
            damage: watch::Sender::new(None),
            stop: AtomicBool::new(false),
            has_changed: AtomicBool::new(false),
            watch: Arc::default(),
            loading: AtomicUsize::new(0),
        }
    }

    /// Tells of damage found after opening.
    pub(super) fn damage(&self) -> watch::Receiver<Option<Arc<OpenError>>> {
        self.damage.subscribe()
    }

    /// Whether damage was found.
    pub(super) fn is_damaged(&self) -> bool {
        self.damage.borrow().is_some()
    }

    /// Whether whole tables are being loaded: the background proof lets them go first.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Relaxed) > 0 && !self.stop.load(Ordering::Relaxed)
    }

    /// Ends the background proof early.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Proves on two threads until all is proven or `budget` is used up. True when all is.
    pub(super) fn prove_for(&self, budget: Duration) -> Result<bool, StoreError> {
        let total = self
            .expected
            .lock()
            .values()
            .fold(0_u64, |sum, tally| sum.saturating_add(tally.count));
        if u128::from(total) > budget.as_millis().saturating_mul(PER_MILLI) {
            // It would not come to its end: whoever waits for the start is served better by it.
            return Ok(false);
        }
        let runs = self.runs();
        let start = Instant::now();
        let next = AtomicUsize::new(0);
        let work = || -> Result<bool, StoreError> {
            loop {
                let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok(true);
                };
                if start.elapsed() > budget || self.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                self.prove_run(run)?;
            }
        };
        if total < 10_000 {
            return work();
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(work);
            let this = work();
            let other = other.join().unwrap_or(Err(StoreError::Panicked));
            Ok(this? & other?)
        })
    }

    /// Proves the rest, one bucket after the other.
    pub(super) fn prove_rest(&self) {
        for run in self.runs() {
            if self.stop.load(Ordering::Relaxed) || self.prove_run(&run).is_err() {
                return;
            }
        }
    }

    /// All buckets from table 1 on as runs of neighbours: a filled one alone, or empty ones
    /// together. Few and decisive tables first.
    fn runs(&self) -> Vec<Range<u32>> {
        let expected = self.expected.lock();
        let mut runs = Vec::with_capacity(expected.len() * 2 + 1);
        let mut from = 0x100;
        for id in expected.keys().map(|id| u32::from(*id)) {
            if from < id {
                runs.push(from..id);
            }
            runs.push(id..id + 1);
            from = id + 1;
        }
        runs.push(from..0x1_0000);
        runs.sort_by_key(|run| {
            LATER
                .iter()
                .any(|table| run.start >> 8 == u32::from(*table))
        });
        runs
    }

    fn prove_run(&self, run: &Range<u32>) -> Result<(), StoreError> {
        let first = u16::try_from(run.start).unwrap_or(u16::MAX);
        if run.len() == 1 {
            return self.ensure(first);
        }
        // Empty ones: one look at the whole gap, apart from what was put there meanwhile.
        let mut from = run.start;
        loop {
            let mut found = None;
            self.engine.scan(low(from)..low(run.end), |key, _| {
                found = Some(bucket(key));
                false
            })?;
            let Some(id) = found else { break };
            self.ensure(id)?;
            from = u32::from(id) + 1;
        }
        for id in run.clone() {
            if let Some(state) = self.states.get(id as usize) {
                state.store(SOUND, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Returns once the bucket is proven.
    fn ensure(&self, id: u16) -> Result<(), StoreError> {
        match self.state(id) {
            SOUND => Ok(()),
            _ => self.prove(id, |_, _| {}),
        }
    }

    /// Shows `look` all records of the bucket. What it saw counts only when this returns `Ok`:
    /// the bucket is proven by then, if it was not before.
    pub(super) fn walk(
        &self,
        id: u16,
        mut look: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        if self.state(id) != SOUND {
            return self.prove(id, look);
        }
        self.engine
            .scan(low(u32::from(id))..low(u32::from(id) + 1), |key, bytes| {
                look(key, bytes);
                true
            })
    }

    /// About how many records `table` had when the store was opened.
    pub(super) fn had(&self, table: u8) -> u64 {
        let ids = u16::from_be_bytes([table, 0])..=u16::from_be_bytes([table, u8::MAX]);
        let expected = self.expected.lock();
        expected.range(ids).map(|(_, tally)| tally.count).sum()
    }

    /// What the books say of the bucket; nothing once anything has been written.
    pub(super) fn tally(&self, id: u16) -> Option<Tally> {
        let tally = self.expected.lock().get(&id).copied().unwrap_or_default();
        (!self.has_changed.load(Ordering::Acquire)).then_some(tally)
    }

    /// Where the store is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn state(&self, id: u16) -> u8 {
        self.states[usize::from(id)].load(Ordering::Acquire)
    }

    /// Shows `look` the bucket's records and holds them against the books, once for all.
    fn prove(&self, id: u16, mut look: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let state = &self.states[usize::from(id)];
        let alone = self.locks[usize::from(id) % LOCKS].lock();
        match state.load(Ordering::Acquire) {
            SOUND => {
                drop(alone);
                return self.walk(id, look);
            }
            DAMAGED => return Err(self.corrupt(id)),
            _ => {}
        }
        let mut tally = Tally::default();
        let mut altered = false;
        self.engine
            .scan(low(u32::from(id))..low(u32::from(id) + 1), |key, bytes| {
                match record::Sound::check(key, bytes) {
                    Some(sound) => {
                        tally.add(sound.sum);
                        look(key, bytes);
                    }
                    None => altered = true,
                }
                !altered
            })?;
        if !altered && tally == self.expected.lock().get(&id).copied().unwrap_or_default() {
            state.store(SOUND, Ordering::Release);
            return Ok(());
        }
        state.store(DAMAGED, Ordering::Release);
        let what = format!("records of table {} are missing or altered", id >> 8);
        let damage = Arc::new(OpenError::Damaged {
            dir: self.dir.clone(),
            what,
        });
        self.damage.send_replace(Some(damage));
        Err(self.corrupt(id))
    }

    fn corrupt(&self, id: u16) -> StoreError {
        StoreError::Corrupt {
            table: format!("{}", id >> 8).into(),
            key: format!("{:02x}…", id & 0xff),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.ensure_any(bucket(key))?;
        self.engine.get(key)
    }

    /// As [`Verified::get`], but maybe of an unproven bucket: only good for [`Verified::change`].
    pub(super) fn get_unproven(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)
    }

    /// Runs `apply`, which brings these buckets to these tallies.
    pub(super) fn change(
        &self,
        tallies: &[(u16, Tally)],
        apply: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let unproven = |id: u16| self.states[usize::from(id)].load(Ordering::Acquire) != SOUND;
        let unproven: Vec<_> = tallies.iter().filter(|(id, _)| unproven(*id)).collect();
        // In rising order, so that nobody waits in a circle.
        let locks: BTreeSet<usize> = unproven
            .iter()
            .map(|(id, _)| usize::from(*id) % LOCKS)
            .collect();
        let _held: Vec<_> = locks
            .into_iter()
            .map(|lock| self.locks[lock].lock())
            .collect();
        self.has_changed.store(true, Ordering::Release);
        apply()?;
        if !unproven.is_empty() {
            self.expected.lock().extend(unproven.into_iter().copied());
        }
        Ok(())
    }

    /// Walks the keys of the range, lazily; no entry comes out before its bucket, and all before
    /// it in the walk, are proven.
    pub(super) fn range(
        &self,
        range: Range<Vec<u8>>,
        order: Order,
    ) -> impl Iterator<Item = Entry> + use<'_> {
        let mut ahead = u32::from(bucket(&range.start))..u32::from(bucket(&range.end)) + 1;
        if range.end.len() == 1 {
            ahead.end -= 1;
        }
        let mut walk = self.engine.range(range, order);
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let entry = walk.next();
            let reached = match (&entry, order) {
                (Some(Err(_)), _) => return entry,
                (Some(Ok((key, _))), _) => u32::from(bucket(key)),
                (None, Order::Ascending) => u32::MAX,
                (None, Order::Descending) => 0,
            };
            let unproven = |ahead: &mut Range<u32>| match order {
                Order::Ascending => ahead.next_if_below(reached),
                Order::Descending => ahead.next_if_above(reached),
            };
            while let Some(id) = unproven(&mut ahead) {
                if let Err(error) = self.ensure_any(id) {
                    failed = true;
                    return Some(Err(error));
                }
            }
            entry
        })
    }

    /// As [`Verified::ensure`]; the books themselves (table 0) were proven at open.
    fn ensure_any(&self, id: u16) -> Result<(), StoreError> {
        if id < 0x100 { Ok(()) } else { self.ensure(id) }
    }
}

/// Taking buckets off either end of those not looked at yet.
trait Ahead {
    fn next_if_below(&mut self, reached: u32) -> Option<u16>;
    fn next_if_above(&mut self, reached: u32) -> Option<u16>;
}

impl Ahead for Range<u32> {
    fn next_if_below(&mut self, reached: u32) -> Option<u16> {
        (self.start <= reached)
            .then(|| self.next())
            .flatten()
            .and_then(|id| u16::try_from(id).ok())
    }

    fn next_if_above(&mut self, reached: u32) -> Option<u16> {
        (self.end > reached)
            .then(|| self.next_back())
            .flatten()
            .and_then(|id| u16::try_from(id).ok())
    }
}

/// The lowest key of a bucket.
fn low(id: u32) -> Vec<u8> {
    let [_, high, table, byte] = id.to_be_bytes();
    match (high, table, byte) {
        (0, table, 0) => vec![table],
        (0, table, byte) => vec![table, byte],
        _ => vec![u8::MAX, u8::MAX, u8::MAX],
    }
}
