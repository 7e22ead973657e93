//! The one pool that hashes passwords (Argon2id, RFC 9106).
//!
//! Owns: how many hashes run at once, their memory, how many may wait. Does not: decide who asks.
//!
//! **Invariants:** memory is bounded by the threads times the cost, because each thread has one
//! buffer and reuses it (four fresh ones at a time drove an earlier prototype to 861 MB); the
//! threads are of low priority, so that a request wins the processor against a hash; past the
//! queue the answer is "busy"; a password is refused at no less than the configured cost, whatever its
//! stored hash costs, and where there is none.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use omnigent_plugin::{BackendError, Verified};
use tokio::sync::oneshot;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::{
    id::random_bytes,
    metrics::{Counter, Histogram},
    secret::Secret,
};

/// The highest cost a stored hash may ask for: 256 MiB, 16 passes, 16 lanes.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    fn params(self) -> Result<Params, BackendError> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|error| BackendError::misconfigured(format!("[passwords]: {error}")))
    }
}

type Work = Box<dyn FnOnce(&mut Buffer) + Send>;

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Hashing {
    queue: SyncSender<Work>,
    cost: Cost,
    meter: Arc<Meter>,
}

/// What the pool has done so far.
#[derive(Debug)]
pub(crate) struct Meter {
    waiting: AtomicU64,
    /// How long passwords waited for their turn.
    pub(crate) waits: Histogram,
    /// How long hashing one took.
    pub(crate) works: Histogram,
    /// Passwords that were turned away.
    pub(crate) refused: Counter,
}

impl Meter {
    fn new() -> Self {
        Self {
            waiting: AtomicU64::new(0),
            waits: Histogram::default(),
            works: Histogram::default(),
            refused: Counter::default(),
        }
    }

    /// Passwords that wait now.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Hashing {
    /// How many threads a pool has when nobody says: one core is left to those who wait for nothing.
    pub fn default_threads() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.saturating_sub(1).clamp(1, 4)
    }

    /// A pool of `threads`, for which `queue` hashes may wait.
    ///
    /// # Errors
    /// When the cost is out of bounds or the system has no threads to give.
    pub fn start(cost: Cost, threads: usize, queue: usize) -> Result<Self, BackendError> {
        cost.params()?;
        let (send, receive) = sync_channel::<Work>(queue);
        let receive = Arc::new(Mutex::new(receive));
        for i in 0..threads.max(1) {
            let receive = Arc::clone(&receive);
            std::thread::Builder::new()
                .name(format!("hashing-{i}"))
                .spawn(move || work(&receive, cost))
                .map_err(|error| {
                    BackendError::internal(format!("no thread for hashing: {error}"))
                })?;
        }
        Ok(Self {
            queue: send,
            cost,
            meter: Arc::new(Meter::new()),
        })
    }

    /// What it has done so far.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Hashes a password at the configured cost. The answer is a PHC string.
    ///
    /// # Errors
    /// [`BackendError::Busy`].
    pub async fn hash(&self, password: Secret<String>) -> Result<String, BackendError> {
        let cost = self.cost;
        self.run(move |buffer| {
            let password = normalised(password.expose());
            let salt = random_bytes::<16>();
            let mut output = [0; 32];
            fill(
                cost.params()?,
                password.as_bytes(),
                &salt,
                &mut output,
                buffer,
            )?;
            phc(cost, &salt, &output)
        })
        .await
    }

    /// Verifies a password against a stored hash of any cost, or against none. To refuse it costs the same,
    /// except where the stored hash costs more than is configured now: then it costs that.
    ///
    /// # Errors
    /// [`BackendError::Busy`]; [`BackendError::Internal`] when the stored hash is none.
    pub async fn verify(
        &self,
        password: Secret<String>,
        stored: Option<String>,
    ) -> Result<Verified, BackendError> {
        let cost = self.cost;
        self.run(move |buffer| verify(cost, password.expose(), stored.as_deref(), buffer))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Buffer) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (say, hear) = oneshot::channel();
        let (meter, queued) = (Arc::clone(&self.meter), Instant::now());
        let work: Work = Box::new(move |buffer| {
            meter.waiting.fetch_sub(1, Ordering::Relaxed);
            // Nobody waits any more: no work.
            if !say.is_closed() {
                let began = Instant::now();
                meter.waits.took(began.duration_since(queued));
                let outcome = catch_unwind(AssertUnwindSafe(|| work(buffer)));
                meter.works.took(began.elapsed());
                let _ = say.send(
                    outcome.unwrap_or_else(|_| Err(BackendError::internal("hashing panicked"))),
                );
            }
        });
        // Before it is sent: it may be taken at once.
        self.meter.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(work) {
            Ok(()) => hear.await.unwrap_or(Err(BackendError::Busy)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.meter.waiting.fetch_sub(1, Ordering::Relaxed);
                self.meter.refused.add_one();
                Err(BackendError::Busy)
            }
        }
    }
}

/// The memory of one thread.
struct Buffer {
    /// How many blocks a hash of the configured cost takes.
    usual: usize,
    /// As many, from the first hash on.
    kept: Vec<Block>,
    /// How many blocks it has filled, in all passes.
    filled: u64,
}

impl Buffer {
    fn new(cost: Cost) -> Self {
        Self {
            usual: cost.params().map_or(0, |params| params.block_count()),
            kept: Vec::new(),
            filled: 0,
        }
    }
}

fn work(queue: &Mutex<Receiver<Work>>, cost: Cost) {
    // Not being allowed to is fine.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
    let mut buffer = Buffer::new(cost);
    loop {
        let next = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(work) = next else { return };
        work(&mut buffer);
    }
}

fn fill(
    params: Params,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
    buffer: &mut Buffer,
) -> Result<(), BackendError> {
    let needed = params.block_count();
    buffer.filled += blocks_filled(&params);
    // A stored hash of a higher cost: its memory is its own, and is not kept.
    let mut own = Vec::new();
    let blocks = if needed <= buffer.usual {
        buffer.kept.resize(buffer.usual, Block::new());
        &mut buffer.kept[..needed]
    } else {
        own.resize(needed, Block::new());
        &mut own
    };
    let failed = |error: argon2::Error| BackendError::internal(format!("argon2: {error}"));
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, output, blocks)
        .map_err(failed)
}

/// How many blocks a hash fills, in all passes: what it costs.
fn blocks_filled(params: &Params) -> u64 {
    params.block_count() as u64 * u64::from(params.t_cost())
}

fn verify(
    cost: Cost,
    password: &str,
    stored: Option<&str>,
    buffer: &mut Buffer,
) -> Result<Verified, BackendError> {
    let stored = stored.map(Stored::read).transpose()?;
    let normal = normalised(password);
    for candidate in candidates(&normal, password) {
        let before = buffer.filled;
        if let Some(stored) = &stored
            && stored.is_of(candidate, buffer)?
        {
            return Ok(Verified {
                ok: true,
                needs_rehash: !stored.costs(cost) || candidate != normal,
            });
        }
        let done = buffer.filled - before;
        make_up(cost, done, buffer)?;
    }
    Ok(Verified::default())
}

/// Does, for nothing, what `done` lacks of a hash's work. Less than the least hash is let go.
fn make_up(cost: Cost, done: u64, buffer: &mut Buffer) -> Result<(), BackendError> {
    let missing = blocks_filled(&cost.params()?).saturating_sub(done);
    let memory_kib = u32::try_from(missing / u64::from(cost.passes)).unwrap_or(cost.memory_kib);
    match (Cost { memory_kib, ..cost }).params() {
        Ok(rest) => fill(rest, &[], &[0; 16], &mut [0; 32], buffer),
        Err(_) => Ok(()),
    }
}

/// A stored hash, of a cost within bounds.
struct Stored {
    params: Params,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn read(phc: &str) -> Result<Self, BackendError> {
        let unreadable = || BackendError::internal("a stored hash cannot be read");
        let hash = PasswordHash::new(phc).map_err(|_| unreadable())?;
        let params = Params::try_from(&hash).map_err(|_| unreadable())?;
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else {
            return Err(BackendError::internal(
                "a stored hash lacks its salt or output",
            ));
        };
        let is_argon2id = hash.algorithm.as_str() == "argon2id" && hash.version == Some(0x13);
        let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
        if !is_argon2id || m > MAX_MEMORY_KIB || t > MAX_PASSES || p > MAX_LANES {
            return Err(BackendError::internal(
                "a stored hash is not Argon2id within bounds",
            ));
        }
        Ok(Self {
            params,
            salt,
            output,
        })
    }

    fn is_of(&self, password: &str, buffer: &mut Buffer) -> Result<bool, BackendError> {
        let mut output = vec![0; self.output.as_bytes().len()];
        let params = self.params.clone();
        fill(
            params,
            password.as_bytes(),
            self.salt.as_ref(),
            &mut output,
            buffer,
        )?;
        Ok(verify_slices_are_equal(&output, self.output.as_bytes()).is_ok())
    }

    fn costs(&self, cost: Cost) -> bool {
        let (m, t, p) = (
            self.params.m_cost(),
            self.params.t_cost(),
            self.params.p_cost(),
        );
        (m, t, p) == (cost.memory_kib, cost.passes, cost.lanes)
            && self.output.as_bytes().len() == 32
    }
}

/// What to try: a hash made elsewhere may be of the password as it was typed.
fn candidates<'a>(normal: &'a str, typed: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::once(normal).chain((normal != typed).then_some(typed))
}

fn phc(cost: Cost, salt: &[u8], output: &[u8]) -> Result<String, BackendError> {
    let failed = |_| BackendError::internal("a hash cannot be written");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&cost.params()?).map_err(failed)?,
        salt: Some(
            Salt::new(salt).map_err(|_| BackendError::internal("a salt cannot be written"))?,
        ),
        hash: Some(
            Output::new(output).map_err(|_| BackendError::internal("a hash cannot be written"))?,
        ),
    };
    Ok(hash.to_string())
}

/// NFC, so that a password typed on another keyboard is the same password (RFC 8265 section 4.2.2).
fn normalised(password: &str) -> String {
    if is_nfc(password) {
        password.to_owned()
    } else {
        password.nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CHEAP: Cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_hash_and_no_other_does() {
        let pool = Hashing::start(CHEAP, 1, 8).unwrap();
        let phc = pool.hash(secret("correct horse")).await.unwrap();
        let good = pool
            .verify(secret("correct horse"), Some(phc.clone()))
            .await
            .unwrap();
        assert_eq!(
            good,
            Verified {
                ok: true,
                needs_rehash: false
            }
        );
        for wrong in [
            "",
            "Correct horse",
            "correct horse ",
            "correct\0horse",
            "correct horse\0",
        ] {
            assert!(
                !pool
                    .verify(secret(wrong), Some(phc.clone()))
                    .await
                    .unwrap()
                    .ok,
                "{wrong:?}"
            );
        }
        assert!(!pool.verify(secret("correct horse"), None).await.unwrap().ok);
    }

    #[tokio::test]
    async fn nothing_of_a_long_password_is_cut_off() {
        let pool = Hashing::start(CHEAP, 1, 8).unwrap();
        let long = "x".repeat(1023);
        let phc = pool.hash(secret(&format!("{long}a"))).await.unwrap();
        assert!(
            !pool
                .verify(secret(&format!("{long}b")), Some(phc.clone()))
                .await
                .unwrap()
                .ok
        );
        assert!(!pool.verify(secret(&long), Some(phc)).await.unwrap().ok);
    }

    #[tokio::test]
    async fn both_ways_of_writing_an_accent_are_one_password() {
        let pool = Hashing::start(CHEAP, 1, 8).unwrap();
        let phc = pool.hash(secret("caf\u{e9}-noir")).await.unwrap();
        assert!(
            pool.verify(secret("cafe\u{301}-noir"), Some(phc))
                .await
                .unwrap()
                .ok
        );
    }

    #[tokio::test]
    async fn a_hash_of_the_original_verifies_and_wants_to_be_made_again() {
        let pool = Hashing::start(CHEAP, 1, 8).unwrap();
        // Made by another implementation: argon2-cffi 25.1, with its default cost.
        let phc = "$argon2id$v=19$m=65536,t=3,p=4$b21uaWdlbnQtc2FsdC0wMQ$i2spQd7IJo6ILPMTpc8IrELZaaJg4bgSry/5KXfCdlQ";
        let verified = pool
            .verify(secret("correct horse battery staple"), Some(phc.to_owned()))
            .await
            .unwrap();
        assert_eq!(
            verified,
            Verified {
                ok: true,
                needs_rehash: true
            }
        );
    }

    #[tokio::test]
    async fn what_is_no_hash_or_costs_too_much_is_an_error_and_no_denial() {
        let pool = Hashing::start(CHEAP, 1, 8).unwrap();
        for stored in [
            "",
            "x",
            "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=99,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
        ] {
            let outcome = pool.verify(secret("x"), Some(stored.to_owned())).await;
            assert!(
                matches!(outcome, Err(BackendError::Internal { .. })),
                "{stored}"
            );
        }
    }

    #[test]
    fn a_wrong_password_costs_what_nobodys_costs_after_the_costs_were_changed() {
        let now = Cost {
            memory_kib: 4096,
            passes: 2,
            lanes: 1,
        };
        let filled = |stored: Option<&str>, password: &str| {
            let mut buffer = Buffer::new(now);
            let verified = verify(now, password, stored, &mut buffer).unwrap();
            assert!(!verified.ok);
            buffer.filled
        };
        for (memory_kib, passes) in [(64, 1), (64, 3), (1024, 7), (4096, 1), (4095, 2), (4096, 2)] {
            let cost = Cost {
                memory_kib,
                passes,
                lanes: 1,
            };
            let phc = phc(cost, &[7; 16], &[7; 32]).unwrap();
            for password in ["guess", "cafe\u{301}-noir"] {
                let (of_nobody, of_somebody) =
                    (filled(None, password), filled(Some(&phc), password));
                let less = of_nobody.abs_diff(of_somebody);
                assert!(less * 100 < of_nobody, "{memory_kib} {passes}: {less} less");
            }
        }
    }

    #[tokio::test]
    async fn past_the_queue_the_answer_is_busy() {
        let slow = Cost {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
        };
        let pool = Hashing::start(slow, 1, 2).unwrap();
        let outcomes =
            futures_util::future::join_all((0..20).map(|_| pool.hash(secret("x")))).await;
        let busy = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(BackendError::Busy)))
            .count();
        assert!((17..=18).contains(&busy), "{busy}");
    }
}
