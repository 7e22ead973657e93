//! An HTTP/2 connection's life (RFC 9113). Only over TLS, by ALPN.
//!
//! What a request is asked for and refused is the same as over HTTP/1.1: it is made to look like one
//! before it goes through the door. What is new is that one connection carries many of them, and
//! that the client decides when each answer may go out.
//!
//! **Invariants:** an answer that is not taken in time ends its connection, and so does a connection
//! on which nothing is asked; a drain lets every request that was taken be answered.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    rt::{Read, Write},
    server::conn::http2,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::{
    connection::Hearing,
    due::{Alarm, Due, NEVER, STEP},
    rest::{Lent, Rest},
};

/// What a connection may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a header.
    pub(super) header: usize,
    /// Requests under way.
    pub(super) streams: u32,
}

/// Bytes of bodies a client may send ahead, of one request and of all.
const WINDOW: u32 = 64 * 1024;
const WINDOW_OF_ALL: u32 = 4 * WINDOW;

/// Streams opened and taken back before we have looked at them, until the client is told to calm
/// down (CVE-2023-44487): what h2 itself says, written down so that it stays.
const RESETS: usize = 20;

/// Streams of the client's that we had to break off, until it is told so (RUSTSEC-2024-0003).
const BREAKS: usize = 128;

/// Serves a connection to its end.
pub(super) async fn run<I, S, B>(
    stream: I,
    service: S,
    due: Arc<Due>,
    limits: Limits,
    hearing: Hearing,
) where
    I: Read + Write + Unpin,
    S: HttpService<Lent<Incoming>, ResBody = B>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Hearing { mut hear, began } = hearing;
    let answers = Arc::new(Answers::new(Arc::clone(&due)));
    let service = {
        let (answers, service) = (Arc::clone(&answers), Mutex::new(service));
        service_fn(move |request: Request<Incoming>| {
            let answer = Answers::begin(&answers);
            let rest = Rest::default();
            let is_head = request.method() == Method::HEAD;
            let request = as_in_http1(request).map(|body| Lent::new(body, &rest));
            let answered = service.lock().call(request);
            async move {
                let mut response: Response<B> = answered.await?;
                rest.hear_out().await;
                if is_head {
                    say_length(&mut response);
                }
                let body = |body| Sliced::new((!is_head).then_some(body), answer);
                Ok::<_, S::Error>(response.map(body))
            }
        })
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(BREAKS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW_OF_ALL)
        .keep_alive_interval(due.times().idle / 3)
        .keep_alive_timeout(due.times().header);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut alarm = Alarm::new();
    let mut told = pin!(hear.changed());
    let (mut is_listening, mut ends_at) = (false, None);
    poll_fn(|cx| {
        if !is_listening {
            is_listening = true;
            let _ = told.as_mut().poll(cx);
        }
        let is_over = ends_at.is_none() && began.load(Ordering::SeqCst);
        if is_over {
            ends_at = Some(NEVER);
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let (quiet_at, late_at) = answers.due();
            let cut_at = due.stalled_at().min(late_at).min(ends_at.unwrap_or(NEVER));
            if alarm.is_past(cx, &due, cut_at) {
                return Poll::Ready(());
            }
            if ends_at.is_some() || !alarm.is_past(cx, &due, cut_at.min(quiet_at)) {
                return Poll::Pending;
            }
            // The client is told, and has the time to write to say goodbye.
            ends_at = Some(due.later(due.times().write));
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}

/// A request as HTTP/1.1 would have it: with a `Host`, and its cookies in one line (RFC 9113
/// sections 8.3.1 and 8.2.3).
fn as_in_http1<T>(mut request: Request<T>) -> Request<T> {
    if !request.headers().contains_key(header::HOST) {
        let authority = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    let mut cookies = request.headers().get_all(header::COOKIE).iter();
    if cookies.next().is_some() && cookies.next().is_some() {
        let lines = request.headers().get_all(header::COOKIE).iter();
        let lines: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
        if let Ok(line) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
            request.headers_mut().insert(header::COOKIE, line);
        }
    }
    request
}

/// Writes down how long the content is that the answer to a `HEAD` does not have (RFC 9110 section
/// 9.3.2): hyper does so only where there is some.
fn say_length<B: Body>(response: &mut Response<B>) {
    if let Some(length) = response.body().size_hint().exact()
        && !response.body().is_end_stream()
    {
        let headers = response.headers_mut();
        let said = headers.entry(header::CONTENT_LENGTH);
        said.or_insert_with(|| length.into());
    }
}

/// The answers of a connection that are not out yet.
struct Answers {
    due: Arc<Due>,
    next: AtomicU64,
    open: Mutex<Open>,
}

struct Open {
    /// Each with the time by which the client must have taken more of it.
    answers: Vec<(u64, u64)>,
    /// When the connection ends if nothing is asked.
    quiet_at: u64,
}

impl Answers {
    fn new(due: Arc<Due>) -> Self {
        let open = Open {
            answers: Vec::new(),
            quiet_at: due.later(due.times().header),
        };
        Self {
            due,
            next: AtomicU64::new(0),
            open: Mutex::new(open),
        }
    }

    /// A request is being answered: how long that may take is `dispatch`'s affair.
    fn begin(answers: &Arc<Self>) -> Answer {
        let id = answers.next.fetch_add(1, Ordering::Relaxed);
        let mut open = answers.open.lock();
        open.answers.push((id, NEVER));
        open.quiet_at = NEVER;
        drop(open);
        Answer {
            id,
            answers: Arc::clone(answers),
        }
    }

    /// When the connection is quiet for too long, and when the first answer is late.
    fn due(&self) -> (u64, u64) {
        let open = self.open.lock();
        let late_at = open.answers.iter().map(|(_, at)| *at).min();
        (open.quiet_at, late_at.unwrap_or(NEVER))
    }
}

/// One of them.
struct Answer {
    id: u64,
    answers: Arc<Answers>,
}

impl Answer {
    fn moved(&self) {
        let due = &self.answers.due;
        let late_at = due.later(due.times().write);
        let mut open = self.answers.open.lock();
        if let Some((_, at)) = open.answers.iter_mut().find(|(id, _)| *id == self.id) {
            *at = late_at;
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let due = &self.answers.due;
        let mut open = self.answers.open.lock();
        open.answers.retain(|(id, _)| *id != self.id);
        if open.answers.is_empty() {
            open.quiet_at = due.later(due.times().idle);
        }
    }
}

/// A body in slices: the next is asked for when the client has room for it, so it is seen whether
/// the client takes the answer.
///
/// h2 takes a slice whole as soon as there is room for a byte of it, and nobody is asked for what
/// comes after the last. So the last is one byte: by then there was room for all before it.
struct Sliced<B> {
    /// None for an answer without content.
    body: Option<B>,
    rest: Bytes,
    answer: Answer,
}

impl<B> Sliced<B> {
    fn new(body: Option<B>, answer: Answer) -> Self {
        answer.moved();
        Self {
            body,
            rest: Bytes::new(),
            answer,
        }
    }

    fn slice(&mut self) -> Bytes {
        self.answer.moved();
        let all_but_one = self.rest.len().saturating_sub(1);
        self.rest
            .split_to(all_but_one.clamp(1, STEP).min(self.rest.len()))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sliced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(bytes) => self.rest = bytes,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let slice = self.slice();
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref().map(Body::size_hint);
        let mut hint = body.unwrap_or_else(|| SizeHint::with_exact(0));
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests;
