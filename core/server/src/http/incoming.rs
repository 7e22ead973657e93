//! A body on its way in: whole, or not at all.
//!
//! **Invariants:** no more of it is kept than may be, and than there is room for beside others (`room`);
//! no more of what is too much is heard than [`DRAIN`]; nobody waits longer than allowed (THREATS T2, T4).

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, StatusCode, header};

use super::{ApiError, rest::LINGER, room::Share};

/// Bytes of a body that is too large that are thrown away before the connection is.
const DRAIN: usize = 4 << 20;

/// Seconds after which somebody may try again for whose body there was no room.
const RETRY_AFTER: u64 = 5;

/// Whether a request says itself that its body is longer than that: nobody needs to wait for it.
fn says_more_than(most: usize, headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|said| said.to_str().ok()?.parse().ok());
    said.is_some_and(|said: u64| said > most as u64)
}

/// Reads a body, no longer and no slower than allowed (THREATS T2, T4). What it takes stays taken as
/// long as `share` lives.
///
/// # Errors
/// 400, 408, 413, 415, and 503 when there is no room for it.
pub(super) async fn read<B: Buf>(
    headers: &HeaderMap,
    incoming: impl Stream<Item = Result<B, warp::Error>> + Send,
    most: usize,
    within: Duration,
    share: &mut Share<'_>,
) -> Result<Bytes, ApiError> {
    let is_coded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| coding != "identity");
    if is_coded {
        return Err(ApiError::detail(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content codings are not accepted",
        ));
    }
    let too_large = || ApiError::detail(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    let says_too_much = says_more_than(most, headers);
    if says_too_much && headers.contains_key(header::EXPECT) {
        return Err(too_large());
    }
    let collect = async {
        let mut bytes = BytesMut::new();
        let mut seen = if says_too_much { most + 1 } else { 0 };
        let mut incoming = std::pin::pin!(incoming);
        loop {
            let next = if seen > most {
                tokio::time::timeout(LINGER, incoming.next())
                    .await
                    .unwrap_or(None)
            } else {
                incoming.next().await
            };
            let Some(chunk) = next else { break };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(_) if seen > most => break,
                Err(_) => {
                    let text = "the body ends too soon";
                    return Err(ApiError::detail(StatusCode::BAD_REQUEST, text));
                }
            };
            seen += chunk.remaining();
            // A client that is still sending does not hear the answer: what is too much is read and
            // thrown away, up to a point.
            if seen > DRAIN {
                break;
            }
            if seen <= most && !share.grow(seen) {
                return Err(ApiError::busy(RETRY_AFTER));
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
            return Err(too_large());
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
