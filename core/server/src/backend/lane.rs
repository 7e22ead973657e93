//! The slow lane: calls into a plugin under a deadline, a limit and a circuit breaker.
//!
//! **Invariants:** a hung call costs its own caller and, for as long as it keeps a thread, one place
//! of its own backend; after [`FAILURES`] failures in a row nobody waits for the backend for
//! [`PAUSE`]; then one call tries.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::CallError;

/// Failures in a row after which the breaker opens.
const FAILURES: u32 = 5;

/// For how long it stays open.
const PAUSE: Duration = Duration::from_secs(10);

/// How many may wait for each one that is served.
const WAITING_PER_PLACE: usize = 4;

/// One of the calls that may run at the same time.
pub(super) type Place = OwnedSemaphorePermit;

pub(super) struct Lane {
    deadline: Duration,
    concurrency: usize,
    places: Arc<Semaphore>,
    queue: Semaphore,
    failures: AtomicU32,
    open_until: Mutex<Option<Instant>>,
}

impl Lane {
    pub(super) fn new(deadline: Duration, concurrency: usize) -> Self {
        Self {
            deadline,
            concurrency,
            places: Arc::new(Semaphore::new(concurrency)),
            queue: Semaphore::new(concurrency * (1 + WAITING_PER_PLACE)),
            failures: AtomicU32::new(0),
            open_until: Mutex::new(None),
        }
    }

    /// Waits for `work`, which holds its place until it is over, and tells whether it failed through
    /// a fault of the backend's.
    pub(super) async fn run<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        work: impl FnOnce(Place) -> F,
    ) -> Result<T, CallError> {
        self.admit()?;
        let _queued = self.queue.try_acquire().map_err(|_| CallError::Busy)?;
        let deadline = Instant::now() + self.deadline;
        // Who only waited in line knows nothing of the backend's health.
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(CallError::Busy);
        };
        if Instant::now() >= deadline {
            return Err(CallError::Busy);
        }
        let outcome = timeout_at(deadline, work(place))
            .await
            .unwrap_or(Err(CallError::TimedOut));
        self.note(&outcome);
        outcome
    }

    /// How many calls are under way, and how many wait for a place.
    pub(super) fn load(&self) -> (usize, usize) {
        let running = self
            .concurrency
            .saturating_sub(self.places.available_permits());
        let most = self.concurrency * (1 + WAITING_PER_PLACE);
        let queued = most.saturating_sub(self.queue.available_permits());
        (running, queued.saturating_sub(running))
    }

    /// Whether the breaker is open.
    pub(super) fn is_paused(&self) -> bool {
        self.open_until
            .lock()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Forgets failures, for who means to cause more of them.
    pub(super) fn ease(&self) {
        self.failures.store(0, Ordering::Relaxed);
        *self.open_until.lock() = None;
    }

    /// Lets everybody in while closed, one at a time to try once the pause is over.
    fn admit(&self) -> Result<(), CallError> {
        let mut open_until = self.open_until.lock();
        match *open_until {
            Some(until) if Instant::now() < until => Err(CallError::Paused),
            Some(_) => {
                *open_until = Some(Instant::now() + PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note<T>(&self, outcome: &Result<T, CallError>) {
        use omnigent_plugin::BackendError::{Busy, NotSupported};
        match outcome {
            // Nothing is wrong with a backend that is asked too much.
            Err(CallError::Busy | CallError::Paused | CallError::Backend(Busy)) => {}
            Ok(_) | Err(CallError::Directory(_) | CallError::Backend(NotSupported)) => {
                self.ease();
            }
            Err(CallError::Backend(_) | CallError::TimedOut | CallError::Garbage(_)) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
                    *self.open_until.lock() = Some(Instant::now() + PAUSE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use omnigent_plugin::BackendError;

    use super::*;

    async fn hang(_place: Place) -> Result<(), CallError> {
        std::future::pending().await
    }

    async fn fail(lane: &Lane) -> CallError {
        lane.run(|_| async { Err::<(), _>(BackendError::unavailable("down").into()) })
            .await
            .unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_call_ends_at_its_deadline() {
        let lane = Lane::new(Duration::from_secs(10), 1);
        let hung = lane.run(hang).await;
        assert!(matches!(hung, Err(CallError::TimedOut)));
        assert!(lane.run(|_| async { Ok(()) }).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_breaker_opens_and_heals_by_one_success() {
        let lane = Lane::new(Duration::from_secs(10), 8);
        for _ in 0..FAILURES {
            assert!(matches!(fail(&lane).await, CallError::Backend(_)));
        }
        assert!(lane.is_paused());
        assert!(matches!(fail(&lane).await, CallError::Paused));
        tokio::time::advance(PAUSE).await;
        assert!(
            matches!(fail(&lane).await, CallError::Backend(_)),
            "one tries"
        );
        assert!(
            matches!(fail(&lane).await, CallError::Paused),
            "and the others wait"
        );
        tokio::time::advance(PAUSE).await;
        lane.run(|_| async { Ok(()) }).await.unwrap();
        assert!(!lane.is_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_no_failure() {
        let lane = Lane::new(Duration::from_secs(10), 8);
        for _ in 0..20 {
            let taken = lane.run(|_| async {
                Err::<(), _>(CallError::Directory(omnigent_plugin::DirectoryError::Taken))
            });
            assert!(matches!(taken.await, Err(CallError::Directory(_))));
        }
        assert!(!lane.is_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_line_is_no_failure_of_the_backend() {
        let lane = Arc::new(Lane::new(Duration::from_secs(10), 2));
        let calls: Vec<_> = (0..11)
            .map(|_| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move { lane.run(hang).await })
            })
            .collect();
        let mut busy = 0;
        for call in calls {
            busy += usize::from(matches!(call.await.unwrap(), Err(CallError::Busy)));
        }
        assert_eq!(
            busy, 9,
            "two ran into the deadline, nine waited or were turned away"
        );
        assert!(!lane.is_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_queue_nobody_waits() {
        let lane = Arc::new(Lane::new(Duration::from_secs(10), 1));
        for _ in 0..5 {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move { lane.run(hang).await });
        }
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert!(matches!(fail(&lane).await, CallError::Busy));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
