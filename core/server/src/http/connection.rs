//! An HTTP/1.1 connection's life, and its end when the server drains.
//!
//! hyper makes a timer for every header it waits for, and a graceful shutdown is asked for at
//! every step; both take locks that all connections share. Here a connection has one timer for
//! its whole life (`due`), and waits for the drain once.
//!
//! What is no request (400, 414, 431) hyper answers by itself: it says so only when that answer is
//! written, so it has no request's id, no meter and no log line of ours.
//!
//! **Invariants:** a header that is not there in time ends the connection, and so does an answer
//! that is not taken; a drain reaches every connection, also one that is accepted while it begins;
//! no request that has reached us is dropped by it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    rt::{Read, Write},
    server::conn::http1,
    service::{Service, service_fn},
};
use tokio::sync::watch;

use super::due::{Alarm, Due, OneTimer};

/// How long a connection nobody asks anything on is kept in a drain: a client that has just been
/// answered may have its next request on the way, and closing then would lose it.
const LINGER: Duration = Duration::from_millis(500);

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

    /// From now on every answer is the last of its connection.
    pub(super) fn begin(&self) {
        self.began.store(true, Ordering::SeqCst);
        let _ = self.say.send(());
    }

    /// Returns when all connections are gone.
    pub(super) async fn end(self) {
        self.say.closed().await;
    }
}

/// See [`Drain::hear`].
pub(super) struct Hearing {
    pub(super) hear: watch::Receiver<()>,
    pub(super) began: Arc<AtomicBool>,
}

/// Serves a connection to its end. `service` says `connection: close` once the drain has begun.
pub(super) async fn run<I, S, B>(
    stream: I,
    service: S,
    due: Arc<Due>,
    max_header: usize,
    hearing: Hearing,
) where
    I: Read + Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Hearing { mut hear, began } = hearing;
    let service = service_fn(|request| {
        due.end_header();
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(OneTimer(Arc::clone(&due)))
        .header_read_timeout(due.times().header)
        .max_buf_size(max_header)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut alarm = Alarm::new();
    let mut told = pin!(hear.changed());
    let (mut is_listening, mut quiet_at) = (false, None);
    poll_fn(|cx| {
        // Once is enough: the task's waker stays registered until the word comes.
        if !is_listening {
            is_listening = true;
            let _ = told.as_mut().poll(cx);
        }
        if quiet_at.is_none() && began.load(Ordering::SeqCst) {
            quiet_at = Some(due.later(LINGER));
        }
        // A client that breaks off is its own affair.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match due.is_over(cx, &mut alarm, quiet_at) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}
