//! What only the operator does, on the Unix socket.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of, schema};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("operator");
    let list = || json!({"type": "array"});
    let string = || json!({"type": "string"});
    let maybe = || json!({"type": ["string", "null"]});
    let any = || json!({"type": "object"});
    let identities = "/auth/users/{id}/identities";
    let mut all = data(&op);
    all.extend(vec![
        op(
            Method::POST,
            "/auth/operator/reload",
            "reload",
            "Put the changed configuration in force",
        )
        .answers(
            200,
            "What changed",
            object(&[("changes", list()), ("warnings", list())], &[]),
        )
        .refuses(&[409]),
        op(
            Method::POST,
            "/auth/operator/plan",
            "plan",
            "By which backends each account would get in",
        )
        .takes(object(&[("backends", list())], &[("after", maybe())]))
        .answers(
            200,
            "The plan",
            object(&[("refused", list()), ("accounts", list())], &[]),
        ),
        op(
            Method::POST,
            "/auth/operator/migrate",
            "migrate",
            "Expect identities of another backend",
        )
        .takes(object(
            &[("to", string()), ("by", json!({}))],
            &[
                ("from", maybe()),
                ("dry_run", json!({"type": "boolean"})),
                ("after", maybe()),
            ],
        ))
        .answers(200, "A page of what is expected", any()),
        op(
            Method::GET,
            "/auth/operator/audit/verify",
            "verify_audit",
            "Prove the audit trail, a hundred thousand entries at a time",
        )
        .query(
            "from",
            json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64}),
        )
        .answers(
            200,
            "What was proven, and what does not fit",
            object(
                &[
                    ("first", json!({"type": "integer"})),
                    ("last", json!({"type": "integer"})),
                    ("hash", string()),
                    ("next", json!({"type": ["integer", "null"]})),
                    ("fault", json!({"type": ["object", "null"]})),
                ],
                &[],
            ),
        ),
        op(
            Method::POST,
            "/auth/users/{id}/reset-link",
            "make_reset_link",
            "A link that signs somebody in once",
        )
        .answers(200, "The link", schema("Link")),
        op(
            Method::GET,
            identities,
            "list_identities",
            "An account's identities",
        )
        .answers(200, "Linked and expected ones", any()),
        op(
            Method::POST,
            identities,
            "expect_identity",
            "Expect an identity for an account",
        )
        .takes(object(&[("backend", string()), ("by", json!({}))], &[]))
        .empty(204, "Expected")
        .refuses(&[409]),
        op(
            Method::DELETE,
            "/auth/users/{id}/identities/{backend}",
            "unlink_identities",
            "Take a backend's identities from an account",
        )
        .empty(204, "Unlinked"),
    ]);
    all
}

/// What concerns the data as a whole.
fn data(
    op: &impl Fn(Method, &'static str, &'static str, &'static str) -> Operation,
) -> Vec<Operation> {
    let integer = || json!({"type": "integer"});
    let string = || json!({"type": "string"});
    vec![
        op(
            Method::GET,
            "/auth/operator/store",
            "store_status",
            "How large the store is and how it is doing",
        )
        .answers(
            200,
            "Its state",
            object(
                &[
                    ("writing", string()),
                    ("disk_bytes", integer()),
                    ("free_bytes", integer()),
                    ("sequence", integer()),
                    ("records", integer()),
                    ("tables", json!({"type": "array"})),
                ],
                &[(
                    "last_flush_seconds_ago",
                    json!({"type": ["number", "null"]}),
                )],
            ),
        ),
        op(
            Method::POST,
            "/auth/operator/archive",
            "begin_archive",
            "Take a consistent picture of all data, to be read in pieces",
        )
        .takes(object(
            &[(
                "kind",
                json!({"type": "string", "enum": ["backup", "export"]}),
            )],
            &[],
        ))
        .answers(
            200,
            "By which id it is read",
            object(
                &[("id", string()), ("head", json!({"type": "object"}))],
                &[],
            ),
        )
        .refuses(&[409]),
        op(
            Method::POST,
            "/auth/operator/archive/{id}",
            "read_archive",
            "The next lines of an archive: 200 with some, 204 at the end",
        )
        .answers(200, "Lines of JSON", json!({"type": "string"}))
        .empty(204, "That was all"),
    ]
}
