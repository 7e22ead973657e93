//! Signing keys.

use http::Method;
use serde_json::json;

use super::operation::{Operation, object, of};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("operator");
    let string = || json!({"type": "string"});
    let algorithm = || json!({"enum": ["HS256", "EdDSA", "ES256"]});
    let time = || json!({"type": ["integer", "null"]});
    let key = || {
        object(
            &[
                ("kid", string()),
                ("algorithm", algorithm()),
                (
                    "state",
                    json!({"enum": ["signing", "verifying", "retired"]}),
                ),
                ("source", json!({"enum": ["keyring", "configuration"]})),
                ("created_at", time()),
                ("replaced_at", time()),
                ("retired_at", time()),
                ("tokens_until", time()),
                ("endless_tokens", json!({"type": "boolean"})),
                ("api_tokens", json!({"type": "integer"})),
            ],
            &[],
        )
    };
    let noted = || {
        let what = "Whether the audit trail has it; if not, it will once the store takes writes";
        json!({"type": "boolean", "description": what})
    };
    let mut made = key();
    made["properties"]["noted"] = noted();
    let public = object(
        &[
            ("kty", json!({"enum": ["OKP", "EC"]})),
            ("crv", string()),
            ("x", string()),
            ("kid", string()),
            ("alg", string()),
            ("use", json!({"const": "sig"})),
        ],
        &[("y", string())],
    );
    let keys = object(&[("keys", json!({"type": "array", "items": public}))], &[]);
    vec![
        of("server")(
            Method::GET,
            "/.well-known/jwks.json",
            "jwks",
            "Public keys (RFC 7517); none with HS256",
        )
        .answers(200, "The key set", keys),
        op(
            Method::GET,
            "/auth/operator/keys",
            "list_keys",
            "The signing keys, and what rests on each",
        )
        .answers(
            200,
            "The keys",
            object(&[("keys", json!({"type": "array", "items": key()}))], &[]),
        ),
        op(
            Method::POST,
            "/auth/operator/keys/rotate",
            "rotate_keys",
            "Sign with a new key; the old one still verifies",
        )
        .takes(object(
            &[],
            &[(
                "algorithm",
                json!({"enum": ["HS256", "EdDSA", "ES256", null]}),
            )],
        ))
        .answers(201, "The key that signs", made)
        .refuses(&[409]),
        op(
            Method::POST,
            "/auth/operator/keys/{kid}/retire",
            "retire_key",
            "End a key and all tokens it signed",
        )
        .takes(object(&[], &[("now", json!({"type": "boolean"}))]))
        .answers(
            200,
            "Retired",
            object(
                &[
                    ("kid", string()),
                    ("state", json!({"const": "retired"})),
                    ("noted", noted()),
                ],
                &[],
            ),
        )
        .refuses(&[409]),
    ]
}
