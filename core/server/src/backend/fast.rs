//! The fast lane: `identify` on the server's own thread.
//!
//! A call that never returns would keep its thread for good. So no more than [`AT_ONCE`] calls of
//! one backend run at a time, fewer than the server has workers, and a watchdog stops asking a
//! backend whose call has been running for [`HUNG`].
//!
//! **Invariant:** whatever a backend does here, some workers go on serving.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::CallError;

/// Calls of one backend at once. The server runs at least four workers.
const AT_ONCE: usize = 2;

/// After this a call that is meant to take a microsecond is not coming back.
const HUNG: Duration = Duration::from_millis(250);

pub(super) struct FastLane {
    running: AtomicUsize,
    hung: AtomicBool,
    began: [Mutex<Option<Instant>>; AT_ONCE],
}

impl FastLane {
    pub(super) fn new() -> Arc<Self> {
        let lane = Arc::new(Self {
            running: AtomicUsize::new(0),
            hung: AtomicBool::new(false),
            began: std::array::from_fn(|_| Mutex::new(None)),
        });
        watch(Arc::downgrade(&lane));
        lane
    }

    /// Whether the backend has been given up because a call did not return.
    pub(super) fn is_hung(&self) -> bool {
        self.hung.load(Ordering::Acquire)
    }

    pub(super) fn run<T>(&self, call: impl FnOnce() -> T) -> Result<T, CallError> {
        if self.is_hung() {
            return Err(CallError::Paused);
        }
        if self.running.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return Err(CallError::Busy);
        }
        let place = self.began.iter().find_map(|place| {
            let mut began = place.try_lock()?;
            began.is_none().then(|| {
                *began = Some(Instant::now());
                place
            })
        });
        let answer = call();
        if let Some(place) = place {
            *place.lock() = None;
        }
        self.running.fetch_sub(1, Ordering::AcqRel);
        Ok(answer)
    }
}

/// Looks at the lane now and then, for as long as it lives.
fn watch(lane: Weak<FastLane>) {
    let look = move || {
        while let Some(lane) = lane.upgrade() {
            let hangs = |place: &Mutex<Option<Instant>>| {
                place.lock().is_some_and(|began| began.elapsed() > HUNG)
            };
            if lane.began.iter().any(hangs) && !lane.hung.swap(true, Ordering::AcqRel) {
                tracing::error!(
                    "a backend's identify does not return; it is not asked again until restart"
                );
            }
            drop(lane);
            std::thread::sleep(HUNG);
        }
    };
    let _ = std::thread::Builder::new()
        .name("plugin-watchdog".into())
        .spawn(look);
}
