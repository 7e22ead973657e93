//! What the operator sees and clears of the throttle.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("operator");
    let integer = || json!({"type": "integer"});
    let maybe = || json!({"type": ["string", "null"]});
    let held = object(
        &[
            (
                "class",
                json!({"enum": ["sign-in", "code", "begin", "register", "write"]}),
            ),
            (
                "scope",
                json!({"enum": ["pair", "device", "account", "network", "wider-network"]}),
            ),
            ("account", maybe()),
            ("network", maybe()),
            ("failures", json!({"type": ["integer", "null"]})),
            ("retry_after_seconds", integer()),
        ],
        &[],
    );
    vec![
        op(
            Method::GET,
            "/auth/operator/throttle",
            "list_throttled",
            "Who has to wait, the longest first",
        )
        .answers(
            200,
            "Who waits, and the memory it takes",
            object(
                &[
                    ("held", json!({"type": "array", "items": held})),
                    (
                        "tracked",
                        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                    ),
                    ("bytes", integer()),
                ],
                &[],
            ),
        ),
        op(
            Method::POST,
            "/auth/operator/throttle/clear",
            "clear_throttled",
            "Let go of an account, a network, or everybody",
        )
        .takes(object(
            &[],
            &[
                ("account", maybe()),
                ("network", maybe()),
                ("all", json!({"type": "boolean"})),
            ],
        ))
        .answers(
            200,
            "So many counts are cleared",
            object(&[("cleared", integer())], &[]),
        ),
    ]
}
