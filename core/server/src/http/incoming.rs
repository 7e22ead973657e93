//! A request's body on its way in: read within bounds, or thrown away.
//!
//! **Invariant:** nobody waits long for a body that nobody wants, and no more of one is held than a route
//! may be sent.

use std::{pin::Pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{StatusCode, header};

use super::{ApiError, request::Head};

/// Bytes of a body that nobody wants that are thrown away before the connection is.
const DRAIN: usize = 4 << 20;

/// How long to wait for more of it.
const LINGER: Duration = Duration::from_millis(300);

/// A body on its way in.
pub(super) struct Incoming<'a, S> {
    stream: Pin<&'a mut S>,
    /// Whether it was read, to its end or as far as it will be.
    is_read: bool,
}

impl<'a, B: Buf, S: Stream<Item = Result<B, warp::Error>>> Incoming<'a, S> {
    /// The body that comes in this stream.
    pub(super) const fn new(stream: Pin<&'a mut S>) -> Self {
        Self {
            stream,
            is_read: false,
        }
    }

    /// Reads it, no longer and no slower than allowed (THREATS T2, T4).
    ///
    /// # Errors
    /// 415 for a coded one; 413, 408 and 400 for one that is too large, too slow or cut off.
    pub(super) async fn read(
        &mut self,
        head: &Head,
        most: usize,
        within: Duration,
    ) -> Result<Bytes, ApiError> {
        let is_coded = head
            .headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| coding != "identity");
        if is_coded {
            return Err(ApiError::detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content codings are not accepted",
            ));
        }
        self.is_read = true;
        let stream = &mut self.stream;
        let collect = async {
            let (mut bytes, mut seen) = (BytesMut::new(), 0);
            loop {
                let next = if seen > most {
                    tokio::time::timeout(LINGER, stream.next())
                        .await
                        .unwrap_or(None)
                } else {
                    stream.next().await
                };
                let Some(chunk) = next else { break };
                let mut chunk = chunk.map_err(|_| {
                    ApiError::detail(StatusCode::BAD_REQUEST, "the body ends too soon")
                })?;
                seen += chunk.remaining();
                // A client that is still sending does not hear the answer: what is too much is read and
                // thrown away, up to a point.
                if seen > DRAIN {
                    break;
                }
                while chunk.has_remaining() {
                    let part = chunk.chunk().len();
                    if seen <= most {
                        bytes.extend_from_slice(chunk.chunk());
                    }
                    chunk.advance(part);
                }
            }
            if seen > most {
                return Err(ApiError::detail(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is too large",
                ));
            }
            Ok(bytes.freeze())
        };
        let slow = |_| {
            Err(ApiError::detail(
                StatusCode::REQUEST_TIMEOUT,
                "the body came too slowly",
            ))
        };
        tokio::time::timeout(within, collect)
            .await
            .unwrap_or_else(slow)
    }

    /// Throws away what nobody read, for a moment. With some of it still to come the connection would
    /// end after the answer, which a client that is sending then does not hear, and one that has sent
    /// does not expect.
    pub(super) async fn throw_away(self, head: &Head) {
        // Who waits for our word to send a body has it in the answer.
        if self.is_read || head.headers.contains_key(header::EXPECT) {
            return;
        }
        let mut stream = self.stream;
        let rest = async {
            let mut seen = 0;
            while let Some(Ok(chunk)) = stream.next().await {
                seen += chunk.remaining();
                if seen > DRAIN {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}
