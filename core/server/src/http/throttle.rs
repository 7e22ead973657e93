//! Who has to wait, for the operator to see and to let go.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Outcome, Request, Route,
    response::{no_store, ok},
};
use crate::{
    app::App,
    audit::{Entry, Event},
    login::throttle::{Network, Which},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::now(
            Method::GET,
            "/auth/operator/throttle",
            Access::Operator,
            list,
        ),
        Route::new(
            Method::POST,
            "/auth/operator/throttle/clear",
            Access::Operator,
            clear,
        )
        .body(BodyRule::Json),
    ]
}

fn list(app: &App, request: &Request) -> Outcome {
    Ok(no_store(ok(&json!(app.desk.throttle.held(request.now)))))
}

#[derive(Deserialize)]
struct ClearBody {
    account: Option<String>,
    network: Option<String>,
    #[serde(default)]
    all: bool,
}

async fn clear(app: Arc<App>, request: Request) -> Outcome {
    let bad = |text: &str| ApiError::auth(StatusCode::BAD_REQUEST, text);
    let body: ClearBody =
        serde_json::from_slice(&request.bytes).map_err(|error| bad(&error.to_string()))?;
    let which = match (body.account, body.network, body.all) {
        (Some(account), None, false) => Which::Account(account),
        (None, Some(network), false) => Which::Network(
            network
                .parse::<Network>()
                .map_err(|()| bad("not an address, an IPv4 /24, an IPv6 /64 or /48"))?,
        ),
        (None, None, true) => Which::All,
        _ => return Err(bad("name one of account, network and all")),
    };
    let cleared = app.desk.throttle.clear(&which, request.now);
    app.save_throttle().await;
    let detail = match &which {
        Which::Account(name) => format!("account {name}"),
        Which::Network(network) => format!("network {network}"),
        Which::All => "all".to_owned(),
    };
    let entry = Entry::new(Event::ThrottleCleared).detail(detail);
    app.live.audit.report(request.scene(), entry);
    Ok(no_store(ok(&json!({"cleared": cleared}))))
}
