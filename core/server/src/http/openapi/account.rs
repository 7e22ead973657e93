//! One's own account, API tokens and logins.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of, schema, text};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("account");
    let password = object(
        &[
            ("old_password", text(1, 1024)),
            ("new_password", schema("Password")),
        ],
        &[],
    );
    let days = json!({
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 366,
        "description": "Null: never, where the operator allows that. Left out: the default",
    });
    let create = object(
        &[("name", text(1, 100))],
        &[("expires_in_days", days), ("scope", schema("Scope"))],
    );
    let rotate = object(
        &[],
        &[(
            "overlap_seconds",
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": 2_592_000}),
        )],
    );
    vec![
        op(Method::GET, "/auth/me", "account", "One's own account").answers(
            200,
            "The account",
            schema("Account"),
        ),
        op(
            Method::POST,
            "/auth/magic",
            "make_magic_link",
            "Make a link that signs one in, once",
        )
        .answers(200, "The link", schema("Link")),
        op(
            Method::POST,
            "/auth/users/me/password",
            "change_password",
            "Change one's password; all other logins end",
        )
        .takes(password)
        .empty(204, "Changed")
        .refuses(&[404, 409, 429]),
        op(
            Method::POST,
            "/auth/tokens",
            "make_token",
            "Make an API token",
        )
        .takes(create)
        .answers(201, "The token, shown this once", schema("MadeToken")),
        op(
            Method::GET,
            "/auth/tokens",
            "list_tokens",
            "One's API tokens",
        )
        .answers(200, "The tokens", schema("ApiTokens")),
        op(
            Method::DELETE,
            "/auth/tokens/{id}",
            "revoke_token",
            "Revoke an API token",
        )
        .empty(204, "Revoked"),
        op(
            Method::POST,
            "/auth/tokens/{id}/rotate",
            "rotate_token",
            "Replace an API token; the old one lives on for the overlap",
        )
        .takes(rotate)
        .answers(201, "The successor, shown this once", schema("MadeToken")),
        op(
            Method::GET,
            "/auth/logins",
            "list_logins",
            "What one is signed in with, and where",
        )
        .answers(200, "The logins", schema("Logins")),
        op(
            Method::DELETE,
            "/auth/logins",
            "end_logins",
            "End all logins but this one",
        )
        .empty(204, "Ended"),
        op(
            Method::DELETE,
            "/auth/logins/{id}",
            "end_login",
            "End a login",
        )
        .empty(204, "Ended"),
    ]
}
