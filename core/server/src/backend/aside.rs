//! Foreign work on threads of its own.
//!
//! A plugin that does not give its thread back (a loop inside `poll`) keeps it for good. So none is
//! polled by a thread that answers requests, but by one of those kept for work that blocks.
//!
//! **Invariant:** what a call was given to hold, it holds until its thread is free again: who is
//! allowed so many calls has never more threads than that.

use std::convert::Infallible;

use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking};

/// Runs `work` elsewhere, to its end or until the caller is gone. It holds `place` meanwhile.
/// Nothing comes back when it panicked.
pub(super) async fn aside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    place: impl Send + 'static,
) -> Option<T> {
    let (caller, gone) = oneshot::channel::<Infallible>();
    let runtime = Handle::current();
    let run = move || {
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                outcome = work => Some(outcome),
                _ = gone => None,
            }
        });
        drop(place);
        outcome
    };
    let outcome = spawn_blocking(run).await;
    drop(caller);
    outcome.ok().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use std::{
        future::{pending, poll_fn},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Poll,
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn it_comes_back_with_what_came_of_it() {
        assert_eq!(aside(async { 7 }, ()).await, Some(7));
        let panics = aside(async { panic!("on purpose") }, ());
        assert_eq!(panics.await, None::<()>);
    }

    #[tokio::test]
    async fn a_caller_that_is_gone_takes_the_work_along() {
        let place = Arc::new(());
        let call = aside(pending::<()>(), Arc::clone(&place));
        let late = tokio::time::timeout(Duration::from_millis(1), call).await;
        assert!(late.is_err());
        while Arc::strong_count(&place) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_that_keeps_its_thread_keeps_its_place_and_no_other_thread() {
        let (place, is_over) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&is_over);
        let spin = poll_fn(move |_| {
            while !end.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            Poll::Ready(())
        });
        let call = aside(spin, Arc::clone(&place));
        let late = tokio::time::timeout(Duration::from_millis(1), call).await;
        assert!(late.is_err());
        assert_eq!(Arc::strong_count(&place), 2);
        is_over.store(true, Ordering::SeqCst);
        while Arc::strong_count(&place) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
