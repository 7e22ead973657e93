//! What of a request's body nobody wanted.
//!
//! A client that is still sending may take our breaking off for a failure and never look at the answer;
//! one that has sent all of it may put its next request on the connection, and find it closed.
//!
//! **Invariant:** no more is heard than [`WORTH_HEARING`], and no longer than [`LINGER`].

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

const WORTH_HEARING: usize = 64 * 1024;
/// How long to wait for more of a body that nobody wants.
pub(super) const LINGER: Duration = Duration::from_millis(300);

/// A body that comes back, where somebody waits for it, when it was not read to its end.
pub(super) struct Lent<B: Body> {
    body: Option<B>,
    rest: Option<Rest<B>>,
    is_over: bool,
}

/// What came back.
pub(super) struct Rest<B>(Arc<Mutex<Option<B>>>);

impl<B> Default for Rest<B> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<B: Body> Lent<B> {
    pub(super) fn new(body: B, rest: &Rest<B>) -> Self {
        Self {
            body: Some(body),
            rest: Some(Rest(Arc::clone(&rest.0))),
            is_over: false,
        }
    }

    /// For whom nobody waits.
    pub(super) const fn given(body: B) -> Self {
        Self {
            body: Some(body),
            rest: None,
            is_over: false,
        }
    }
}

impl<B: Body> Drop for Lent<B> {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            let is_over = self.is_over;
            let left = self.body.take();
            let left = left.filter(|body| !is_over && !body.is_end_stream());
            *rest.0.lock() = left;
        }
    }
}

impl<B: Body + Unpin> Rest<B> {
    /// Hears the rest out. Whether it came to its end.
    pub(super) async fn hear_out(&self) -> bool {
        let left = self.0.lock().take();
        match left {
            Some(body) => hear_out(body).await,
            None => true,
        }
    }

    /// Whether there is any.
    pub(super) fn is_none(&self) -> bool {
        self.0.lock().is_none()
    }
}

/// Hears a body out. Whether it came to its end.
pub(super) async fn hear_out<B: Body + Unpin>(mut body: B) -> bool {
    let to_its_end = async {
        let mut heard = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(frame) = frame else { return false };
            heard += frame.data_ref().map_or(0, Buf::remaining);
            if heard > WORTH_HEARING {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(LINGER, to_its_end)
        .await
        .unwrap_or(false)
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        };
        self.is_over |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}
