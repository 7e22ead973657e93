//! The fast lane: `identify` on the server's own thread.
//!
//! A call that never returns keeps its thread for good. So all backends together never hold more
//! than the workers but two (one, where there are two), one backend at most half of that, and a
//! watchdog stops asking a backend whose call has been running for [`HUNG`]. Who finds no place here
//! is asked on another thread, by the slow lane.
//!
//! **Invariant:** whatever backends do here, some workers go on serving, and a backend that is slow
//! for a moment only is not given up.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::CallError;

/// After this a call that is meant to take a microsecond is taken for hung.
const HUNG: Duration = Duration::from_millis(250);

/// For how long a backend is not asked after a hung call, in milliseconds.
const PAUSE: u64 = 10_000;

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(100);

/// How often a call looks for a place before it is for the slow lane: for about as long as the way
/// there takes.
const LOOKS: u32 = 32;

/// The places of all fast lanes together.
pub(super) struct Places {
    runtime: Option<Handle>,
    epoch: Instant,
    most: usize,
    taken: AtomicUsize,
    lanes: Mutex<Vec<Weak<FastLane>>>,
}

impl Places {
    /// Places on the workers of this runtime.
    pub(super) fn new(runtime: Option<Handle>) -> Arc<Self> {
        let workers = runtime
            .as_ref()
            .map_or(1, |runtime| runtime.metrics().num_workers());
        Arc::new(Self {
            runtime,
            epoch: Instant::now(),
            most: workers.saturating_sub(2).max(1),
            taken: AtomicUsize::new(0),
            lanes: Mutex::new(Vec::new()),
        })
    }

    /// A lane for the backend called `name`.
    pub(super) fn lane(self: &Arc<Self>, name: &str) -> Arc<FastLane> {
        let lane = Arc::new(FastLane {
            name: name.to_owned(),
            places: Arc::clone(self),
            began: (0..self.most.div_ceil(2))
                .map(|_| AtomicU64::new(FREE))
                .collect(),
            paused_until: AtomicU64::new(0),
        });
        let mut lanes = self.lanes.lock();
        if lanes.is_empty() {
            watch(Arc::downgrade(self));
        }
        lanes.push(Arc::downgrade(&lane));
        lane
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(FREE - 1)
    }
}

/// No call is running in this place.
const FREE: u64 = u64::MAX;

/// One backend's calls.
pub(super) struct FastLane {
    name: String,
    places: Arc<Places>,
    /// When each running call began, in milliseconds of the places' time.
    began: Box<[AtomicU64]>,
    paused_until: AtomicU64,
}

impl FastLane {
    /// Whether the backend is not asked because a call did not return.
    pub(super) fn is_hung(&self) -> bool {
        let until = self.paused_until.load(Ordering::Acquire);
        until > 0 && self.places.now() < until
    }

    /// Runs `call` here and now. [`CallError::Busy`] when there is no place for it.
    pub(super) fn run<T>(&self, call: impl FnOnce() -> T) -> Result<T, CallError> {
        if self.is_hung() {
            return Err(CallError::Paused);
        }
        let _place = self.find().ok_or(CallError::Busy)?;
        Ok(call())
    }

    fn find(&self) -> Option<Place<'_>> {
        (0..LOOKS).find_map(|look| {
            if look > 0 {
                std::thread::yield_now();
            }
            self.enter()
        })
    }

    fn enter(&self) -> Option<Place<'_>> {
        let taken = &self.places.taken;
        let free = |taken| (taken < self.places.most).then_some(taken + 1);
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .ok()?;
        let now = self.places.now();
        let place = self.began.iter().find(|began| {
            began
                .compare_exchange(FREE, now, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        });
        match place {
            Some(began) => Some(Place { began, taken }),
            None => {
                taken.fetch_sub(1, Ordering::AcqRel);
                None
            }
        }
    }

    /// Pauses the backend while a call is overdue, and for some time after. Tells whether one is.
    fn look(&self) -> bool {
        let now = self.places.now();
        let hung = u64::try_from(HUNG.as_millis()).unwrap_or(FREE);
        let is_overdue = |began: &AtomicU64| {
            let began = began.load(Ordering::Acquire);
            began != FREE && now.saturating_sub(began) > hung
        };
        let is_hung = self.began.iter().any(is_overdue);
        if is_hung && self.paused_until.swap(now + PAUSE, Ordering::AcqRel) <= now {
            tracing::error!(
                backend = self.name,
                "identify does not return: the backend is not asked"
            );
        }
        is_hung
    }
}

/// A running call.
struct Place<'a> {
    began: &'a AtomicU64,
    taken: &'a AtomicUsize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.began.store(FREE, Ordering::Release);
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Looks at the lanes now and then, for as long as there are any.
fn watch(places: Weak<Places>) {
    let look = move || {
        while let Some(places) = places.upgrade() {
            let lanes: Vec<_> = places
                .lanes
                .lock()
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            // The worker that hangs may be the one that waited for connections and timers, while the
            // others sleep until there is something to do. Whoever wakes waits in its place.
            let hung = lanes.iter().filter(|lane| lane.look()).count();
            if hung > 0
                && let Some(runtime) = &places.runtime
            {
                runtime.spawn(std::future::ready(()));
            }
            drop((lanes, places));
            std::thread::sleep(LOOK);
        }
    };
    let started = std::thread::Builder::new()
        .name("plugin-watchdog".into())
        .spawn(look);
    if let Err(error) = started {
        tracing::error!(%error, "no thread to watch plugins with");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::channel;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// Places on a runtime of so many workers. It must live on: nothing waits for it.
    fn places(workers: usize) -> (Arc<Places>, Runtime) {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).build().unwrap();
        (Places::new(Some(runtime.handle().clone())), runtime)
    }

    /// Leaves a call of `lane` hanging until the sender is dropped.
    fn hang(lane: &Arc<FastLane>) -> std::sync::mpsc::Sender<()> {
        let (release, wait) = channel::<()>();
        let (entered, is_in) = channel();
        let lane = Arc::clone(lane);
        std::thread::spawn(move || {
            lane.run(|| {
                entered.send(()).unwrap();
                let _ = wait.recv();
            })
        });
        is_in.recv().unwrap();
        release
    }

    #[test]
    fn calls_of_many_threads_are_run_or_find_no_place() {
        let (places, _runtime) = places(3);
        let lane = places.lane("a");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        // Who finds no place is asked elsewhere.
                        let run = lane.run(|| ());
                        assert!(matches!(run, Ok(()) | Err(CallError::Busy)), "{run:?}");
                    }
                });
            }
        });
        assert_eq!(lane.places.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_hung_backend_leaves_a_place_to_another() {
        let (places, _runtime) = places(4);
        let (bad, good) = (places.lane("bad"), places.lane("good"));
        let _hung = hang(&bad);
        assert!(matches!(bad.run(|| ()), Err(CallError::Busy)));
        assert!(good.run(|| ()).is_ok());
    }

    #[test]
    fn all_backends_together_never_hold_the_last_workers() {
        let (places, _runtime) = places(4);
        let lanes = ["a", "b", "c"].map(|name| places.lane(name));
        let _hung = [hang(&lanes[0]), hang(&lanes[1])];
        assert!(matches!(lanes[2].run(|| ()), Err(CallError::Busy)));
    }

    #[test]
    fn an_overdue_call_pauses_its_backend_and_no_other() {
        let (places, _runtime) = places(6);
        let (bad, good) = (places.lane("bad"), places.lane("good"));
        let release = hang(&bad);
        bad.began[0].store(0, Ordering::Release);
        // The watchdog may have looked before: what counts is that the call is overdue by now.
        while places.now() <= 251 {
            std::thread::yield_now();
        }
        bad.look();
        good.look();
        assert!(matches!(bad.run(|| ()), Err(CallError::Paused)));
        assert!(good.run(|| ()).is_ok());
        drop(release);
        bad.paused_until.store(0, Ordering::Release);
        while bad
            .began
            .iter()
            .any(|began| began.load(Ordering::Acquire) != FREE)
        {
            std::thread::yield_now();
        }
        bad.look();
        assert!(bad.run(|| ()).is_ok(), "and heals");
    }

    #[test]
    fn a_panic_gives_its_place_back() {
        let lane = Places::new(None).lane("a");
        let call = || lane.run(|| std::panic::resume_unwind(Box::new(())));
        let call: Result<Result<(), _>, _> =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        assert!(call.is_err());
        assert!(lane.run(|| ()).is_ok());
    }
}
