//! What the server says of itself.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("server");
    let any = || json!({"type": "object"});
    let string = || json!({"type": "string"});
    let status = |words: &[&str]| object(&[("status", json!({"enum": words}))], &[]);
    let backend = object(
        &[
            ("name", string()),
            ("plugin", string()),
            ("title", string()),
            (
                "flows",
                json!({"type": "array", "items": {"enum": ["password", "redirect", "request"]}}),
            ),
        ],
        &[],
    );
    let info = object(
        &[
            ("auth_mode", string()),
            ("accounts_enabled", json!({"type": "boolean"})),
            ("single_user", json!({"type": "boolean"})),
            ("needs_setup", json!({"type": "boolean"})),
            ("login_url", json!({"type": ["string", "null"]})),
            ("server_version", string()),
            ("backends", json!({"type": "array", "items": backend})),
        ],
        &[],
    );
    let me = object(
        &[("user_id", json!({"type": ["string", "null"]}))],
        &[
            ("is_admin", json!({"type": "boolean"})),
            ("login_url", json!({"type": ["string", "null"]})),
        ],
    );
    let metadata = object(
        &[
            ("issuer", string()),
            ("token_endpoint", string()),
            ("revocation_endpoint", string()),
            ("introspection_endpoint", string()),
            (
                "grant_types_supported",
                json!({"type": "array", "items": {"type": "string"}}),
            ),
        ],
        &[
            ("device_authorization_endpoint", string()),
            ("jwks_uri", string()),
        ],
    );
    let health = object(&[("status", json!({"const": "ok"}))], &[("session", any())]);
    let ready = object(
        &[
            (
                "status",
                json!({"enum": ["ok", "degraded", "draining", "unready"]}),
            ),
            ("store", json!({"enum": ["writable", "full", "read-only"]})),
            (
                "backends",
                json!({"type": "array", "items": {"type": "object"}}),
            ),
        ],
        &[],
    );
    vec![
        op(
            Method::GET,
            "/v1/info",
            "info",
            "Modes, backends, and where to sign in",
        )
        .answers(200, "About this server", info),
        op(
            Method::GET,
            "/v1/me",
            "me",
            "Who the presented credential is",
        )
        .answers(200, "Somebody, or nobody in header mode", me.clone())
        .answers(401, "Nobody, and where to sign in", me)
        .refuses(&[403]),
        op(
            Method::GET,
            "/health",
            "health",
            "Whether the server answers",
        )
        .query("session_id", json!({"type": "string", "maxLength": 256}))
        .answers(200, "It does", health),
        op(
            Method::GET,
            "/healthz/live",
            "live",
            "Whether the process lives",
        )
        .answers(200, "It does", status(&["ok"])),
        op(
            Method::GET,
            "/healthz/ready",
            "ready",
            "The state of the store and of each backend",
        )
        .answers(200, "Ready, perhaps degraded", ready.clone())
        .answers(503, "Stopping, or the store takes no writes", ready),
        op(
            Method::GET,
            "/api/version",
            "version",
            "The server's version",
        )
        .answers(200, "The version", object(&[("version", string())], &[])),
        op(
            Method::GET,
            "/.well-known/omnigent.json",
            "manifest",
            "What desktop clients ask first",
        )
        .answers(200, "Versions", any()),
        op(
            Method::GET,
            "/.well-known/oauth-authorization-server",
            "metadata",
            "Where the OAuth endpoints are (RFC 8414)",
        )
        .answers(200, "The metadata", metadata),
        op(Method::GET, "/openapi.json", "openapi", "This document").answer(
            200,
            "OpenAPI 3.1",
            "application/vnd.oai.openapi+json",
            any(),
        ),
    ]
}
