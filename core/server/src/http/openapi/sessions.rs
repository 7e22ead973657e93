//! Sessions, agents, and who shares in what.

use http::Method;
use serde_json::{Value, json};

use super::operation::{Operation, object, of, schema};

fn limit() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1000})
}

fn any_text(most: u64) -> Value {
    json!({"type": "string", "maxLength": most})
}

fn maybe(most: u64) -> Value {
    json!({"type": ["string", "null"], "maxLength": most})
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all = sessions();
    all.extend(parts());
    all.extend(others());
    all
}

fn paged(operation: Operation) -> Operation {
    operation
        .query("limit", limit())
        .query("after", any_text(256))
        .query("before", any_text(256))
        .query("order", json!({"enum": ["asc", "desc"]}))
}

fn sessions() -> Vec<Operation> {
    let op = of("sessions");
    let labels = json!({
        "type": ["object", "null"],
        "maxProperties": 64,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {"type": "string", "maxLength": 512},
    });
    let efforts = [
        "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
    ];
    let mut create_effort: Vec<Value> = efforts.iter().map(|word| json!(word)).collect();
    create_effort.push(Value::Null);
    let mut change_effort = create_effort.clone();
    change_effort.extend([json!("default"), json!("off"), json!("reset")]);
    let create = object(
        &[("agent_id", any_text(256))],
        &[
            ("title", maybe(500)),
            ("labels", labels.clone()),
            ("reasoning_effort", json!({"enum": create_effort})),
            ("model_override", maybe(200)),
            ("workspace", maybe(1024)),
            ("parent_session_id", maybe(256)),
        ],
    );
    let mut change = object(
        &[],
        &[
            ("title", maybe(500)),
            ("labels", labels),
            ("reasoning_effort", json!({"enum": change_effort})),
            ("model_override", maybe(200)),
            ("external_session_id", maybe(200)),
            ("archived", json!({"type": ["boolean", "null"]})),
            (
                "runner_id",
                json!({"enum": ["", null], "description": "Empty: none. None is registered here"}),
            ),
        ],
    );
    change["additionalProperties"] = false.into();
    let deleted = object(
        &[
            ("id", json!({"type": "string"})),
            ("object", json!({"const": "conversation.deleted"})),
            ("deleted", json!({"const": true})),
        ],
        &[],
    );
    vec![
        op(
            Method::POST,
            "/v1/sessions",
            "create_session",
            "Begin a session with an agent",
        )
        .takes(create)
        .answers(201, "The session", schema("Session"))
        .refuses(&[404]),
        paged(op(
            Method::GET,
            "/v1/sessions",
            "list_sessions",
            "One's own sessions and those shared with one",
        ))
        .query("sort_by", json!({"enum": ["created_at", "updated_at"]}))
        .query("agent_id", any_text(256))
        .query("agent_name", any_text(256))
        .query("search_query", any_text(256))
        .query("include_archived", json!({"type": "boolean"}))
        .query("kind", any_text(64))
        .answers(200, "A page of them", schema("Sessions"))
        .refuses(&[404]),
        op(Method::GET, "/v1/sessions/{id}", "get_session", "A session").answers(
            200,
            "The session",
            schema("Session"),
        ),
        op(
            Method::PATCH,
            "/v1/sessions/{id}",
            "change_session",
            "Change a session",
        )
        .takes(change)
        .answers(200, "The session", schema("Session")),
        op(
            Method::DELETE,
            "/v1/sessions/{id}",
            "delete_session",
            "Delete a session",
        )
        .answers(200, "Deleted", deleted),
    ]
}

fn parts() -> Vec<Operation> {
    let op = of("sessions");
    let labels = object(
        &[
            ("id", json!({"type": "string"})),
            ("labels", json!({"type": "object"})),
        ],
        &[],
    );
    let owner = object(&[("owner", json!({"type": "string"}))], &[]);
    let permissions = object(
        &[
            (
                "permissions",
                json!({"type": "array", "items": schema("Permission")}),
            ),
            ("next_cursor", json!({"type": "null"})),
        ],
        &[],
    );
    let share = object(
        &[
            (
                "user_id",
                json!({"type": "string", "minLength": 1, "maxLength": 256}),
            ),
            (
                "level",
                json!({"type": "integer", "minimum": 1, "maximum": 3}),
            ),
        ],
        &[],
    );
    let path = "/v1/sessions/{id}/permissions";
    vec![
        op(
            Method::GET,
            "/v1/sessions/{id}/items",
            "list_items",
            "What was said; none here",
        )
        .answers(200, "An empty page", schema("EmptyPage")),
        op(
            Method::GET,
            "/v1/sessions/{id}/child_sessions",
            "list_child_sessions",
            "Sessions below it; none here",
        )
        .answers(200, "An empty page", schema("EmptyPage")),
        op(
            Method::GET,
            "/v1/sessions/{id}/labels",
            "get_labels",
            "A session's labels",
        )
        .answers(200, "The labels", labels),
        op(
            Method::GET,
            "/v1/sessions/{id}/owner",
            "get_owner",
            "Whose session it is",
        )
        .answers(200, "The owner", owner),
        op(
            Method::GET,
            "/v1/sessions/{id}/agent",
            "get_session_agent",
            "A session's agent",
        )
        .answers(200, "The agent", schema("Agent")),
        op(
            Method::POST,
            "/v1/sessions/{id}/events",
            "post_event",
            "Say something; 503, because no agent runs here",
        ),
        op(
            Method::GET,
            path,
            "list_permissions",
            "Who shares in a session",
        )
        .answers(200, "The permissions", permissions)
        .refuses(&[403]),
        op(
            Method::PUT,
            path,
            "share_session",
            "Share a session: 1 read, 2 edit, 3 manage",
        )
        .takes(share)
        .answers(200, "Shared", schema("Permission")),
        op(
            Method::DELETE,
            "/v1/sessions/{id}/permissions/{user}",
            "unshare_session",
            "Take somebody out of a session",
        )
        .empty(204, "Not shared with them"),
    ]
}

fn others() -> Vec<Operation> {
    let op = of("sessions");
    let list = || json!({"type": "array", "items": {"type": "object"}});
    vec![
        paged(op(
            Method::GET,
            "/v1/agents",
            "list_agents",
            "The agents of this server",
        ))
        .answers(200, "A page of them", schema("Agents"))
        .refuses(&[404]),
        op(
            Method::GET,
            "/v1/agents/{id}",
            "get_agent",
            "No agent is shown by itself",
        ),
        op(Method::GET, "/v1/runners", "list_runners", "None here").answers(
            200,
            "An empty list",
            object(&[("data", list())], &[]),
        ),
        op(Method::GET, "/v1/hosts", "list_hosts", "None here").answers(
            200,
            "An empty list",
            object(&[("hosts", list())], &[]),
        ),
        op(Method::GET, "/v1/projects", "list_projects", "None here").answers(
            200,
            "An empty list",
            object(&[("data", list())], &[]),
        ),
    ]
}
