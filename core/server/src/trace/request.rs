//! The trace of one request while it is under way, and what it waited for.
//!
//! **Invariants:** a request's spans go to the queue together, when it is answered; what ends later
//! is left out and counted; there are never more than [`MOST`] of them.

use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Arrived, Parent, Tracer};
use crate::{
    id::{RequestId, TraceId},
    metrics::SpanFate,
};

/// Spans below that of one request.
pub(super) const MOST: usize = 64;

tokio::task_local! {
    /// The trace of the request that the task is at work for.
    static CURRENT: Arc<Trace>;
}

/// A request that is traced.
pub struct Trace {
    tracer: Arc<Tracer>,
    id: TraceId,
    parent: Option<Parent>,
    link: Option<Parent>,
    request: RequestId,
    began: Instant,
    /// When it came: nanoseconds since the Unix epoch.
    start: u64,
    /// None once it is answered.
    children: Mutex<Option<Vec<Child>>>,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its method; nothing when it is none of the known ones.
    pub method: Option<&'static str>,
    /// The template of its route, if it has one.
    pub route: Option<&'static str>,
    /// The status.
    pub status: u16,
    /// The version of HTTP.
    pub version: &'static str,
    /// Whether people reach the server by https.
    pub is_secure: bool,
}

/// What a request waited for.
#[derive(Debug)]
pub enum Work {
    /// A call into a backend.
    Call {
        /// Its configured name.
        backend: String,
        /// What it was asked.
        operation: &'static str,
        /// How that came out.
        result: &'static str,
        /// Whether it came out as an answer.
        is_answer: bool,
    },
    /// A transaction of the store.
    Write {
        /// Whether it is on the platter.
        is_committed: bool,
    },
}

/// One of them, done.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) work: Work,
}

/// A request's spans. Times are nanoseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) trace: TraceId,
    pub(super) parent: Option<Parent>,
    pub(super) link: Option<Parent>,
    pub(super) request: RequestId,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) answer: Answer,
    pub(super) children: Vec<Child>,
}

/// How many spans a request has.
pub(super) const fn spans(ended: &Ended) -> usize {
    1 + ended.children.len()
}

impl Ended {
    /// The id of its span number `place`, from 0. Unique as the request's own id is.
    pub(super) fn span(&self, place: usize) -> [u8; 8] {
        let id = xxh3_64_with_seed(self.request.as_bytes(), place as u64);
        id.max(1).to_be_bytes()
    }
}

/// Something a traced request waits for.
pub(crate) struct Started {
    trace: Arc<Trace>,
    began: Instant,
}

impl Trace {
    pub(super) fn new(
        tracer: Arc<Tracer>,
        arrived: &Arrived,
        own: TraceId,
        trusted: Option<Parent>,
    ) -> Self {
        let so_far = nanos(arrived.began.elapsed());
        Self {
            tracer,
            id: trusted.map_or(own, |parent| parent.trace),
            parent: trusted,
            link: arrived.parent.filter(|_| trusted.is_none()),
            request: arrived.request,
            began: arrived.began,
            start: arrived.now.saturating_sub(so_far),
            children: Mutex::new(Some(Vec::new())),
        }
    }

    /// What the trace is called.
    pub const fn id(&self) -> TraceId {
        self.id
    }

    /// Runs `work` for the request of `trace`.
    pub fn during<T>(trace: Option<&Arc<Self>>, work: impl FnOnce() -> T) -> T {
        match trace {
            Some(trace) => CURRENT.sync_scope(Arc::clone(trace), work),
            None => work(),
        }
    }

    /// As [`Trace::during`], for work that waits.
    pub async fn around<T>(trace: Option<&Arc<Self>>, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| -> Poll<T> { Self::during(trace, || work.as_mut().poll(cx)) })
            .await
    }

    /// The request is answered.
    pub fn end(&self, answer: Answer) {
        let Some(children) = self.children.lock().take() else {
            return;
        };
        self.tracer.take(Ended {
            trace: self.id,
            parent: self.parent,
            link: self.link,
            request: self.request,
            start: self.start,
            end: self.at(Instant::now()),
            answer,
            children,
        });
    }

    fn at(&self, moment: Instant) -> u64 {
        self.start + nanos(moment.saturating_duration_since(self.began))
    }
}

impl Started {
    /// Begins a span below that of the request this task is at work for, if that is traced.
    pub(crate) fn now() -> Option<Self> {
        let trace = CURRENT.try_with(Arc::clone).ok()?;
        let began = Instant::now();
        Some(Self { trace, began })
    }

    /// It is done.
    pub(crate) fn end(self, work: Work) {
        let child = Child {
            start: self.trace.at(self.began),
            end: self.trace.at(Instant::now()),
            work,
        };
        match &mut *self.trace.children.lock() {
            Some(children) if children.len() < MOST => children.push(child),
            _ => self.trace.tracer.meters.spans.note(SpanFate::Dropped, 1),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
