//! Whether the server is ready: for load balancers, orchestrators and people who wonder.
//!
//! Ready is who answers as it should. A backend that is down makes a server degraded and not
//! unready: the tokens of everybody who is signed in still count, and taking the server away would
//! end that too. A server that stops, or whose store takes no new logins, is not ready.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Response,
    response::{json as json_response, no_store},
};
use crate::{app::App, store::Writing};

/// 200 or 503, and the state of everything a sign-in needs.
pub(super) fn readiness(app: &App, is_draining: bool) -> Response {
    let open = app.backends.iter().map(|backend| {
        let state = if backend.is_degraded() {
            "degraded"
        } else {
            "ok"
        };
        (backend.name(), state)
    });
    let failures = app.backends.failures().iter();
    let failed = failures.map(|failure| (failure.name.as_str(), "failed"));
    let backends: Vec<_> = open.chain(failed).collect();
    let writing = app.store.writing();
    let store = match writing {
        Writing::Open => "writable",
        Writing::SignOffsOnly | Writing::Full => "full",
        Writing::ReadOnly => "read-only",
    };
    let is_ready = !is_draining && writing == Writing::Open;
    let status = if is_draining {
        "draining"
    } else if !is_ready {
        "unready"
    } else if backends.iter().any(|(_, state)| *state != "ok") {
        "degraded"
    } else {
        "ok"
    };
    let backends = backends.into_iter();
    let backends: Vec<Value> = backends
        .map(|(name, state)| json!({"name": name, "state": state}))
        .collect();
    let code = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({"status": status, "store": store, "backends": backends});
    no_store(json_response(code, &body))
}
