//! CONTRACT section 5: refresh, revoke, introspect.

use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder};
use serde_json::{Value, json};

fn grant(server: &Server, client_id: &str) -> Value {
    let body = json!({"username": "admin", "password": PASSWORD, "client_id": client_id});
    server.client().post("/auth/login", body).expect(200).json()
}

fn refresh(client: &Client, token: &Value) -> (u16, Value) {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str().unwrap_or_default()),
    ];
    let answer = client.form("/oauth/token", &fields);
    (answer.status, answer.json())
}

#[test]
fn the_command_line_keeps_its_refresh_token() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let login = grant(&server, "omnigent-cli");
    for _ in 0..3 {
        let (status, said) = refresh(&server.client(), &login["refresh_token"]);
        assert_eq!(
            (status, &said["token_type"], &said["expires_in"]),
            (200, &json!("Bearer"), &json!(3600))
        );
        assert_eq!(said["refresh_token"], login["refresh_token"]);
        server
            .client()
            .bearer(said["access_token"].as_str().unwrap_or_default())
            .get("/auth/me")
            .expect(200);
    }
}

#[test]
fn other_clients_rotate_and_a_reused_token_ends_the_family() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let login = grant(&server, "my-app");
    let (_, second) = refresh(&server.client(), &login["refresh_token"]);
    assert_ne!(second["refresh_token"], login["refresh_token"]);
    let (status, repeat) = refresh(&server.client(), &login["refresh_token"]);
    assert_eq!(
        (status, &repeat["refresh_token"]),
        (200, &second["refresh_token"]),
        "a lost answer is given again"
    );
    let (_, third) = refresh(&server.client(), &second["refresh_token"]);
    let server = server.kill_and_restart();
    assert_eq!(
        refresh(&server.client(), &login["refresh_token"]),
        (400, json!({"error": "invalid_grant"}))
    );
    assert_eq!(
        refresh(&server.client(), &third["refresh_token"]),
        (400, json!({"error": "invalid_grant"}))
    );
    for token in [
        &login["token"],
        &second["access_token"],
        &third["access_token"],
    ] {
        server
            .client()
            .bearer(token.as_str().unwrap_or_default())
            .get("/auth/me")
            .expect(401);
    }
}

#[test]
fn fifty_refresh_at_once_and_there_is_one_successor() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let login = grant(&server, "my-app");
    let successors: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    refresh(&server.client(), &login["refresh_token"]).1["refresh_token"].clone()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(
        successors
            .iter()
            .all(|token| token.is_string() && *token == successors[0])
    );
}

#[test]
fn what_is_no_grant_is_refused_by_name() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let client = server.client();
    let said = |fields: &[(&str, &str)]| client.form("/oauth/token", fields).expect(400).json();
    assert_eq!(said(&[]), json!({"error": "unsupported_grant_type"}));
    assert_eq!(
        said(&[("grant_type", "password")]),
        json!({"error": "unsupported_grant_type"})
    );
    assert_eq!(
        said(&[("grant_type", "refresh_token")]),
        json!({"error": "invalid_request"})
    );
    for token in ["x", &"A".repeat(70), &"A".repeat(5000), "\u{1F600}"] {
        assert_eq!(
            said(&[("grant_type", "refresh_token"), ("refresh_token", token)]),
            json!({"error": "invalid_grant"})
        );
    }
}

#[test]
fn a_refresh_may_ask_for_less_and_not_for_more() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    for client_id in ["omnigent-cli", "my-app"] {
        let mut login = grant(&server, client_id);
        // The second time the command line's is remembered.
        for _ in 0..2 {
            let mut ask = |scope: &str| {
                let token = login["refresh_token"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let answer = server.client().form(
                    "/oauth/token",
                    &[
                        ("grant_type", "refresh_token"),
                        ("refresh_token", &token),
                        ("scope", scope),
                    ],
                );
                let said = answer.json();
                if answer.status == 200 {
                    login["refresh_token"] = said["refresh_token"].clone();
                }
                (answer.status, said)
            };
            for unknown in [
                "everything",
                "sessions everything",
                "sessions  account",
                " ",
            ] {
                assert_eq!(ask(unknown), (400, json!({"error": "invalid_scope"})));
            }
            let (status, said) = ask("sessions:read account");
            assert_eq!(
                (status, &said["scope"]),
                (200, &json!("sessions:read account"))
            );
            let narrow = said["access_token"].as_str().unwrap_or_default();
            let narrow = server.client().bearer(narrow);
            narrow.get("/v1/sessions").expect(200);
            narrow.get("/auth/tokens").expect(200);
            narrow.get("/auth/users").expect(401);
            let body = json!({"name": "x", "scope": "sessions"});
            narrow.post("/auth/tokens", body).expect(403);
            let body = json!({"agent_id": "x"});
            narrow.post("/v1/sessions", body).expect(401);
            let (status, said) = ask("");
            assert_eq!((status, said.get("scope")), (200, None), "it asks for all");
            let whole = said["access_token"].as_str().unwrap_or_default();
            server.client().bearer(whole).get("/auth/users").expect(200);
        }
    }
}

#[test]
fn a_grant_is_no_other_clients() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    for own in ["omnigent-cli", "my-app"] {
        let login = grant(&server, own);
        let ask = |token: &Value, client_id: &str| {
            let fields = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.as_str().unwrap_or_default()),
                ("client_id", client_id),
            ];
            let answer = server.client().form("/oauth/token", &fields);
            (answer.status, answer.json())
        };
        let token = &login["refresh_token"];
        let refused = (400, json!({"error": "invalid_grant"}));
        for other in ["other", "MY-APP", "omnigent-clj"] {
            assert_eq!(ask(token, other), refused, "{own}: {other}");
        }
        let (status, said) = ask(token, own);
        assert_eq!(status, 200, "those changed nothing: {said}");
        assert_eq!(ask(&said["refresh_token"], "other"), refused);
        assert_eq!(refresh(&server.client(), &said["refresh_token"]).0, 200);
    }
}

#[test]
fn a_parameter_that_is_there_twice_is_refused_everywhere() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let login = grant(&server, "my-app");
    let token = login["refresh_token"].as_str().unwrap_or_default();
    let twice = |path: &str, fields: &[(&str, &str)]| {
        let said = admin.form(path, fields).expect(400).json();
        assert_eq!(said["error"], "invalid_request", "{path}");
    };
    let refresh_twice = [("refresh_token", token), ("refresh_token", token)];
    twice("/oauth/revoke", &refresh_twice);
    twice("/oauth/revoke", &[("token", token), ("token", "x")]);
    twice("/oauth/revoke", &[("x", ""), ("x", "")]);
    twice("/oauth/introspect", &[("token", token), ("token", token)]);
    twice(
        "/oauth/device/authorize",
        &[("client_id", "tv"), ("client_id", "tv")],
    );
    twice("/oauth/device/authorize", &[("scope", "a"), ("scope", "b")]);
    let grant_type = ("grant_type", "refresh_token");
    let [first, second] = refresh_twice;
    twice("/oauth/token", &[grant_type, first, second]);
    assert_eq!(
        refresh(&server.client(), &login["refresh_token"]).0,
        200,
        "nothing ended"
    );
}

#[test]
fn revoking_ends_refresh_and_access_tokens_at_once() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let revoked = json!({"revoked": true});
    for member in ["refresh_token", "token"] {
        let login = grant(&server, "my-app");
        let access = server
            .client()
            .bearer(login["token"].as_str().unwrap_or_default());
        access.get("/auth/me").expect(200);
        let answer = server.client().form(
            "/oauth/revoke",
            &[(member, login["refresh_token"].as_str().unwrap_or_default())],
        );
        assert_eq!(answer.expect(200).json(), revoked);
        access.get("/auth/me").expect(401);
        assert_eq!(refresh(&server.client(), &login["refresh_token"]).0, 400);
    }
    let login = grant(&server, "my-app");
    let access = server
        .client()
        .bearer(login["token"].as_str().unwrap_or_default());
    assert_eq!(
        access.form("/oauth/revoke", &[]).expect(200).json(),
        revoked
    );
    access.get("/auth/me").expect(401);
    assert_eq!(
        server
            .client()
            .form("/oauth/revoke", &[("token", "unknown")])
            .expect(200)
            .json(),
        revoked
    );
}

#[test]
fn a_deleted_account_refreshes_no_more() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "bob");
    let body = json!({"username": "bob", "password": PASSWORD, "client_id": "omnigent-cli"});
    let login = server.client().post("/auth/login", body).expect(200).json();
    admin.delete("/auth/users/bob").expect(204);
    assert_eq!(
        refresh(&server.client(), &login["refresh_token"]),
        (400, json!({"error": "invalid_grant"}))
    );
}

#[test]
fn introspection_tells_the_truth_to_those_who_may_ask() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let login = grant(&server, "my-app");
    let token = login["token"].as_str().unwrap_or_default();
    server
        .client()
        .form("/oauth/introspect", &[("token", token)])
        .expect(401);
    let said = admin
        .form("/oauth/introspect", &[("token", token)])
        .expect(200)
        .json();
    assert_eq!(
        (&said["active"], &said["sub"]),
        (&json!(true), &json!("admin"))
    );
    server
        .client()
        .bearer(token)
        .post("/auth/logout", json!({}))
        .expect(204);
    let said = admin
        .form("/oauth/introspect", &[("token", token)])
        .expect(200)
        .json();
    assert_eq!(said, json!({"active": false}));
}

#[test]
fn introspection_knows_refresh_tokens_and_ends_none() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let ask = |token: &Value| {
        let fields = [("token", token.as_str().unwrap_or_default())];
        admin.form("/oauth/introspect", &fields).expect(200).json()
    };
    let login = grant(&server, "my-app");
    let first = &login["refresh_token"];
    let said = ask(first);
    let expected = [("active", json!(true)), ("sub", json!("admin"))];
    let more = [
        ("client_id", json!("my-app")),
        ("token_use", json!("refresh")),
    ];
    for (member, value) in expected.into_iter().chain(more) {
        assert_eq!(said[member], value, "{said}");
    }
    assert!(said["exp"].is_u64(), "{said}");
    for absent in ["token_type", "scope", "aud", "jti"] {
        assert!(said.get(absent).is_none(), "{absent}: {said}");
    }
    let (_, second) = refresh(&server.client(), first);
    let second = &second["refresh_token"];
    refresh(&server.client(), second);
    let inactive = json!({"active": false});
    assert_eq!(ask(first), inactive, "two generations old");
    let (status, third) = refresh(&server.client(), second);
    assert_eq!(status, 200, "the question ended nothing");
    let third = &third["refresh_token"];
    assert_eq!(ask(third)["active"], true);
    let body = json!({"refresh_token": third});
    let fields = [("token", body["refresh_token"].as_str().unwrap_or_default())];
    server.client().form("/oauth/revoke", &fields).expect(200);
    for token in [third, &login["token"], &json!("x"), &json!("A".repeat(70))] {
        assert_eq!(ask(token), inactive, "{token}");
    }
}

#[test]
fn introspection_leaves_out_what_there_is_not() {
    let server = ServerBuilder::accounts()
        .also("[tokens]\napi_allow_unlimited = true")
        .start();
    let admin = server.claim();
    let body = json!({"name": "ci", "expires_in_days": null});
    let made = admin.post("/auth/tokens", body).expect(201).json();
    let fields = [("token", made["token"].as_str().unwrap_or_default())];
    let said = admin.form("/oauth/introspect", &fields).expect(200).json();
    assert_eq!(
        (&said["token_use"], &said["token_type"]),
        (&json!("api"), &json!("Bearer"))
    );
    for absent in ["exp", "scope", "client_id"] {
        assert!(said.get(absent).is_none(), "{absent}: {said}");
    }
}

#[test]
fn a_program_introspects_with_a_token_for_that_alone() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let token = |owner: &Client, scope: Value| {
        let made = owner.post("/auth/tokens", json!({"name": "x", "scope": scope}));
        let made = made.expect(201).json();
        made["token"].as_str().unwrap_or_default().to_owned()
    };
    let theirs = token(&bob, json!("sessions"));
    let ask = |by: &str| {
        let client = server.client().bearer(by);
        client.form("/oauth/introspect", &[("token", &theirs)])
    };
    let said = ask(&token(&admin, json!("admin"))).expect(200).json();
    assert_eq!(
        (&said["active"], &said["sub"]),
        (&json!(true), &json!("bob"))
    );
    ask(&token(&admin, json!("sessions account"))).expect(401);
    ask(&token(&admin, Value::Null)).expect(403);
    let said = bob.form("/oauth/introspect", &[("token", &theirs)]);
    let refused = json!({"error": "access_denied", "error_description": "admin only"});
    assert_eq!(said.expect(403).json(), refused);
    ask(&token(&bob, json!("account"))).expect(401);
    ask(&theirs).expect(401);
}

#[test]
fn what_ends_a_login_ends_its_renewals_at_once() {
    type End = fn(&Server, &Client, &Client);
    let ends: [(&str, End); 4] = [
        ("signing out", |_, bob, _| {
            bob.post("/auth/logout", json!({})).expect(204);
        }),
        ("a new password", |_, _, admin| {
            admin.post("/auth/users/bob/reset", json!({})).expect(200);
        }),
        ("being disabled", |_, _, admin| {
            admin
                .patch("/auth/users/bob", json!({"disabled": true}))
                .expect(200);
        }),
        ("being deleted", |_, _, admin| {
            admin.delete("/auth/users/bob").expect(204);
        }),
    ];
    for (what, end) in ends {
        let server = ServerBuilder::accounts().start();
        let admin = server.claim();
        server.join(&admin, "bob");
        let body = json!({"username": "bob", "password": PASSWORD, "client_id": "omnigent-cli"});
        let login = server.client().post("/auth/login", body).expect(200).json();
        let token = &login["refresh_token"];
        for _ in 0..3 {
            assert_eq!(refresh(&server.client(), token).0, 200, "{what}");
        }
        let bob = server
            .client()
            .bearer(login["token"].as_str().unwrap_or_default());
        end(&server, &bob, &admin);
        let refused = (400, json!({"error": "invalid_grant"}));
        assert_eq!(refresh(&server.client(), token), refused, "{what}");
        let server = server.kill_and_restart();
        assert_eq!(refresh(&server.client(), token), refused, "{what}");
    }
}
