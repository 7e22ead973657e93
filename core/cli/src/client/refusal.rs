//! What a server says when it says no, in whichever of its three error shapes (CONTRACT section 1).

use serde_json::Value;

use crate::output::plain;

/// Longest reason shown.
const LONGEST: usize = 400;

/// The reason in an error's body, made plain; `None` when it is in no shape we know.
pub(crate) fn reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let shapes = [
        &body["error_description"],
        &body["error"],
        &body["error"]["message"],
        &body["detail"],
        &body["detail"][0]["msg"],
    ];
    let reason = shapes.into_iter().find_map(Value::as_str)?;
    Some(plain(&reason.chars().take(LONGEST).collect::<String>()))
}

/// The error code of an OAuth endpoint (RFC 6749 section 5.2).
pub(crate) fn oauth_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(plain(body["error"].as_str()?))
}
