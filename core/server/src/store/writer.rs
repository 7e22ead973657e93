//! The one thread that changes anything: drains the queue, runs a group of transactions, makes it
//! durable in one go, answers them all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    engine::Engine,
    error::StoreError,
    tx::{Overlay, Tx},
};

/// Most transactions in one group.
const GROUP: usize = 512;

/// Answers a transaction once its group's fate is known.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A transaction in the queue. Running it gives the answer still owed, or nothing when it failed
/// and has answered itself.
pub(super) struct Job {
    pub(super) run: Box<dyn FnOnce(&mut Tx<'_>) -> Option<Answer> + Send>,
    /// Its place in the queue.
    pub(super) _place: OwnedSemaphorePermit,
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
        _place: place,
    }
}

/// What the thread works on.
pub(super) struct Writer {
    pub(super) engine: Arc<Engine>,
    pub(super) initialised: Arc<AtomicBool>,
    /// A sync failed: nothing is written any more.
    pub(super) broken: bool,
}

impl Writer {
    /// Works until the queue's other end is dropped and the queue is empty.
    pub(super) fn work(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut overlay = Overlay::new();
            let mut answers = Vec::new();
            let mut hooks = Vec::new();
            let was_initialised = self.initialised.load(Ordering::Acquire);
            let mut initialised = was_initialised;
            for job in std::iter::once(first).chain(queue.try_iter()).take(GROUP) {
                let mut tx = Tx::new(&self.engine, &mut overlay, initialised);
                match (job.run)(&mut tx) {
                    Some(answer) => {
                        let finished = tx.finish();
                        initialised = finished.initialised;
                        hooks.extend(finished.hooks);
                        answers.push(answer);
                    }
                    None => tx.roll_back(),
                }
            }
            let fate = self.commit(overlay, initialised && !was_initialised);
            if fate.is_ok() {
                hooks.into_iter().for_each(|hook| hook());
            }
            for answer in answers {
                answer(fate.clone());
            }
        }
    }

    fn commit(&mut self, overlay: Overlay, initialise: bool) -> Result<(), StoreError> {
        if overlay.is_empty() && !initialise {
            return Ok(());
        }
        if self.broken {
            return Err(StoreError::ReadOnly);
        }
        let done = self
            .engine
            .apply(overlay.into_iter())
            .and_then(|()| self.engine.sync());
        if done.is_err() {
            self.broken = true;
            return Err(StoreError::ReadOnly);
        }
        if initialise {
            self.initialised.store(true, Ordering::Release);
        }
        Ok(())
    }
}
