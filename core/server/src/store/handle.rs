//! The handle that the rest of the server holds.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::{
    Books, Key, OpenError, Reader, Record, StoreError, Table, Tx,
    engine::Engine,
    ledger::Ledger,
    open::{self, Opened},
    reserve::Reserve,
    stats::{Counters, Stats, Writing, disk},
    writer::{self, Job, Writer},
};
use crate::trace::{Started, Work};

/// How to run the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages read, in bytes.
    pub cache: u64,
    /// Writes that may wait before further ones have to.
    pub queue: usize,
    /// How long a write waits for a place in the queue before [`StoreError::Busy`].
    pub patience: Duration,
    /// Bytes that must stay free on the disk; with less, writes get [`StoreError::Full`].
    pub reserve: u64,
    /// How long opening may prove records before the rest is left to the background. With more
    /// records than can be proven by then, all are.
    pub prove: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: 32 << 20,
            queue: 4096,
            patience: Duration::from_secs(5),
            reserve: 32 << 20,
            prove: Duration::from_millis(200),
        }
    }
}

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    reader: Reader,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    places: Arc<Semaphore>,
    patience: Duration,
    initialised: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    dir: PathBuf,
    opened_at_size: u64,
    queue_length: usize,
    counters: Arc<Counters>,
}

impl Store {
    /// Opens the store in `dir`, making it when there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let Opened {
            data,
            ledger,
            high_water,
            proven,
            size,
        } = open::open(dir, options.cache, options.prove)?;
        let data = Arc::new(data);
        let initialised = Arc::new(AtomicBool::new(ledger.mark.initialised));
        let counters = Counters::new(&ledger);
        let mut writer = Writer {
            data: Arc::clone(&data),
            ledger,
            high_water,
            initialised: Arc::clone(&initialised),
            dir: dir.into(),
            reserve: options.reserve,
            set_aside: Reserve::of(dir),
            counters: Arc::clone(&counters),
            broken: false,
        };
        writer.room();
        let (queue, jobs) = mpsc::channel();
        let mut threads = vec![spawn(dir, "store-write", move || writer.work(&jobs))?];
        if !proven {
            let data = Arc::clone(&data);
            threads.push(spawn(dir, "store-prove", move || {
                // The start goes first, and proves on the spot what it reads.
                std::thread::park_timeout(LET_START);
                while data.is_loading() {
                    std::thread::park_timeout(LET_START);
                }
                data.prove_rest();
            })?);
        }
        Ok(Self(Arc::new(Inner {
            reader: Reader { engine: data },
            queue: Mutex::new(Some(queue)),
            places: Arc::new(Semaphore::new(options.queue)),
            patience: options.patience,
            initialised,
            threads: Mutex::new(threads),
            dir: dir.into(),
            opened_at_size: size,
            queue_length: options.queue,
            counters,
        })))
    }

    /// Runs `f` as one transaction on the writer thread: all or nothing. `Ok` comes when it is on
    /// the platter; `Err` of `f` comes at once, and nothing was written.
    ///
    /// # Errors
    /// Those of `f`, and [`StoreError::Busy`], [`StoreError::Full`], [`StoreError::ReadOnly`],
    /// [`StoreError::Closed`].
    pub async fn write<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let span = Started::now();
        let outcome = self.commit(f).await;
        if let Some(span) = span {
            span.end(Work::Write {
                is_committed: outcome.is_ok(),
            });
        }
        outcome
    }

    /// As [`Store::write`], whoever waits for it.
    async fn commit<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let place = Arc::clone(&self.0.places).acquire_owned();
        let place = match tokio::time::timeout(self.0.patience, place).await {
            Ok(place) => place.map_err(|_| StoreError::Closed)?,
            Err(_) => return Err(StoreError::Busy.into()),
        };
        let (reply, answer) = oneshot::channel();
        self.0.enqueue(writer::job(
            f,
            move |result| drop(reply.send(result)),
            place,
        ))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// As [`Store::write`], for start-up, the command line and tests. Blocks.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let place = Arc::clone(&self.0.places)
            .try_acquire_owned()
            .map_err(|_| StoreError::Busy)?;
        let (reply, answer) = mpsc::sync_channel(1);
        self.0.enqueue(writer::job(
            f,
            move |result| drop(reply.send(result)),
            place,
        ))?;
        answer.recv().map_err(|_| StoreError::Closed)?
    }

    /// The books of `table`, at a moment at which every hook of what they count has run
    /// ([`Tx::on_commit`]): what memory holds of the table is then all of it.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Closed`].
    pub async fn books<K: Key + ?Sized, V: Record>(
        &self,
        table: Table<K, V>,
    ) -> Result<Books, StoreError> {
        let place = Arc::clone(&self.0.places)
            .try_acquire_owned()
            .map_err(|_| StoreError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let (table, dir) = (table.id(), self.0.dir.clone());
        let look = move |ledger: &Ledger| {
            let ids = u16::from_be_bytes([table, 0])..=u16::from_be_bytes([table, u8::MAX]);
            let tallies = ledger.tallies.range(ids);
            let tallies = tallies.map(|(id, (tally, _))| (*id, *tally)).collect();
            drop(reply.send(Books {
                table,
                tallies,
                dir,
            }));
        };
        self.0.enqueue(writer::look(look, place))?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    /// Runs `f` on a thread that may block.
    ///
    /// # Errors
    /// Those of `f`, and [`StoreError::Panicked`].
    pub async fn read<T, E>(
        &self,
        f: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let reader = self.reader();
        tokio::task::spawn_blocking(move || f(&reader))
            .await
            .map_err(|_| StoreError::Panicked)?
    }

    /// Reads that block: for start-up, the command line, tests.
    pub fn reader(&self) -> Reader {
        self.0.reader.clone()
    }

    /// Whether somebody has claimed this server: [`Tx::mark_initialised`].
    pub fn initialised(&self) -> bool {
        self.0.initialised.load(Ordering::Acquire)
    }

    /// Whether it takes writes.
    pub fn writing(&self) -> Writing {
        self.0.counters.writing()
    }

    /// How large it is and how it is doing. Asks the file system for the sizes of a few files, and
    /// walks nothing.
    pub fn stats(&self) -> Stats {
        let inner = &*self.0;
        let waiting = inner
            .queue_length
            .saturating_sub(inner.places.available_permits());
        let free = rustix::fs::statvfs(&inner.dir)
            .map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        Stats {
            disk: disk(&inner.dir),
            free,
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            has_snapshot: inner.reader.engine.watch.is_on(),
            ..inner.counters.stats()
        }
    }

    /// Returns when damage is found in what was still being proven after opening; else never.
    /// The caller ends the server with the message: what else is missing is not known.
    pub async fn damaged(&self) -> Arc<OpenError> {
        let mut damage = self.0.reader.engine.damage();
        loop {
            if let Some(found) = &*damage.borrow_and_update() {
                return Arc::clone(found);
            }
            if damage.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for the other handles to go, up to a limit, and closes. Blocks.
    pub fn close_within(self, limit: Duration) {
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while Arc::strong_count(&self.0) > 1 && waited < limit {
            std::thread::sleep(step);
            waited += step;
        }
        tracing::debug!(others = Arc::strong_count(&self.0) - 1, "closing the store");
        self.close();
    }

    /// Finishes the writes that wait; later ones get [`StoreError::Closed`]. When much was written
    /// and this is the last handle, the engine also shortens its log, so that the next start is
    /// quick (1.5 s against 0.2 s per GB).
    pub fn close(self) {
        self.0.stop();
        let Ok(inner) = Arc::try_unwrap(self.0) else {
            return;
        };
        let (dir, before) = (inner.dir.clone(), inner.opened_at_size);
        let grown = inner.reader.engine.engine.size().saturating_sub(before) > FOLD;
        drop(inner);
        if grown {
            drop(Engine::reopen(&dir, 1 << 20));
        }
    }
}

/// How long the background proof waits, again and again while tables are loaded, before it takes
/// a core.
const LET_START: Duration = Duration::from_millis(500);

/// Growth of the data file from which closing shortens the log.
const FOLD: u64 = 64 << 20;

impl Inner {
    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock();
        queue
            .as_ref()
            .ok_or(StoreError::Closed)?
            .send(job)
            .map_err(|_| StoreError::Closed)
    }

    /// Ends the threads, the writer's after what waits.
    fn stop(&self) {
        self.queue.lock().take();
        self.reader.engine.stop();
        for thread in self.threads.lock().drain(..) {
            thread.thread().unpark();
            // The last handle may have been a transaction's.
            if thread.thread().id() != std::thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(
    dir: &Path,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|error| OpenError::Io {
        dir: dir.into(),
        cause: error.to_string(),
    })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
