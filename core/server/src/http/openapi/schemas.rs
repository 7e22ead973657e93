//! The schemas that operations share.

use serde_json::{Map, Value, json};

use super::operation::{object, schema};

/// Every schema, by name.
pub(super) fn all() -> Value {
    let mut schemas = Map::new();
    for (name, schema) in errors().into_iter().chain(people()).chain(sessions()) {
        schemas.insert(name.to_owned(), schema);
    }
    schemas.into()
}

fn string() -> Value {
    json!({"type": "string"})
}

fn optional() -> Value {
    json!({"type": ["string", "null"]})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn time() -> Value {
    json!({"type": "integer", "minimum": 0, "description": "Seconds since 1970"})
}

fn optional_time() -> Value {
    json!({"type": ["integer", "null"], "minimum": 0, "description": "Seconds since 1970"})
}

fn id() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{32}$"})
}

fn list(of: &str) -> Value {
    json!({"type": "array", "items": schema(of)})
}

fn errors() -> Vec<(&'static str, Value)> {
    let fault = object(
        &[
            ("type", string()),
            (
                "loc",
                json!({"type": "array", "items": {"type": ["string", "integer"]}}),
            ),
            ("msg", string()),
        ],
        &[],
    );
    let error = object(&[("code", string()), ("message", string())], &[]);
    vec![
        ("ApiError", object(&[("error", error)], &[])),
        ("AuthError", object(&[("error", string())], &[])),
        (
            "OAuthError",
            object(
                &[("error", json!({"type": "string", "pattern": "^[a-z_]+$"}))],
                &[("error_description", string())],
            ),
        ),
        ("Detail", object(&[("detail", string())], &[])),
        (
            "ShapeError",
            object(&[("detail", json!({"type": "array", "items": fault}))], &[]),
        ),
    ]
}

fn people() -> Vec<(&'static str, Value)> {
    let user = object(&[("id", string()), ("is_admin", boolean())], &[]);
    let token = [
        ("id", id()),
        ("name", string()),
        ("scope", optional()),
        ("created_at", time()),
        ("expires_at", optional_time()),
    ];
    let mut shown = Vec::from(token.clone());
    shown.push(("token", string()));
    let mut listed = Vec::from(token);
    listed.extend([
        ("last_used_at", optional_time()),
        ("last_used_ip", optional()),
    ]);
    vec![
        (
            "Scope",
            json!({
                "type": ["string", "null"],
                "description": "Words of: sessions, sessions:read, account, admin; single-spaced",
                "pattern": "^(sessions|sessions:read|account|admin)( (sessions|sessions:read|account|admin)){0,3}$",
                "maxLength": 100,
            }),
        ),
        (
            "Username",
            json!({
                "type": "string",
                "minLength": 1,
                "maxLength": 64,
                "pattern": "^[a-z0-9][a-z0-9._-]{0,63}(@[a-z0-9.-]+\\.[a-z]{2,})?$",
            }),
        ),
        (
            "UserCode",
            json!({"type": "string", "pattern": "^[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}$"}),
        ),
        (
            "Password",
            json!({"type": "string", "minLength": 8, "maxLength": 1024}),
        ),
        (
            "SignedIn",
            object(
                &[("token", string()), ("expires_in", time()), ("user", user)],
                &[("refresh_token", string())],
            ),
        ),
        (
            "Step",
            object(
                &[("id", string()), ("step", json!({"type": "object"}))],
                &[],
            ),
        ),
        (
            "Tokens",
            object(
                &[
                    ("access_token", string()),
                    ("token_type", json!({"const": "Bearer"})),
                    ("expires_in", time()),
                ],
                &[("refresh_token", string()), ("scope", string())],
            ),
        ),
        (
            "Account",
            object(
                &[
                    ("id", string()),
                    ("is_admin", boolean()),
                    ("created_at", optional_time()),
                    ("last_login_at", optional_time()),
                ],
                &[],
            ),
        ),
        (
            "Person",
            object(
                &[
                    ("id", string()),
                    ("is_admin", boolean()),
                    ("disabled", boolean()),
                    ("created_at", time()),
                    ("last_login_at", optional_time()),
                    ("has_password", boolean()),
                ],
                &[],
            ),
        ),
        ("MadeToken", object(&shown, &[])),
        ("ApiToken", object(&listed, &[])),
        ("ApiTokens", object(&[("tokens", list("ApiToken"))], &[])),
        (
            "Login",
            object(
                &[
                    ("id", id()),
                    ("created_at", time()),
                    ("expires_at", time()),
                    ("backend", string()),
                    ("address", string()),
                    ("user_agent", string()),
                    ("client_id", json!({"type": ["string", "null"]})),
                    ("current", boolean()),
                ],
                &[],
            ),
        ),
        ("Logins", object(&[("logins", list("Login"))], &[])),
        (
            "Link",
            object(&[("redeem_url", string()), ("expires_at", time())], &[]),
        ),
    ]
}

fn sessions() -> Vec<(&'static str, Value)> {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let row = [
        ("id", id()),
        ("agent_id", id()),
        ("agent_name", string()),
        ("status", string()),
        ("created_at", time()),
        ("updated_at", time()),
        ("labels", labels),
        (
            "permission_level",
            json!({"type": "integer", "minimum": 1, "maximum": 4}),
        ),
        ("archived", boolean()),
    ];
    let nullable = [
        ("title", optional()),
        ("reasoning_effort", optional()),
        ("model_override", optional()),
        ("workspace", optional()),
        ("parent_session_id", optional()),
        ("external_session_id", optional()),
    ];
    let mut in_list = Vec::from(row.clone());
    in_list.push(("owner", string()));
    let mut full = Vec::from(row);
    full.extend(nullable.clone());
    full.extend([
        ("kind", string()),
        ("runner_id", optional()),
        ("items", json!({"type": "array"})),
    ]);
    let page = |of: Value| {
        object(
            &[
                ("object", json!({"const": "list"})),
                ("data", json!({"type": "array", "items": of})),
                ("first_id", optional()),
                ("last_id", optional()),
                ("has_more", boolean()),
            ],
            &[],
        )
    };
    let more = [
        ("version", string()),
        ("description", string()),
        ("created_at", time()),
        ("updated_at", time()),
        ("harness", string()),
    ];
    let more = more.map(|(name, mut of)| {
        of["type"] = json!([of["type"], "null"]);
        (name, of)
    });
    vec![
        (
            "Agent",
            object(
                &[
                    ("id", id()),
                    ("object", json!({"const": "agent"})),
                    ("name", string()),
                ],
                &more,
            ),
        ),
        ("Agents", page(schema("Agent"))),
        ("Session", object(&full, &[])),
        ("SessionRow", object(&in_list, &nullable)),
        ("Sessions", page(schema("SessionRow"))),
        ("EmptyPage", page(json!({"type": "object"}))),
        (
            "Permission",
            object(
                &[
                    ("user_id", string()),
                    ("conversation_id", id()),
                    (
                        "level",
                        json!({"type": "integer", "minimum": 1, "maximum": 4}),
                    ),
                ],
                &[],
            ),
        ),
    ]
}
