//! The thread that sends spans.
//!
//! It has a runtime of its own, so that a collector that is slow costs no request anything.
//! **Invariants:** what is being sent counts as held until it is out of hand; a batch is tried for
//! [`GIVE_UP`] and then dropped; an outage is a line in the log when it begins and one when it ends.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep, sleep_until},
};

use super::{
    request::{Ended, spans},
    send::{Collector, Failure},
    wire::{About, encode},
};
use crate::metrics::{Meters, SpanFate};

/// Spans in a batch, give or take those of one request (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;

/// How long spans gather.
const GATHER: Duration = Duration::from_secs(2);

/// How long to wait after the first failure; then twice as long each time.
const BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(30);

/// How long one batch is tried for.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Somebody who waits for all to be sent.
type Waiter = oneshot::Sender<()>;

/// What the thread works with.
pub(super) struct Exporter {
    pub(super) ended: mpsc::UnboundedReceiver<Ended>,
    pub(super) flushes: mpsc::Receiver<Waiter>,
    pub(super) held: Arc<AtomicUsize>,
    pub(super) meters: Arc<Meters>,
    pub(super) collector: Collector,
    pub(super) about: About,
    /// In a row.
    pub(super) failures: u32,
    pub(super) is_out: bool,
}

/// Starts the thread. It ends when the queue is closed and empty.
pub(super) fn start(exporter: Exporter) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("traces".into())
        .spawn(move || runtime.block_on(exporter.run()))
        .map(drop)
}

impl Exporter {
    async fn run(mut self) {
        loop {
            let (batch, waiter) = self.gather().await;
            let is_over = batch.is_empty() && waiter.is_none();
            let (went_out, waiter) = self.deliver(batch, waiter).await;
            if let Some(waiter) = waiter {
                self.clear(went_out).await;
                let _ = waiter.send(());
            }
            if is_over {
                return;
            }
        }
    }

    /// The next batch, and who waits for it, if anybody. Neither when the queue is closed.
    async fn gather(&mut self) -> (Vec<Ended>, Option<Waiter>) {
        let first = tokio::select! {
            biased;
            Some(waiter) = self.flushes.recv() => return (Vec::new(), Some(waiter)),
            first = self.ended.recv() => first,
        };
        let Some(first) = first else {
            return (Vec::new(), None);
        };
        let mut count = spans(&first);
        let mut batch = vec![first];
        let until = Instant::now() + GATHER;
        while count < BATCH {
            tokio::select! {
                biased;
                Some(waiter) = self.flushes.recv() => return (batch, Some(waiter)),
                next = self.ended.recv() => match next {
                    Some(next) => {
                        count += spans(&next);
                        batch.push(next);
                    }
                    None => break,
                },
                () = sleep_until(until) => break,
            }
        }
        (batch, None)
    }

    /// Sends a batch, again and again if need be; but once only when somebody waits. Whether it was
    /// taken, and who waits by now.
    async fn deliver(
        &mut self,
        batch: Vec<Ended>,
        mut waiter: Option<Waiter>,
    ) -> (bool, Option<Waiter>) {
        if batch.is_empty() {
            return (true, waiter);
        }
        let count = batch.iter().map(spans).sum();
        let body = encode(&self.about, &batch);
        drop(batch);
        let until = Instant::now() + GIVE_UP;
        let went_out = loop {
            let failure = match self.collector.send(body.clone()).await {
                Ok(refused) => {
                    self.taken(count, refused);
                    break true;
                }
                Err(failure) => failure,
            };
            self.failed(&failure.why);
            if !failure.is_passing {
                self.meters.spans.note(SpanFate::Refused, count as u64);
                break false;
            }
            let wait = self.wait(&failure);
            let is_last = waiter.is_some() || self.ended.is_closed();
            if is_last || Instant::now() + wait > until {
                self.meters.spans.note(SpanFate::Dropped, count as u64);
                break false;
            }
            tokio::select! {
                biased;
                Some(asks) = self.flushes.recv() => waiter = Some(asks),
                () = sleep(wait) => {}
            }
        };
        self.held.fetch_sub(count, Ordering::Relaxed);
        (went_out, waiter)
    }

    /// Sends everything that is there, or drops it as soon as something is not taken.
    async fn clear(&mut self, mut goes_out: bool) {
        loop {
            let (mut batch, mut count) = (Vec::new(), 0);
            while count < BATCH
                && let Ok(next) = self.ended.try_recv()
            {
                count += spans(&next);
                batch.push(next);
            }
            if batch.is_empty() {
                return;
            }
            if goes_out {
                // Nobody can wait for it twice; this only says that there is one try.
                let (nobody, _) = oneshot::channel();
                goes_out = self.deliver(batch, Some(nobody)).await.0;
            } else {
                self.meters.spans.note(SpanFate::Dropped, count as u64);
                self.held.fetch_sub(count, Ordering::Relaxed);
            }
        }
    }

    fn taken(&mut self, count: usize, refused: u64) {
        let refused = refused.min(count as u64);
        self.failures = 0;
        self.meters.spans.note(SpanFate::Refused, refused);
        let sent = count as u64 - refused;
        self.meters.spans.note(SpanFate::Sent, sent);
        if refused > 0 {
            self.failed("it refused some of them");
        } else if self.is_out {
            self.is_out = false;
            tracing::info!("traces are sent again");
        }
    }

    fn failed(&mut self, why: &str) {
        self.failures = self.failures.saturating_add(1);
        if !self.is_out {
            self.is_out = true;
            tracing::warn!(
                why,
                "traces are not taken by their collector; requests go on"
            );
        }
    }

    /// Doubled each time, a little apart from others; or as the collector says.
    fn wait(&self, failure: &Failure) -> Duration {
        let [random] = crate::id::random_bytes::<1>();
        let power = self.failures.saturating_sub(1).min(16);
        let longest = BACKOFF.saturating_mul(1 << power).min(LONGEST);
        let own = longest.mul_f64(0.75 + f64::from(random) / 1024.0);
        failure.after.map_or(own, |after| own.max(after))
    }
}
