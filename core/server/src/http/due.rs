//! A connection's one timer: what is waited for, and until when.
//!
//! Three things are waited for, never all at once: the next header, a client that takes its answer,
//! and, in a drain, a client that may still have a request under way. Nothing is armed for any of
//! them: the one timer is moved on when it fires too early, so a request costs a few plain stores,
//! and no look at the clock.
//!
//! **Invariants:** a header that has begun must be there in time, however it drips; a client that
//! takes less than [`STEP`] of what waits for it within the time to write is cut off; one that
//! asks nothing more is let go, at the latest a quarter after its time.

use std::{
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connection may take over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// To send a header, from its first byte; to send anything at all, on a new connection.
    pub header: Duration,
    /// To begin the next request. May be given a quarter more.
    pub idle: Duration,
    /// To take the next [`STEP`] of an answer.
    pub write: Duration,
}

/// Bytes that count as progress: one at a time would hold an answer for hours.
pub(super) const STEP: usize = 16 * 1024;

/// Nothing is waited for.
pub(super) const NEVER: u64 = u64::MAX;

/// A header is waited for since the timer last fired, and it will fire in time to reckon until when.
const LATELY: u64 = NEVER - 1;

/// The last moment there is.
const LAST: u64 = LATELY - 1;

/// By the clock the timer goes by, which tests turn.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

// Of a header.
const AWAITED: u8 = 0;
const BEGUN: u8 = 1;
const TIMED: u8 = 2;

/// What is waited for. Times are nanoseconds from `epoch`.
pub(super) struct Due {
    epoch: Instant,
    times: Times,
    header_at: AtomicU64,
    header: AtomicU8,
    is_first: AtomicBool,
    stalled_at: AtomicU64,
}

impl Due {
    pub(super) fn new(times: Times) -> Arc<Self> {
        Arc::new(Self {
            epoch: now(),
            times,
            header_at: AtomicU64::new(NEVER),
            header: AtomicU8::new(AWAITED),
            is_first: AtomicBool::new(true),
            stalled_at: AtomicU64::new(NEVER),
        })
    }

    pub(super) const fn times(&self) -> &Times {
        &self.times
    }

    /// The moment `after` from now.
    pub(super) fn later(&self, after: Duration) -> u64 {
        self.nanos(now() + after)
    }

    /// When the answer that waits must have moved on.
    pub(super) fn stalled_at(&self) -> u64 {
        self.stalled_at.load(Relaxed)
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos).map_or(LAST, |nanos| nanos.min(LAST))
    }

    /// hyper waits for a header.
    fn await_header(&self) {
        let at = if self.is_first.load(Relaxed) {
            self.is_first.store(false, Relaxed);
            self.later(self.times.header)
        } else {
            LATELY
        };
        self.header.store(AWAITED, Relaxed);
        self.header_at.store(at, Relaxed);
    }

    /// The header is there.
    pub(super) fn end_header(&self) {
        self.header_at.store(NEVER, Relaxed);
    }

    /// When the header must be there: sooner, once it has begun.
    fn header_at(&self, alarm: &Alarm) -> u64 {
        let at = self.header_at.load(Relaxed);
        let has_begun = self.header.load(Relaxed) == BEGUN;
        let at = match at {
            NEVER => return NEVER,
            at if has_begun => at.min(self.later(self.times.header)),
            LATELY if !alarm.is_ticking() => self.later(self.times.idle),
            at => return at,
        };
        if has_begun {
            self.header.store(TIMED, Relaxed);
        }
        self.header_at.store(at, Relaxed);
        at
    }

    /// Whether the connection's time is over: the header is late, the answer is not taken, or nothing
    /// has been asked by `quiet_at`. Otherwise sees to it that the task wakes in time.
    pub(super) fn is_over(
        &self,
        cx: &mut Context<'_>,
        alarm: &mut Alarm,
        quiet_at: Option<u64>,
    ) -> bool {
        let (header_at, stalled_at) = (self.header_at(alarm), self.stalled_at.load(Relaxed));
        let is_asked = header_at == NEVER || self.header.load(Relaxed) != AWAITED;
        let quiet_at = quiet_at.filter(|_| !is_asked).unwrap_or(NEVER);
        alarm.is_past(cx, self, header_at.min(stalled_at).min(quiet_at))
    }
}

/// The timer itself: late, never early.
pub(super) struct Alarm {
    sleep: Pin<Box<tokio::time::Sleep>>,
    armed_for: u64,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed_for: NEVER,
        }
    }

    /// Whether it is armed and has not fired.
    fn is_ticking(&self) -> bool {
        self.armed_for != NEVER && !self.sleep.is_elapsed()
    }

    /// Whether `at` is past. Otherwise the task wakes then, or before: also every quarter of the
    /// time to begin a request.
    pub(super) fn is_past(&mut self, cx: &mut Context<'_>, due: &Due, at: u64) -> bool {
        loop {
            if at == NEVER || (self.is_ticking() && self.armed_for <= at) {
                return false;
            }
            let has_fired = self.armed_for != NEVER && self.sleep.is_elapsed();
            if has_fired && self.armed_for >= at {
                return true;
            }
            let step = (due.times.idle / 4).max(Duration::from_millis(1));
            let until = at.min(due.later(step));
            let deadline = tokio::time::Instant::from_std(due.epoch + Duration::from_nanos(until));
            self.sleep.as_mut().reset(deadline);
            self.armed_for = until;
            if self.sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }
}

/// hyper's view of the connection's one timer.
pub(super) struct OneTimer(pub(super) Arc<Due>);

impl Timer for OneTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.0.await_header();
        Box::pin(Wait)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }

    /// The times hyper reckons with are not looked at.
    fn now(&self) -> Instant {
        self.0.epoch
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, _: Instant) {
        self.0.await_header();
    }
}

/// A header waited for, as far as hyper knows: [`Due`] knows until when.
struct Wait;

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Wait {}

/// An answer of no more bytes than this is sent from one place: for the kernel to send it from two
/// (`writev`) takes longer than to copy it.
const SMALL: usize = 512;

/// All of `slices` in `room`, if they fit.
fn gather<'a>(slices: &[IoSlice<'_>], room: &'a mut [u8; SMALL]) -> Option<&'a [u8]> {
    let mut end = 0;
    for slice in slices {
        let place = room.get_mut(end..end + slice.len())?;
        place.copy_from_slice(slice);
        end += slice.len();
    }
    room.get(..end)
}

/// A socket that tells [`Due`] what moves on it.
pub(super) struct Watched<I> {
    socket: I,
    due: Arc<Due>,
    /// Bytes taken since the client was last known to take any, while something waits.
    waiting: Option<usize>,
}

impl<I> Watched<I> {
    pub(super) const fn new(socket: I, due: Arc<Due>) -> Self {
        Self {
            socket,
            due,
            waiting: None,
        }
    }

    fn note(&mut self, written: &Poll<std::io::Result<usize>>) {
        let taken = match (written, self.waiting) {
            (Poll::Pending, None) => 0,
            (Poll::Ready(Ok(more)), Some(taken)) if taken + more < STEP => {
                self.waiting = Some(taken + more);
                return;
            }
            (Poll::Ready(Ok(_)), Some(_)) => 0,
            _ => return,
        };
        self.waiting = Some(taken);
        let at = self.due.later(self.due.times.write);
        self.due.stalled_at.store(at, Relaxed);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before && self.due.header.load(Relaxed) == AWAITED {
            self.due.header.store(BEGUN, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let mut room = [0; SMALL];
        let socket = Pin::new(&mut self.socket);
        let written = match gather(slices, &mut room) {
            Some(bytes) => socket.poll_write(cx, bytes),
            None => socket.poll_write_vectored(cx, slices),
        };
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Only asked when all was written: nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        if self.waiting.take().is_some() {
            self.due.stalled_at.store(NEVER, Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
