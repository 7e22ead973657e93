//! A connection's life: its one timer, and its end when the server drains.
//!
//! hyper makes a timer for every header it waits for, and a graceful shutdown is asked for at
//! every step; both take locks that all connections share. Here a connection has one timer for
//! its whole life, moved on when it fires too early, and waits for the drain once.
//!
//! **Invariants:** a header that is not there in time ends the connection; a drain reaches every
//! connection, also one that is accepted while it begins.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::{
    body::{Body, Incoming},
    rt::{Read, Sleep, Timer, Write},
    server::conn::http1,
    service::HttpService,
};
use tokio::sync::watch;

/// Tells the connections that the server stops, and when they are gone.
pub(super) struct Drain {
    say: watch::Sender<()>,
    began: Arc<AtomicBool>,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self {
            say: watch::Sender::new(()),
            began: Arc::default(),
        }
    }

    /// What a connection must hold as long as it lives.
    pub(super) fn hear(&self) -> Hearing {
        Hearing {
            hear: self.say.subscribe(),
            began: Arc::clone(&self.began),
        }
    }

    /// Lets every connection answer what it is answering. Returns when all are gone.
    pub(super) async fn run(self) {
        self.began.store(true, Ordering::SeqCst);
        let _ = self.say.send(());
        self.say.closed().await;
    }
}

/// See [`Drain::hear`].
pub(super) struct Hearing {
    hear: watch::Receiver<()>,
    began: Arc<AtomicBool>,
}

/// Serves a connection to its end.
pub(super) async fn run<I, S>(
    stream: I,
    service: S,
    header_timeout: Duration,
    max_header: usize,
    hearing: Hearing,
) where
    I: Read + Write + Unpin,
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: Body + 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Hearing { mut hear, began } = hearing;
    let due = Arc::new(Due::new());
    let connection = http1::Builder::new()
        .timer(OneTimer(Arc::clone(&due)))
        .header_read_timeout(header_timeout)
        .max_buf_size(max_header)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut alarm = pin!(tokio::time::sleep(header_timeout));
    let mut is_alarm_set = false;
    let mut told = pin!(hear.changed());
    let (mut is_listening, mut is_draining) = (false, false);
    poll_fn(|cx| {
        // Once is enough: the task's waker stays registered until the word comes.
        if !is_listening {
            is_listening = true;
            let _ = told.as_mut().poll(cx);
        }
        if !is_draining && began.load(Ordering::SeqCst) {
            is_draining = true;
            connection.as_mut().graceful_shutdown();
        }
        // A client that breaks off is its own affair.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if due.look(cx, alarm.as_mut(), &mut is_alarm_set) {
            return connection.as_mut().poll(cx).map(drop);
        }
        Poll::Pending
    })
    .await;
}

/// Nothing is waited for.
const NEVER: u64 = u64::MAX;

/// When the header that is waited for must be there.
struct Due {
    epoch: Instant,
    /// Nanoseconds from `epoch`.
    at: AtomicU64,
    is_past: AtomicBool,
}

impl Due {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            at: AtomicU64::new(NEVER),
            is_past: AtomicBool::new(false),
        }
    }

    fn set(&self, at: Instant) {
        let nanos = at.saturating_duration_since(self.epoch).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(NEVER - 1);
        self.at.store(nanos, Ordering::Relaxed);
    }

    /// Sees to it that the task wakes when the header is late. True when it is.
    fn look(
        &self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut tokio::time::Sleep>,
        is_set: &mut bool,
    ) -> bool {
        loop {
            let at = self.at.load(Ordering::Relaxed);
            if at == NEVER || (*is_set && !alarm.is_elapsed()) {
                return false;
            }
            let at = tokio::time::Instant::from_std(self.epoch + Duration::from_nanos(at));
            if *is_set && alarm.deadline() >= at {
                self.is_past.store(true, Ordering::Relaxed);
                return true;
            }
            alarm.as_mut().reset(at);
            *is_set = true;
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }
}

/// hyper's view of the connection's one timer.
struct OneTimer(Arc<Due>);

impl Timer for OneTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.set(deadline);
        Box::pin(Wait(Arc::clone(&self.0)))
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.0.set(deadline);
    }
}

/// One header waited for.
struct Wait(Arc<Due>);

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.is_past.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.at.store(NEVER, Ordering::Relaxed);
    }
}

impl Sleep for Wait {}
