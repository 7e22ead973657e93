//! What strangers may send (THREATS T9).

use http::Method;

use super::{Access, ApiError, Route, authenticate::Credential, request::Head};
use crate::{app::App, clock::Timestamp, login::throttle::Rate};

/// Counts a request that writes and has no credential, before anything is done for it.
///
/// # Errors
/// 429.
pub(super) fn count(
    app: &App,
    head: &Head,
    route: &Route,
    credential: &Credential,
    now: Timestamp,
) -> Result<(), ApiError> {
    let is_open = route.access == Access::Public && route.method != Method::GET;
    if !is_open || matches!(credential, Credential::Good(_)) {
        return Ok(());
    }
    Ok(app.desk.charge(Rate::Write, head.client, now)?)
}
