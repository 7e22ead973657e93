//! The one thread that changes anything: drains the queue, runs a group of transactions, makes it
//! durable in one go, answers them all.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Instant,
};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    error::StoreError,
    highwater::HighWater,
    ledger::{Ledger, Staged},
    reserve::{FLOOR, Reserve},
    stats::Counters,
    tx::{Finished, Overlay, Tx},
    verify::Verified,
};

/// Most transactions in one group.
const GROUP: usize = 512;

/// Answers a transaction once its group's fate is known.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Runs a transaction and gives the answer still owed, or nothing when it failed and has answered.
type Run = Box<dyn FnOnce(&mut Tx<'_>) -> Option<Answer> + Send>;

type After = Box<dyn FnOnce(&Ledger) + Send>;

/// A transaction in the queue.
pub(super) struct Job {
    run: Run,
    /// What looks at the books once the group is done and memory knows of it.
    after: Option<After>,
    /// Its place in the queue.
    _place: OwnedSemaphorePermit,
}

/// Wraps a transaction and the way to answer it.
pub(super) fn job<T, E, F, R>(work: F, reply: R, place: OwnedSemaphorePermit) -> Job
where
    T: Send + 'static,
    E: From<StoreError> + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    R: FnOnce(Result<T, E>) + Send + 'static,
{
    let run = move |tx: &mut Tx<'_>| -> Option<Answer> {
        match catch_unwind(AssertUnwindSafe(|| work(tx))) {
            Ok(Ok(value)) => Some(Box::new(move |durable| {
                reply(durable.map(|()| value).map_err(E::from))
            })),
            Ok(Err(refused)) => {
                reply(Err(refused));
                None
            }
            Err(_) => {
                reply(Err(StoreError::Panicked.into()));
                None
            }
        }
    };
    Job {
        run: Box::new(run),
        after: None,
        _place: place,
    }
}

/// Looks at the books between two groups.
pub(super) fn look(
    look: impl FnOnce(&Ledger) + Send + 'static,
    place: OwnedSemaphorePermit,
) -> Job {
    Job {
        run: Box::new(|_| None),
        after: Some(Box::new(look)),
        _place: place,
    }
}

/// How much the disk has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Everything.
    Plenty,
    /// Transactions that take something away from somebody.
    SignOffs,
    /// Nothing.
    Nothing,
}

impl Room {
    fn takes(self, finished: &Finished) -> bool {
        match self {
            Self::Plenty => true,
            Self::SignOffs => finished.is_sign_off || !finished.has_changes,
            Self::Nothing => !finished.has_changes,
        }
    }
}

/// What the thread works on.
pub(super) struct Writer {
    pub(super) data: Arc<Verified>,
    pub(super) ledger: Ledger,
    pub(super) high_water: HighWater,
    pub(super) initialised: Arc<AtomicBool>,
    pub(super) dir: PathBuf,
    /// Bytes that must stay free on the disk.
    pub(super) reserve: u64,
    /// Space for sign-offs on a full disk.
    pub(super) set_aside: Reserve,
    pub(super) counters: Arc<Counters>,
    /// A write or sync failed: what is on the platter is unknown, so nothing is written any more.
    pub(super) broken: bool,
}

impl Writer {
    /// Works until the queue's other end is dropped and the queue is empty.
    pub(super) fn work(mut self, queue: &Receiver<Job>) {
        while let Some(first) = self.wait(queue) {
            let mut overlay = Overlay::new();
            let mut answers = Vec::new();
            let mut hooks = Vec::new();
            let mut looks = Vec::new();
            let mut initialised = self.ledger.mark.initialised;
            let room = self.room();
            for job in std::iter::once(first).chain(queue.try_iter()).take(GROUP) {
                looks.extend(job.after);
                let mut tx = Tx::new(&self.data, &mut overlay, initialised);
                match (job.run)(&mut tx) {
                    Some(answer) => {
                        let finished = tx.finish();
                        if !room.takes(&finished) {
                            tx.roll_back();
                            answer(Err(StoreError::Full));
                            continue;
                        }
                        initialised = finished.initialised;
                        hooks.extend(finished.hooks);
                        answers.push(answer);
                    }
                    None => tx.roll_back(),
                }
            }
            let fate = self.commit(overlay, initialised, answers.len());
            if fate.is_ok() {
                for hook in hooks {
                    // A hook that panics is a bug, but the writes go on.
                    drop(catch_unwind(AssertUnwindSafe(hook)));
                }
            }
            for answer in answers {
                answer(fate.clone());
            }
            for look in looks {
                look(&self.ledger);
            }
        }
        if !self.broken && self.high_water.due().is_some() {
            drop(self.high_water.sync());
        }
    }

    /// The next transaction; meanwhile the high-water file gets its late sync.
    fn wait(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        if let Some(due) = self.high_water.due().filter(|_| !self.broken) {
            match queue.recv_timeout(due) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(cause) = self.high_water.sync() {
                        self.break_off(&cause);
                    }
                }
            }
        }
        queue.recv().ok()
    }

    fn commit(
        &mut self,
        overlay: Overlay,
        initialise: bool,
        transactions: usize,
    ) -> Result<(), StoreError> {
        let initialise = initialise && !self.ledger.mark.initialised;
        if overlay.is_empty() && !initialise {
            return Ok(());
        }
        if self.broken || self.data.is_damaged() {
            return Err(StoreError::ReadOnly);
        }
        self.data
            .watch
            .note(&overlay, |key| self.data.get_unproven(key));
        let mut staged = self.ledger.stage(&overlay, initialise);
        let books = std::mem::take(&mut staged.records);
        let changes = overlay
            .into_iter()
            .map(|(key, change)| (key, change.value))
            .chain(books);
        let began = Instant::now();
        if let Err(cause) = self.make_durable(&staged, changes) {
            self.break_off(&cause);
            return Err(StoreError::ReadOnly);
        }
        for (bucket, tally) in staged.touched() {
            let [table, _] = bucket.to_be_bytes();
            let was = self.ledger.tallies.get(&bucket);
            let was = was.map_or(0, |(tally, _)| tally.count);
            self.counters.moved(table, was, tally.count);
        }
        self.counters
            .flushed(staged.mark.sequence, transactions, began.elapsed());
        self.ledger.adopt(staged);
        self.initialised
            .store(self.ledger.mark.initialised, Ordering::Release);
        Ok(())
    }

    fn break_off(&mut self, cause: &dyn Display) {
        tracing::error!(%cause, "a write failed: the store is read-only until the server is restarted");
        self.broken = true;
        self.counters.broke();
    }

    /// The order matters: the high-water file must never be ahead of the database.
    fn make_durable(
        &mut self,
        staged: &Staged,
        changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let engine = &self.data.engine;
        self.data
            .change(&staged.touched(), || engine.apply(changes))?;
        self.data.engine.sync()?;
        self.high_water
            .advance(staged.mark)
            .map_err(|error| StoreError::Engine(error.to_string()))
    }

    /// What there is room for; makes the reserve or gives it up as need be.
    pub(super) fn room(&mut self) -> Room {
        let mut free = self.free();
        // Without room for a sign-off: from what was set aside for it.
        if free < FLOOR.min(self.reserve) && self.set_aside.give_up() {
            free = self.free();
        }
        self.set_aside.make(free, self.reserve);
        let room = match free {
            free if free >= self.reserve => Room::Plenty,
            free if free >= FLOOR => Room::SignOffs,
            _ => Room::Nothing,
        };
        self.counters.has_room(room);
        let is_set_aside = self.set_aside.is_there();
        self.counters
            .has_reserve
            .store(is_set_aside, Ordering::Relaxed);
        room
    }

    /// Bytes free on the disk for us; the engine must never meet a full one.
    fn free(&self) -> u64 {
        rustix::fs::statvfs(&self.dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}
