//! `GET /openapi.json`: the whole API in OpenAPI 3.1, made from the route table.
//!
//! Owns: the document. Paths, methods, path parameters, who may call and how the body is read come
//! from [`routes`](super::routes); what a route is for, takes and answers is in `operations`.
//!
//! **Invariant:** every route is in the document, and nothing else is: a test holds the two
//! together.

mod account;
mod keys;
mod operation;
mod operator;
mod pages;
mod people;
mod schemas;
mod server;
mod sessions;
mod settings;
mod sign_in;
mod throttle;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use self::operation::Operation;
use super::{Access, Outcome, Route, VERSION, response::body};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::now(
        Method::GET,
        "/openapi.json",
        Access::Public,
        |_, _| show(),
    )]
}

fn show() -> Outcome {
    static TEXT: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    Ok(body(
        StatusCode::OK,
        "application/vnd.oai.openapi+json;version=3.1",
        TEXT.clone(),
    ))
}

/// What each route is for. In any order.
fn operations() -> Vec<Operation> {
    let features = [
        server::operations(),
        sign_in::operations(),
        account::operations(),
        people::operations(),
        sessions::operations(),
        pages::operations(),
        settings::operations(),
        operator::operations(),
        throttle::operations(),
        keys::operations(),
    ];
    features.into_iter().flatten().collect()
}

/// The document. A route without an operation is left out, and found by the test.
fn document() -> Value {
    let operations = operations();
    let mut paths = Map::new();
    for route in super::routes() {
        let described = operations
            .iter()
            .find(|operation| operation.is_of(&route.method, route.path));
        let Some(operation) = described else {
            continue;
        };
        let item = paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        item[route.method.as_str().to_ascii_lowercase()] = operation.describe(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "omnigent",
            "version": VERSION,
            "summary": "Sign in, act with a token, revoke it at once.",
            "description": "Every answer carries `x-request-id`. Times are seconds since 1970. \
                            Members may be added to answers; do not rely on their absence.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "server", "description": "What the server says of itself"},
            {"name": "sign in", "description": "From a person to a token"},
            {"name": "oauth", "description": "Refresh, revoke, devices (RFC 6749, 7009, 7662, 8628)"},
            {"name": "account", "description": "One's own account, tokens and logins"},
            {"name": "people", "description": "What admins do"},
            {"name": "sessions", "description": "The API that is protected"},
            {"name": "pages", "description": "What browsers are shown"},
            {"name": "operator", "description": "On the server's Unix socket only"},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token or an API token",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "ap_session",
                    "description": "A login in a browser; `__Host-ap_session` where people come by \
                                    https. Requests that write need a same-origin `Origin`",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let described: BTreeSet<(String, &str)> = operations()
            .iter()
            .map(|operation| (operation.method.to_string(), operation.path))
            .collect();
        assert_eq!(described.len(), operations().len(), "none twice");
        let routes: BTreeSet<(String, &str)> = super::super::routes()
            .iter()
            .map(|route| (route.method.to_string(), route.path))
            .collect();
        let missing: Vec<_> = routes.difference(&described).collect();
        assert!(
            missing.is_empty(),
            "describe these in http/openapi: {missing:?}"
        );
        let gone: Vec<_> = described.difference(&routes).collect();
        assert!(gone.is_empty(), "these are no routes any more: {gone:?}");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut used = BTreeSet::new();
        for rest in text.split("\"#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
            used.insert(name);
        }
        for name in schemas.keys() {
            assert!(used.contains(name.as_str()), "{name} is used nowhere");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names: Vec<_> = operations().iter().map(|operation| operation.id).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
