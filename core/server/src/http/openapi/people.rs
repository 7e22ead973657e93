//! What admins do.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of, schema};
use crate::audit::Event;

pub(super) fn operations() -> Vec<Operation> {
    let op = of("people");
    let boolean = || json!({"type": ["boolean", "null"]});
    let string = || json!({"type": "string"});
    let invited = object(
        &[
            ("token", string()),
            ("register_url", string()),
            ("expires_at", json!({"type": "integer"})),
            ("is_admin", json!({"type": "boolean"})),
        ],
        &[],
    );
    let listed = object(
        &[("users", json!({"type": "array", "items": schema("Person")}))],
        &[],
    );
    let password = json!({"anyOf": [schema("Password"), {"type": "null"}]});
    let add = object(
        &[("id", schema("Username"))],
        &[("password", password), ("is_admin", boolean())],
    );
    let mut change = object(&[], &[("is_admin", boolean()), ("disabled", boolean())]);
    change["additionalProperties"] = false.into();
    let reset = object(&[("id", string()), ("new_password", string())], &[]);
    vec![
        op(Method::POST, "/auth/invite", "invite", "Invite somebody")
            .takes(object(&[], &[("is_admin", boolean())]))
            .answers(200, "The invite", invited),
        op(Method::GET, "/auth/users", "list_people", "Everybody")
            .query(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 1000}),
            )
            .query(
                "after",
                json!({"type": "string", "minLength": 1, "maxLength": 254}),
            )
            .answers(200, "A page of people", listed),
        audit(),
        op(Method::POST, "/auth/users", "add_person", "Add somebody")
            .takes(add)
            .answers(201, "Added", schema("Person"))
            .refuses(&[404, 409]),
        op(
            Method::PATCH,
            "/auth/users/{id}",
            "change_person",
            "Promote, demote, disable, enable",
        )
        .takes(change)
        .answers(200, "Changed", schema("Person")),
        op(
            Method::DELETE,
            "/auth/users/{id}",
            "delete_person",
            "Delete somebody and all of theirs",
        )
        .empty(204, "Deleted"),
        op(
            Method::POST,
            "/auth/users/{id}/reset",
            "reset_password",
            "Give somebody a new password; their logins end",
        )
        .answers(200, "The new password", reset)
        .refuses(&[409]),
        op(
            Method::GET,
            "/auth/users/{id}/tokens",
            "list_persons_tokens",
            "Somebody's API tokens",
        )
        .answers(200, "The tokens", schema("ApiTokens")),
        op(
            Method::DELETE,
            "/auth/users/{id}/tokens/{tid}",
            "revoke_persons_token",
            "Revoke an API token of somebody's",
        )
        .empty(204, "Revoked"),
        op(
            Method::GET,
            "/auth/users/{id}/logins",
            "list_persons_logins",
            "Somebody's logins",
        )
        .answers(200, "The logins", schema("Logins")),
        op(
            Method::DELETE,
            "/auth/users/{id}/logins",
            "end_persons_logins",
            "End somebody's logins",
        )
        .empty(204, "Ended"),
        op(
            Method::DELETE,
            "/auth/users/{id}/logins/{lid}",
            "end_persons_login",
            "End a login of somebody's",
        )
        .empty(204, "Ended"),
    ]
}

fn audit() -> Operation {
    let string = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64});
    let events: Vec<_> = Event::ALL.iter().map(|event| event.name()).collect();
    let entry = object(
        &[
            ("seq", json!({"type": "integer", "minimum": 1})),
            ("at", json!({"type": "string", "format": "date-time"})),
            ("event", json!({"type": "string", "enum": events})),
            (
                "result",
                json!({"type": "string", "enum": ["done", "denied"]}),
            ),
            ("actor", string()),
            ("prev", string()),
            ("hash", string()),
        ],
        &[
            ("by", string()),
            ("by_uid", string()),
            ("by_login", string()),
            ("account", string()),
            ("account_uid", string()),
            ("target", string()),
            ("backend", string()),
            ("address", string()),
            ("agent", string()),
            ("request_id", string()),
            ("reason", string()),
            ("detail", string()),
            ("count", json!({"type": "integer", "minimum": 1})),
        ],
    );
    let page = object(
        &[
            ("entries", json!({"type": "array", "items": entry})),
            ("next", json!({"type": ["integer", "null"]})),
        ],
        &[],
    );
    let limit = json!({"type": "integer", "minimum": 1, "maximum": 1000});
    let name = json!({"type": "string", "minLength": 1, "maxLength": 254});
    of("people")(
        Method::GET,
        "/auth/audit",
        "list_audit",
        "Who did what: newest first, or oldest first after a number",
    )
    .query("limit", limit)
    .query("before", number())
    .query("after", number())
    .query("event", json!({"type": "string", "enum": events}))
    .query("account", name)
    .query("since", number())
    .query("until", number())
    .answers(200, "A page of entries", page)
}
