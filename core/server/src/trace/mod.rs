//! Traces: one span for each request and one for each thing it waited for, sent to an OpenTelemetry
//! collector.
//!
//! Owns: which requests are traced, what a span says, the queue and the thread that sends
//! (`export`). `parent` reads what a client says of its own trace, `wire` knows the format, `send`
//! the collector. Does not: know HTTP, or carry a trace into plugins, which have no such thing.
//!
//! The messages are OpenTelemetry's own (`opentelemetry-proto`), what fills and sends them is ours: a
//! whole request is one entry of the queue, what is dropped can be counted, an answer is bounded, and
//! a request that is not traced costs one look at an `Option`. The SDK's batch processor and
//! exporter have none of that.
//!
//! **Invariants:** without a collector there is no thread, no queue and nothing to do; nobody waits
//! for the collector; no more spans are held than the configuration allows, further ones are dropped
//! and counted; a span holds words of this code and the configuration, numbers and ids: nothing a
//! client wrote but the ids of its own trace.

mod export;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod parent;
mod request;
mod send;
mod wire;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    config::Tracing,
    id::{RequestId, TraceId},
    metrics::{Meters, SpanFate},
};

use export::Exporter;
pub use parent::Parent;
#[cfg(test)]
use request::MOST as MOST_OF_ONE;
pub(crate) use request::Started;
pub use request::{Answer, Trace, Work};
use request::{Ended, spans};

/// What decides on and takes traces.
pub struct Tracer {
    /// Traces whose id, as far as it is looked at, is below this are kept.
    threshold: u64,
    /// Spans that may be held.
    most: usize,
    queue: mpsc::UnboundedSender<Ended>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    held: Arc<AtomicUsize>,
    meters: Arc<Meters>,
}

/// A request that has come.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// What the log calls it.
    pub request: RequestId,
    /// When it came.
    pub began: Instant,
    /// What time it is now: nanoseconds since the Unix epoch.
    pub now: u64,
    /// The trace it says it is part of.
    pub parent: Option<Parent>,
    /// Whether that is said by a proxy the operator trusts.
    pub is_trusted: bool,
}

impl Tracer {
    /// Begins to take traces, on a thread of its own; nothing without a collector.
    ///
    /// # Errors
    /// When the system has no thread to give, or no client can be made.
    pub fn start(config: &Tracing, meters: &Arc<Meters>) -> io::Result<Option<Arc<Self>>> {
        let Some(collector) = send::Collector::new(config)? else {
            return Ok(None);
        };
        let (queue, ended) = mpsc::unbounded_channel();
        let (flushes, asked) = mpsc::channel(1);
        let held = Arc::new(AtomicUsize::new(0));
        let exporter = Exporter {
            ended,
            flushes: asked,
            held: Arc::clone(&held),
            meters: Arc::clone(meters),
            collector,
            about: wire::About::new(&config.service_name),
            failures: 0,
            is_out: false,
        };
        export::start(exporter)?;
        Ok(Some(Arc::new(Self {
            threshold: threshold(config.sample_ratio),
            most: config.max_queue,
            queue,
            flushes,
            held,
            meters: Arc::clone(meters),
        })))
    }

    /// The trace of a request, if it is kept.
    ///
    /// A trusted parent decides, and is the parent. Anybody else's is no more than linked to: a
    /// stranger could have everything traced, or put our spans into a trace of theirs (W3C Trace
    /// Context, section "Privacy Considerations" and "Security Considerations").
    pub fn begin(self: &Arc<Self>, arrived: &Arrived) -> Option<Arc<Trace>> {
        let trusted = arrived.parent.filter(|_| arrived.is_trusted);
        let own = TraceId::from_bytes(*arrived.request.as_bytes());
        let is_kept = match trusted {
            Some(parent) => parent.is_sampled,
            None => self.keeps(own),
        };
        is_kept.then(|| Arc::new(Trace::new(Arc::clone(self), arrived, own, trusted)))
    }

    /// As all who sample by `TraceIdRatioBased` decide: by the last 63 bits of the id.
    fn keeps(&self, id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.threshold
    }

    fn take(&self, ended: Ended) {
        let count = spans(&ended);
        let before = self.held.fetch_add(count, Ordering::Relaxed);
        if before + count > self.most || self.queue.send(ended).is_err() {
            self.held.fetch_sub(count, Ordering::Relaxed);
            self.meters.spans.note(SpanFate::Dropped, count as u64);
        }
    }

    /// Sends what there is, as far as there is time.
    pub async fn flush(&self, within: Duration) {
        let (say, hear) = oneshot::channel();
        let done = async {
            if self.flushes.send(say).await.is_ok() {
                let _ = hear.await;
            }
        };
        if tokio::time::timeout(within, done).await.is_err() {
            tracing::debug!("the last traces were not sent in time");
        }
    }
}

/// Whether the collector of `config` takes traces: nothing when there is none, or what is wrong.
///
/// # Errors
/// What is wrong, in words without its address.
pub async fn probe(config: &Tracing) -> Option<Result<(), String>> {
    Some(match send::Collector::new(config).transpose()? {
        Err(error) => Err(error.to_string()),
        // No bytes are a request without spans.
        Ok(collector) => match collector.send(bytes::Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.why),
        },
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a ratio is from 0 to 1"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio * 2_f64.powi(63)) as u64
}

#[cfg(test)]
mod tests;
