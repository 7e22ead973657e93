//! Everything that must survive: typed tables, transactions, durability.
//!
//! Owns the data directory's database files, their integrity and the order of writes. Does not
//! know what the records mean. Only this folder knows the engine; nothing above may assume one
//! that is embedded.
//!
//! **Invariant:** a write that was acknowledged survives a kill and a power cut; damage is refused
//! at open or read, never served.

mod engine;
mod error;
mod key;
mod read;
mod record;
mod table;
mod tx;
mod writer;

use std::{
    fmt,
    path::Path,
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

use engine::Engine;
use writer::{Job, Writer};

pub use error::{OpenError, StoreError};
pub use key::Key;
pub use read::{Entry, Order, Read, Reader};
pub use record::{MAX_KEY, MAX_RECORD, Record};
pub use table::Table;
pub use tx::Tx;

/// How to run the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages read, in bytes.
    pub cache: u64,
    /// Writes that may wait before further ones have to.
    pub queue: usize,
    /// How long a write waits for a place in the queue before [`StoreError::Busy`].
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: 32 << 20,
            queue: 4096,
            patience: Duration::from_secs(5),
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
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in `dir`, making it when there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let engine = Arc::new(Engine::open(dir, options.cache)?);
        let initialised = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            engine: Arc::clone(&engine),
            initialised: Arc::clone(&initialised),
            broken: false,
        };
        let (queue, jobs) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.work(&jobs))
            .map_err(|error| OpenError::Io {
                dir: dir.into(),
                cause: error.to_string(),
            })?;
        Ok(Self(Arc::new(Inner {
            reader: Reader { engine },
            queue: Mutex::new(Some(queue)),
            places: Arc::new(Semaphore::new(options.queue)),
            patience: options.patience,
            initialised,
            thread: Mutex::new(Some(thread)),
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

    /// Finishes the writes that wait; later ones get [`StoreError::Closed`].
    pub fn close(self) {
        self.0.queue.lock().take();
        if let Some(thread) = self.0.thread.lock().take() {
            drop(thread.join());
        }
    }
}

impl Inner {
    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock();
        queue
            .as_ref()
            .ok_or(StoreError::Closed)?
            .send(job)
            .map_err(|_| StoreError::Closed)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
