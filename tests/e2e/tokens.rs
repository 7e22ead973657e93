//! CONTRACT section 4: API tokens.

use omnigent_tests::{Answer, Client, ServerBuilder};
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn an_api_token_works_until_it_is_revoked_also_across_a_crash() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci", "expires_in_days": 30}))
        .expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let ci = server.client().bearer(text(&made["token"]));
    assert_eq!(
        ci.get("/v1/me").expect(200).json(),
        json!({"user_id": "admin", "is_admin": true})
    );
    let listed = admin.get("/auth/tokens").expect(200).json();
    assert_eq!(listed["tokens"][0]["name"], "ci");
    assert!(listed["tokens"][0].get("token").is_none(), "shown once");

    let server = server.kill_and_restart();
    let (admin, ci) = (
        server.login("admin", omnigent_tests::PASSWORD),
        server.client().bearer(text(&made["token"])),
    );
    ci.get("/v1/sessions").expect(200);
    admin
        .delete(&format!("/auth/tokens/{}", text(&made["id"])))
        .expect(204);
    ci.get("/v1/sessions").expect(401);
    let server = server.kill_and_restart();
    server
        .client()
        .bearer(text(&made["token"]))
        .get("/v1/sessions")
        .expect(401);
}

#[test]
fn an_api_token_is_not_its_owner() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let ci = server.client().bearer(text(&made["token"]));
    for answer in [
        ci.post("/auth/tokens", json!({"name": "more"})),
        ci.post("/auth/magic", json!({})),
        ci.post("/auth/invite", json!({})),
        ci.get("/auth/users"),
        ci.delete("/auth/logins"),
        ci.post(
            "/auth/users/me/password",
            json!({"old_password": omnigent_tests::PASSWORD, "new_password": "Glacier-piano-42"}),
        ),
    ] {
        assert!([401, 403].contains(&answer.status), "{answer:?}");
    }
}

#[test]
fn a_scope_is_a_fence() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let make = |scope: &str| {
        let made = admin
            .post("/auth/tokens", json!({"name": scope, "scope": scope}))
            .expect(201)
            .json();
        server.client().bearer(text(&made["token"]))
    };
    let agent = admin.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    let create = json!({"agent_id": agent});
    let sessions = make("sessions");
    sessions.post("/v1/sessions", create.clone()).expect(201);
    let reader = make("sessions:read");
    reader.get("/v1/sessions").expect(200);
    reader.post("/v1/sessions", create).expect(401);
    for path in [
        "/v1/me",
        "/auth/me",
        "/auth/users",
        "/auth/tokens",
        "/v1/sessionsx",
        "/v1/projects",
    ] {
        assert_ne!(sessions.get(path).status, 200, "{path}");
    }
    admin
        .post("/auth/tokens", json!({"name": "x", "scope": "everything"}))
        .expect(422);
}

#[test]
fn a_token_that_reaches_less_far_is_not_told_to_be_bad() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let make = |scope: Value| {
        let made = admin.post("/auth/tokens", json!({"name": "x", "scope": scope}));
        let made = made.expect(201).json();
        (server.client().bearer(text(&made["token"])), made)
    };
    let (ci, made) = make(json!("sessions"));
    let (whole, _) = make(Value::Null);
    let challenge = |answer: &Answer| {
        let said = answer.header("www-authenticate").unwrap_or_default();
        assert!(said.starts_with("Bearer "), "{answer:?}");
        let error = said.split("error=\"").nth(1).unwrap_or_default();
        error.trim_end_matches('"').to_owned()
    };
    for path in [
        "/v1/me",
        "/v1/projects",
        "/auth/me",
        "/auth/users",
        "/auth/tokens",
    ] {
        let refused = ci.get(path).expect(401);
        assert_eq!(challenge(&refused), "insufficient_scope", "{path}");
    }
    for path in ["/auth/users", "/auth/tokens"] {
        let refused = whole.get(path).expect(403);
        assert_eq!(challenge(&refused), "insufficient_scope", "{path}");
    }
    let refused = whole.form("/oauth/introspect", &[("token", "x")]);
    assert_eq!(refused.expect(403).json()["error"], "insufficient_scope");
    // Somebody who is no admin has no token that would do.
    let bob = server.join(&admin, "bob");
    let refused = bob.get("/auth/users").expect(403);
    assert_eq!(refused.header("www-authenticate"), None);
    let token = format!("/auth/tokens/{}", text(&made["id"]));
    admin.delete(&token).expect(204);
    for path in ["/v1/sessions", "/v1/me", "/auth/users"] {
        let refused = ci.get(path).expect(401);
        assert_eq!(challenge(&refused), "invalid_token", "{path}");
    }
}

#[test]
fn the_audit_trail_is_read_by_tokens_for_that_alone() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let token = |owner: &Client, scope: Value| {
        let made = owner.post("/auth/tokens", json!({"name": "x", "scope": scope}));
        server
            .client()
            .bearer(text(&made.expect(201).json()["token"]))
    };
    let auditor = token(&admin, json!("admin"));
    assert!(auditor.get("/auth/audit").expect(200).json()["entries"].is_array());
    auditor.post("/auth/audit", json!({})).expect(405);
    token(&admin, json!("sessions account"))
        .get("/auth/audit")
        .expect(401);
    token(&admin, Value::Null).get("/auth/audit").expect(403);
    token(&bob, json!("account")).get("/auth/audit").expect(401);
    admin
        .patch("/auth/users/bob", json!({"is_admin": true}))
        .expect(200);
    let his = token(&bob, json!("admin"));
    his.get("/auth/audit").expect(200);
    admin
        .patch("/auth/users/bob", json!({"is_admin": false}))
        .expect(200);
    let refused = his.get("/auth/audit").status;
    assert!([401, 403].contains(&refused), "{refused}");
}

#[test]
fn tokens_of_others_stay_out_of_reach() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    bob.delete(&format!("/auth/tokens/{}", text(&made["id"])))
        .expect(404);
    bob.post(
        &format!("/auth/tokens/{}/rotate", text(&made["id"])),
        json!({}),
    )
    .expect(404);
    assert_eq!(bob.get("/auth/tokens").json(), json!({"tokens": []}));
    let bobs = bob
        .post("/auth/tokens", json!({"name": "mine"}))
        .expect(201)
        .json();
    assert_eq!(
        admin.get("/auth/users/bob/tokens").expect(200).json()["tokens"][0]["name"],
        "mine"
    );
    admin
        .delete(&format!("/auth/users/bob/tokens/{}", text(&bobs["id"])))
        .expect(204);
    server
        .client()
        .bearer(text(&bobs["token"]))
        .get("/v1/me")
        .expect(401);
}

#[test]
fn rotation_overlaps_as_long_as_asked() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let first = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let rotate = |overlap: u64| {
        admin.post(
            &format!("/auth/tokens/{}/rotate", text(&first["id"])),
            json!({"overlap_seconds": overlap}),
        )
    };
    let second = rotate(3600).expect(201).json();
    let works = |made: &Value| {
        server
            .client()
            .bearer(text(&made["token"]))
            .get("/v1/me")
            .status
    };
    assert_eq!((works(&first), works(&second)), (200, 200));
    assert_ne!(first["id"], second["id"]);
    rotate(0).expect(201);
    assert_eq!(works(&first), 401);
}

#[test]
fn a_token_that_was_replaced_makes_none_that_outlives_it() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let body = json!({"name": "ci", "scope": "account", "expires_in_days": 300});
    let leaked = admin.post("/auth/tokens", body.clone()).expect(201).json();
    let thief = server.client().bearer(text(&leaked["token"]));
    let path = format!("/auth/tokens/{}/rotate", text(&leaked["id"]));
    let overlap = json!({"overlap_seconds": 3600});
    let end = admin.post(&path, overlap.clone()).expect(201).json();
    let end = end["created_at"].as_u64().expect("a time") + 3600;
    for made in [thief.post("/auth/tokens", body), thief.post(&path, overlap)] {
        let ends = made.expect(201).json()["expires_at"].as_u64();
        assert!(ends.is_some_and(|ends| ends <= end), "{ends:?} > {end}");
    }
}

#[test]
fn shapes_of_a_token_request_are_checked() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": 5}),
        json!({"name": "x", "expires_in_days": 0}),
        json!({"name": "x", "expires_in_days": 367}),
        json!({"name": "x", "expires_in_days": "30"}),
        json!({"name": "x", "scope": ["sessions"]}),
    ] {
        admin.post("/auth/tokens", body.clone()).expect(422);
    }
    server
        .client()
        .post("/auth/tokens", json!({"name": "x"}))
        .expect(401);
}

#[test]
fn no_secret_is_stored_as_it_is() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let agent = admin.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    let title = "stored as it is, unlike the secrets";
    let body = json!({"agent_id": agent, "title": title});
    admin.post("/v1/sessions", body).expect(201);
    let body = json!({
        "username": "admin", "password": omnigent_tests::PASSWORD, "client_id": "my-app",
    });
    let login = server.client().post("/auth/login", body).expect(200).json();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201);
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    let magic = admin.post("/auth/magic", json!({})).expect(200).json();
    let ticket = server.client().send("POST", "/auth/cli-login", None, "");
    let ticket = ticket.expect(200).json();
    let end = |value: &Value, mark: &str| -> String {
        let (_, secret) = text(value).split_once(mark).expect("a secret in a link");
        secret.to_owned()
    };
    let secrets = [
        omnigent_tests::PASSWORD.to_owned(),
        text(&login["token"]).to_owned(),
        text(&login["refresh_token"]).to_owned(),
        text(&made.json()["token"]).to_owned(),
        text(&invite["token"]).to_owned(),
        end(&magic["redeem_url"], "?t="),
        text(&ticket["ticket"]).to_owned(),
        end(&ticket["login_url"], "ticket="),
    ];
    assert!(
        secrets.iter().all(|secret| secret.len() >= 12),
        "{secrets:?}"
    );
    let data = server.dir.path().join("data");
    let stopped = server.kill();
    let everything = bytes_below(&data);
    let is_there = |text: &str| everything.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(is_there(title), "the store is read as it lies there");
    for secret in &secrets {
        assert!(!is_there(secret), "{secret}");
    }
    drop(stopped);
}

/// What is in all files below `folder`.
fn bytes_below(folder: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes.extend(bytes_below(&path));
        } else if path.is_file() {
            bytes.extend(std::fs::read(&path).expect("a file"));
        }
    }
    bytes
}

fn policed(keys: &str) -> ServerBuilder {
    ServerBuilder::accounts().also(&format!("[tokens]\n{keys}"))
}

#[test]
fn the_operator_decides_how_long_tokens_last() {
    let day = 86_400;
    let lasts = |made: &Value| {
        let second = |member: &str| made[member].as_u64().expect("a time");
        second("expires_at") - second("created_at")
    };
    let server = policed("api_default_ttl = \"7d\"\napi_max_ttl = \"30d\"").start();
    let admin = server.claim();
    let make = |body: Value| admin.post("/auth/tokens", body);
    let made = make(json!({"name": "a"})).expect(201).json();
    assert_eq!(lasts(&made), 7 * day);
    let made = make(json!({"name": "a", "expires_in_days": null}));
    assert_eq!(lasts(&made.expect(201).json()), 7 * day);
    let made = make(json!({"name": "a", "expires_in_days": 30}));
    assert_eq!(lasts(&made.expect(201).json()), 30 * day);
    let said = make(json!({"name": "a", "expires_in_days": 31})).expect(400);
    let text = "this server's tokens last at most 30 days";
    assert_eq!(said.json(), json!({"error": text}));

    let server = policed("api_allow_unlimited = true\napi_default_ttl = \"7d\"").start();
    let admin = server.claim();
    let make = |body: Value| admin.post("/auth/tokens", body).expect(201).json();
    assert_eq!(lasts(&make(json!({"name": "a"}))), 7 * day);
    let endless = make(json!({"name": "a", "expires_in_days": null}));
    assert_eq!(endless["expires_at"], Value::Null);
    let endless = server.client().bearer(text_of(&endless));
    let answer = endless.get("/v1/me").expect(200);
    assert_eq!(answer.header("omnigent-token-expires"), None);

    let refused = policed("api_default_ttl = \"30d\"\napi_max_ttl = \"7d\"").try_start();
    let log = refused.err().expect("it does not start");
    assert!(log.contains("tokens.api_default_ttl"), "{log}");
}

fn text_of(made: &Value) -> &str {
    text(&made["token"])
}

#[test]
fn an_end_that_is_near_is_announced_with_every_answer() {
    let server = policed("api_expiry_notice = \"10d\"").start();
    let admin = server.claim();
    let make = |days: u64, scope: Value| {
        let body = json!({"name": "ci", "expires_in_days": days, "scope": scope});
        admin.post("/auth/tokens", body).expect(201).json()
    };
    let soon = make(9, Value::Null);
    let said = soon["expires_at"].to_string();
    let ci = server.client().bearer(text_of(&soon));
    for (path, status) in [
        ("/v1/me", 200),
        ("/auth/users", 403),
        ("/v1/sessions/x", 404),
    ] {
        let answer = ci.get(path).expect(status);
        let header = answer.header("omnigent-token-expires");
        assert_eq!(header, Some(said.as_str()), "{path}");
    }
    let late = make(11, Value::Null);
    let login = admin.get("/v1/me").expect(200);
    let late = server.client().bearer(text_of(&late)).get("/v1/me");
    for answer in [login, late.expect(200)] {
        assert_eq!(answer.header("omnigent-token-expires"), None);
    }
    let dead = format!("/auth/tokens/{}", text(&soon["id"]));
    admin.delete(&dead).expect(204);
    let answer = ci.get("/v1/me").expect(401);
    assert_eq!(answer.header("omnigent-token-expires"), None);
    let off = policed("api_expiry_notice = \"0s\"").start();
    let admin = off.claim();
    let body = json!({"name": "ci", "expires_in_days": 1});
    let made = admin.post("/auth/tokens", body).expect(201).json();
    let answer = off.client().bearer(text_of(&made)).get("/v1/me");
    assert_eq!(answer.expect(200).header("omnigent-token-expires"), None);
}

#[test]
fn nobody_makes_a_token_that_reaches_further_than_they_do() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let wish =
        |scope: &str, days: u64| json!({"name": "x", "scope": scope, "expires_in_days": days});
    bob.post("/auth/tokens", wish("sessions admin", 5))
        .expect(403);
    let made = bob.post("/auth/tokens", wish("account sessions:read", 5));
    let made = made.expect(201).json();
    let own = server.client().bearer(text_of(&made));
    for scope in ["sessions", "admin", "account sessions"] {
        own.post("/auth/tokens", wish(scope, 1)).expect(403);
    }
    // What a token makes neither reaches further nor lives longer.
    let body = json!({"name": "child", "expires_in_days": 300});
    let child = own.post("/auth/tokens", body).expect(201).json();
    assert_eq!(child["scope"], made["scope"]);
    assert_eq!(child["expires_at"], made["expires_at"]);
    // Nor does it get hold of a wider one by rotating it, or of a longer life.
    let wide = bob
        .post("/auth/tokens", wish("sessions", 5))
        .expect(201)
        .json();
    let rotate = |id: &Value| format!("/auth/tokens/{}/rotate", text(id));
    own.post(&rotate(&wide["id"]), json!({})).expect(404);
    let narrow = bob.post("/auth/tokens", wish("sessions:read", 300));
    let narrow = narrow.expect(201).json();
    let next = own
        .post(&rotate(&narrow["id"]), json!({}))
        .expect(201)
        .json();
    assert_eq!(next["expires_at"], made["expires_at"]);
    // One without the scope makes none at all.
    for scope in [json!("sessions"), json!("sessions:read"), Value::Null] {
        let made = bob.post("/auth/tokens", json!({"name": "x", "scope": scope}));
        let token = server.client().bearer(text_of(&made.expect(201).json()));
        let said = token.post("/auth/tokens", json!({"name": "more"}));
        assert!([401, 403].contains(&said.status), "{scope}: {said:?}");
        let said = token.post(&rotate(&wide["id"]), json!({}));
        assert!([401, 403].contains(&said.status), "{scope}: {said:?}");
    }
}

#[test]
fn an_api_token_does_not_become_a_browser_session() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let cookie = format!("ap_session={}", text_of(&made));
    let browser = server.client().with("cookie", &cookie);
    browser.get("/v1/sessions").expect(401);
    browser
        .with("origin", &server.url)
        .post("/auth/magic", json!({}))
        .expect(401);
    server
        .client()
        .bearer(text_of(&made))
        .get("/v1/sessions")
        .expect(200);
}

#[test]
fn what_cannot_be_replaced_is_not_taken_away() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    for path in ["00000000000000000000000000000000", "x", "%2e%2e"] {
        let path = format!("/auth/tokens/{path}/rotate");
        admin.post(&path, json!({})).expect(404);
    }
    let path = format!("/auth/tokens/{}/rotate", text(&made["id"]));
    for body in [
        json!({"overlap_seconds": -1}),
        json!({"overlap_seconds": "5"}),
        json!({"overlap_seconds": 30 * 86_400 + 1}),
        json!([]),
    ] {
        admin.post(&path, body).expect(422);
    }
    server.client().post(&path, json!({})).expect(401);
    server
        .client()
        .bearer(text_of(&made))
        .get("/v1/me")
        .expect(200);
}

#[test]
fn when_and_from_where_a_token_was_used_is_known_after_a_restart() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let listed = admin.get("/auth/tokens").json();
    assert_eq!(listed["tokens"][0]["last_used_at"], Value::Null);
    server
        .client()
        .bearer(text_of(&made))
        .get("/v1/me")
        .expect(200);
    let (status, again) = server.stop();
    assert!(status.success());
    let server = again.start();
    let admin = server.login("admin", omnigent_tests::PASSWORD);
    let listed = admin.get("/auth/tokens").json();
    let token = &listed["tokens"][0];
    assert!(token["last_used_at"].as_u64() >= made["created_at"].as_u64());
    assert_eq!(token["last_used_ip"], "127.0.0.1");
}

#[test]
fn a_token_that_was_replaced_is_announced_to_end_with_its_overlap() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let body = json!({"name": "ci", "expires_in_days": 300});
    let first = admin.post("/auth/tokens", body).expect(201).json();
    let path = format!("/auth/tokens/{}/rotate", text(&first["id"]));
    let end = |server: &omnigent_tests::Server| {
        let answer = server.client().bearer(text_of(&first)).get("/v1/me");
        let header = answer.header("omnigent-token-expires").map(str::to_owned);
        header.and_then(|seconds| seconds.parse::<u64>().ok())
    };
    assert_eq!(end(&server), None);
    let second = admin.post(&path, json!({"overlap_seconds": 7200}));
    let second = second.expect(201).json();
    let made = second["created_at"].as_u64().expect("a time");
    assert_eq!(end(&server), Some(made + 7200));
    let answer = server.client().bearer(text_of(&second)).get("/v1/me");
    assert_eq!(answer.header("omnigent-token-expires"), None);
    let listed = admin.get("/auth/tokens").expect(200).json();
    let rows = listed["tokens"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["id"] == first["id"]);
    assert_eq!(row.expect("it lives on")["expires_at"], made + 7200);
    // A second rotation makes it end no later, and a crash forgets nothing.
    admin
        .post(&path, json!({"overlap_seconds": 90_000}))
        .expect(201);
    let server = server.kill_and_restart();
    assert_eq!(end(&server), Some(made + 7200));
}
