//! From a person to a token, and what OAuth has for clients.

use http::Method;
use serde_json::{Value, json};

use super::operation::{Operation, object, of, optional_text, schema, text};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = by_password();
    all.extend(by_browser());
    all.extend(oauth());
    all.extend(device());
    all
}

fn by_password() -> Vec<Operation> {
    let op = of("sign in");
    let signed_in = || schema("SignedIn");
    let client_id = || optional_text(1, 64);
    let backend = || optional_text(1, 64);
    let login = object(
        &[("username", text(1, 128)), ("password", text(1, 1024))],
        &[("client_id", client_id()), ("backend", backend())],
    );
    let setup = object(
        &[
            ("username", schema("Username")),
            ("password", schema("Password")),
        ],
        &[("setup_code", optional_text(1, 128))],
    );
    let register = object(
        &[
            ("username", schema("Username")),
            ("password", schema("Password")),
        ],
        &[("invite", optional_text(1, 128))],
    );
    let answers = json!({"type": ["object", "null"], "additionalProperties": {"type": "string"}});
    let either = || json!({"anyOf": [schema("Step"), signed_in()]});
    vec![
        op(
            Method::POST,
            "/auth/login",
            "login",
            "Sign in with a name and a password",
        )
        .takes(login)
        .answers(200, "Signed in", signed_in())
        .answers(200, "Signed in", either())
        .refuses(&[401, 404, 429]),
        op(
            Method::POST,
            "/auth/logout",
            "logout",
            "Revoke the presented login",
        )
        .empty(204, "Signed out"),
        op(Method::POST, "/auth/setup", "setup", "Claim a new server")
            .takes(setup)
            .answers(200, "Claimed", signed_in())
            .refuses(&[404, 409, 429]),
        op(
            Method::POST,
            "/auth/register",
            "register",
            "Register, with an invite",
        )
        .takes(register)
        .answers(200, "Registered", signed_in())
        .refuses(&[404, 409, 429]),
        op(
            Method::POST,
            "/auth/conversations",
            "begin_conversation",
            "Begin a sign-in step by step",
        )
        .takes(object(
            &[],
            &[("backend", backend()), ("client_id", client_id())],
        ))
        .answers(201, "The first step", schema("Step"))
        .answers(200, "Signed in at once", signed_in())
        .refuses(&[404, 429]),
        op(
            Method::POST,
            "/auth/conversations/{id}",
            "answer_step",
            "Answer a step, once",
        )
        .takes(object(
            &[],
            &[("answers", answers), ("client_id", client_id())],
        ))
        .answers(200, "The next step, or signed in", either())
        .refuses(&[401, 404, 409, 410, 429]),
        op(
            Method::GET,
            "/auth/magic/redeem",
            "redeem_magic_link",
            "Sign in by a magic link, once",
        )
        .query("t", json!({"type": "string"}))
        .shows(
            200,
            "Another site sent the browser here: the person has to mean it",
        )
        .redirects("Home, or to the login page that says why not")
        .refuses(&[429]),
        op(
            Method::POST,
            "/auth/magic/redeem",
            "redeem_magic_link_meant",
            "Sign in by a magic link, on a page that asked",
        )
        .takes(object(&[], &[("t", json!({"type": "string"}))]))
        .redirects("Home, or to the login page that says why not")
        .refuses(&[429]),
    ]
}

fn by_browser() -> Vec<Operation> {
    let op = of("sign in");
    let ticket = object(
        &[
            ("ticket", json!({"type": "string"})),
            ("login_url", json!({"type": "string"})),
            ("user_code", schema("UserCode")),
            ("expires_in", json!({"type": "integer"})),
            ("interval", json!({"type": "integer"})),
        ],
        &[],
    );
    let handed = object(
        &[
            ("token", json!({"type": "string"})),
            ("user_id", json!({"type": "string"})),
            ("expires_in", json!({"type": "integer"})),
        ],
        &[("refresh_token", json!({"type": "string"}))],
    );
    let pending = object(&[("status", json!({"const": "pending"}))], &[]);
    let code = || json!({"type": "string"});
    vec![
        op(
            Method::POST,
            "/auth/cli-login",
            "open_ticket",
            "Begin the sign-in of a command line",
        )
        .answers(200, "What to poll with, and the link to open", ticket)
        .refuses(&[429]),
        op(
            Method::GET,
            "/auth/cli-poll",
            "poll_ticket",
            "What has become of a ticket",
        )
        .query("ticket", code())
        .answers(200, "Signed in; told once", handed)
        .answers(202, "Nobody has decided yet", pending)
        .refuses(&[401, 410]),
        op(
            Method::POST,
            "/auth/cli-login/decide",
            "decide_ticket",
            "Approve or deny the sign-in of a command line",
        )
        .takes(object(
            &[
                ("ticket", code()),
                (
                    "decision",
                    json!({"type": "string", "description": "`approve`; anything else denies"}),
                ),
                ("form_token", json!({"type": "string"})),
            ],
            &[],
        ))
        .shows(200, "Decided")
        .shows(401, "Not signed in")
        .shows(403, "A form of another sign-in")
        .shows(410, "There is nothing to decide"),
        op(
            Method::POST,
            "/auth/backchannel-logout/{backend}",
            "backchannel_logout",
            "An identity provider ends logins (OpenID Connect Back-Channel Logout 1.0)",
        )
        .takes(object(&[("logout_token", code())], &[]))
        .answers(200, "Ended", json!({"type": "object"})),
    ]
}

fn oauth() -> Vec<Operation> {
    let op = of("oauth");
    let code = || json!({"type": "string"});
    let secret = "The operator's client secret, where one is configured";
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let token = object(
        &[("grant_type", json!({"enum": ["refresh_token", device]}))],
        &[
            ("refresh_token", code()),
            ("device_code", code()),
            ("client_id", code()),
            ("scope", code()),
        ],
    );
    let introspection = object(
        &[("active", json!({"type": "boolean"}))],
        &[
            ("iss", code()),
            ("aud", code()),
            ("sub", code()),
            ("username", code()),
            ("jti", code()),
            ("iat", json!({"type": "integer"})),
            ("nbf", json!({"type": "integer"})),
            ("exp", json!({"type": "integer"})),
            ("scope", code()),
            ("client_id", code()),
            ("token_type", json!({"const": "Bearer"})),
            ("token_use", json!({"enum": ["access", "api", "refresh"]})),
        ],
    );
    vec![
        op(
            Method::POST,
            "/oauth/token",
            "token",
            "Refresh, or poll for a device's tokens",
        )
        .header("X-Omnigent-Client-Secret", secret)
        .takes(token)
        .answers(200, "Tokens", schema("Tokens"))
        .refuses(&[401]),
        op(
            Method::POST,
            "/oauth/revoke",
            "revoke",
            "Revoke a grant, at once (RFC 7009)",
        )
        .takes(object(&[], &[("token", code()), ("refresh_token", code())]))
        .answers(
            200,
            "Revoked, or never there",
            object(&[("revoked", json!({"const": true}))], &[]),
        ),
        op(
            Method::POST,
            "/oauth/introspect",
            "introspect",
            "What a token is (RFC 7662)",
        )
        .takes(object(
            &[("token", json!({"type": "string", "minLength": 1}))],
            &[],
        ))
        .answers(200, "The truth about it", introspection),
    ]
}

fn device() -> Vec<Operation> {
    let op = of("oauth");
    let string = || json!({"type": "string"});
    let secret = "The operator's client secret, where one is configured";
    let typed = || object(&[("user_code", string())], &[]);
    let shape = json!({"type": "string", "pattern": "^[ -]*([A-Za-z0-9][ -]*){8}$"});
    let client: Value = json!({
        "type": ["string", "null"],
        "maxLength": 64,
        "pattern": "^([!-~]([ -~]*[!-~])?)?$",
        "not": {"const": "omnigent-cli"},
        "description": "What asks; `omnigent-cli` is taken",
    });
    let asked = object(
        &[
            ("device_code", string()),
            ("user_code", schema("UserCode")),
            ("verification_uri", string()),
            ("verification_uri_complete", string()),
            ("expires_in", json!({"type": "integer"})),
            ("interval", json!({"type": "integer"})),
        ],
        &[],
    );
    vec![
        op(
            Method::POST,
            "/oauth/device/authorize",
            "authorize_device",
            "Ask to act for whoever approves it (RFC 8628)",
        )
        .header("X-Omnigent-Client-Secret", secret)
        .takes(object(&[], &[("client_id", client)]))
        .answers(200, "The codes", asked)
        .refuses(&[401, 404, 429]),
        op(
            Method::GET,
            "/oauth/device",
            "device_page",
            "The page that asks for a device's code or for the decision",
        )
        .query("user_code", string())
        .shows(200, "What to decide, or that there is nothing")
        .shows(429, "Too many wrong codes")
        .redirects("To sign in first, or again")
        .refuses(&[404, 429]),
        op(
            Method::POST,
            "/oauth/device",
            "enter_device_code",
            "Type a device's code",
        )
        .takes(object(&[("user_code", shape)], &[]))
        .shows(400, "Not a code")
        .redirects("To the page that shows what it is for")
        .refuses(&[404]),
        op(
            Method::POST,
            "/oauth/device/approve",
            "approve_device",
            "Let the device act for one",
        )
        .takes(typed())
        .shows(200, "Connected")
        .shows(410, "There is nothing to decide")
        .shows(429, "Too many wrong codes")
        .redirects("To sign in again first")
        .refuses(&[404, 429]),
        op(
            Method::POST,
            "/oauth/device/deny",
            "deny_device",
            "Give the device nothing",
        )
        .takes(typed())
        .shows(200, "Denied")
        .shows(410, "There is nothing to decide")
        .shows(429, "Too many wrong codes")
        .refuses(&[404, 429]),
    ]
}
