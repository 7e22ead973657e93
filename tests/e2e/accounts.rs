//! CONTRACT section 4: setup, sign-in, invites, magic links, people.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use omnigent_tests::{PASSWORD, ServerBuilder};
use serde_json::{Value, json};

#[test]
fn a_new_server_is_claimed_once() {
    let server = ServerBuilder::accounts().start();
    assert_eq!(
        server.client().get("/v1/info").expect(200).json()["needs_setup"],
        true
    );
    let body = json!({"username": "admin", "password": PASSWORD});
    let answer = server
        .client()
        .post("/auth/setup", body.clone())
        .expect(200);
    let said = answer.json();
    assert_eq!(said["user"], json!({"id": "admin", "is_admin": true}));
    assert_eq!(said["expires_in"], 8 * 3600);
    let cookie = answer.header("set-cookie").unwrap_or_default();
    let token = said["token"].as_str().unwrap_or_default();
    assert_eq!(
        cookie,
        format!("ap_session={token}; HttpOnly; Max-Age=28800; Path=/; SameSite=lax")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(server.client().get("/v1/info").json()["needs_setup"], false);
    let again = server.client().post("/auth/setup", body).expect(409);
    assert_eq!(again.json(), json!({"error": "setup already completed"}));
    // What is of the wrong shape is told first, claimed or not.
    for (username, status) in [("Not a name", 422), ("", 422), ("local", 409), ("bob", 409)] {
        let body = json!({"username": username, "password": PASSWORD});
        server.client().post("/auth/setup", body).expect(status);
    }
}

#[test]
fn a_name_that_is_none_is_a_fault_of_its_own_member() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    for id in ["Not a name", "-x", "a@b", "\u{e9}"] {
        let said = admin.post("/auth/users", json!({"id": id}));
        let fault = &said.expect(422).json()["detail"][0];
        assert_eq!(fault["loc"], json!(["body", "id"]), "{id}");
        assert_eq!(fault["type"], "string_pattern_mismatch", "{id}");
    }
    let said = admin.post("/auth/users", json!({"id": "local"}));
    let reserved = json!({"error": "username 'local' is reserved"});
    assert_eq!(said.expect(400).json(), reserved);
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    let body = json!({"invite": invite["token"], "username": "-x", "password": PASSWORD});
    let said = server.client().post("/auth/register", body).expect(422);
    assert_eq!(said.json()["detail"][0]["loc"], json!(["body", "username"]));
}

#[test]
fn fifty_claim_at_once_and_one_gets_the_server() {
    let server = ServerBuilder::accounts().start();
    let statuses = at_once(50, |i| {
        let body = json!({"username": format!("admin{i}"), "password": PASSWORD});
        server.client().post("/auth/setup", body).status
    });
    assert_eq!(
        statuses.iter().filter(|s| **s == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|s| [200, 409, 429, 503].contains(s)),
        "{statuses:?}"
    );
}

#[test]
fn a_password_signs_in_and_nothing_else_does() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let login = |username: &str, password: &str| {
        server.client().post(
            "/auth/login",
            json!({"username": username, "password": password}),
        )
    };
    let good = login(" ADMIN ", PASSWORD).expect(200).json();
    assert_eq!(good["user"]["id"], "admin");
    for (username, password) in [
        ("admin", "wrong-password"),
        ("admin", &PASSWORD.to_uppercase()),
        ("admin", &format!("{PASSWORD} ")),
        ("admin", &PASSWORD[..PASSWORD.len() - 1]),
        ("nobody", PASSWORD),
        ("local", PASSWORD),
        ("__public__", PASSWORD),
        ("admi\u{212A}", PASSWORD),
        ("../admin", PASSWORD),
    ] {
        let asked = Instant::now();
        let answer = login(username, password).expect(401);
        assert!(asked.elapsed() >= Duration::from_millis(500), "{username}");
        assert_eq!(
            answer.json(),
            json!({"error": "invalid username or password"}),
            "{username}"
        );
        assert!(answer.header("set-cookie").is_none());
    }
}

#[test]
fn shapes_are_told_in_full_and_values_never_repeated() {
    let server = ServerBuilder::accounts().start();
    let loc = |body: Value| -> HashSet<String> {
        let answer = server.client().post("/auth/login", body).expect(422);
        assert!(!answer.text.contains("hunter2-secret"), "{}", answer.text);
        let said = answer.json();
        let faults = said["detail"].as_array().cloned().unwrap_or_default();
        faults
            .iter()
            .map(|fault| format!("{} {}", fault["type"], fault["loc"]))
            .collect()
    };
    let both = loc(json!({}));
    assert_eq!(
        both,
        HashSet::from(
            [
                r#""missing" ["body","username"]"#,
                r#""missing" ["body","password"]"#
            ]
            .map(String::from)
        )
    );
    loc(json!({"username": 1, "password": ["hunter2-secret"]}));
    loc(json!({"username": "", "password": "hunter2-secret"}));
    loc(json!({"username": "a".repeat(129), "password": "hunter2-secret"}));
    loc(json!({"username": "admin", "password": "hunter2-secret".repeat(100)}));
    loc(json!(["hunter2-secret"]));
    for body in [
        "",
        "{",
        "null",
        "\"x\"",
        "{\"username\":\"a\",\"username\":\"b\",\"password\":\"c\"}",
        "\u{feff}{}",
    ] {
        server
            .client()
            .send("POST", "/auth/login", Some("application/json"), body)
            .expect(422);
    }
    server
        .client()
        .send("POST", "/auth/login", Some("text/plain"), "{}")
        .expect(422);
    let nested = "[".repeat(10_000) + &"]".repeat(10_000);
    server
        .client()
        .send("POST", "/auth/login", Some("application/json"), &nested)
        .expect(422);
    server
        .client()
        .send(
            "POST",
            "/auth/login",
            Some("application/json"),
            r#"{"username":"\ud800","password":"x"}"#,
        )
        .expect(422);
}

#[test]
fn an_invite_admits_one_person() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    assert_eq!(invite["is_admin"], false);
    let token = invite["token"].as_str().unwrap_or_default();
    let url = invite["register_url"].as_str().unwrap_or_default();
    assert!(url.ends_with(&format!("/register?invite={token}")), "{url}");
    let register = |name: &str, invite: &str| {
        server.client().post(
            "/auth/register",
            json!({"invite": invite, "username": name, "password": PASSWORD}),
        )
    };
    let refused = register("admin", "no-such-invite").expect(400);
    assert_eq!(
        refused.json(),
        json!({"error": "invite invalid or expired"}),
        "names do not leak"
    );
    assert_eq!(
        register("Local", token).expect(400).json(),
        json!({"error": "username 'local' is reserved"})
    );
    assert_eq!(
        register("admin", token).expect(409).json(),
        json!({"error": "username already taken"})
    );
    register("a/b", token).expect(422);
    let weak = json!({"invite": token, "username": "bob", "password": "password1"});
    server.client().post("/auth/register", weak).expect(400);
    let joined = register("bob", token).expect(200).json();
    assert_eq!(joined["user"], json!({"id": "bob", "is_admin": false}));
    assert_eq!(
        register("carol", token).expect(400).json(),
        json!({"error": "invite invalid or expired"})
    );
}

#[test]
fn fifty_redeem_one_invite_and_one_gets_in() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let invite = admin
        .post("/auth/invite", json!({"is_admin": true}))
        .expect(200)
        .json()["token"]
        .clone();
    let statuses = at_once(50, |i| {
        let body = json!({"invite": invite, "username": format!("user{i}"), "password": PASSWORD});
        server.client().post("/auth/register", body).status
    });
    assert_eq!(
        statuses.iter().filter(|s| **s == 200).count(),
        1,
        "{statuses:?}"
    );
    let people = admin.get("/auth/users").expect(200).json();
    assert_eq!(
        people["users"].as_array().map(Vec::len),
        Some(2),
        "no half of an account is left"
    );
}

#[test]
fn only_admins_invite_and_see_people() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    for answer in [
        bob.post("/auth/invite", json!({})),
        bob.get("/auth/users"),
        bob.delete("/auth/users/admin"),
        bob.post("/auth/users/admin/reset", json!({})),
        bob.patch("/auth/users/bob", json!({"is_admin": true})),
    ] {
        assert_eq!(answer.expect(403).json(), json!({"error": "admin only"}));
    }
    for path in ["/auth/me", "/auth/users"] {
        let answer = server.client().get(path).expect(401);
        assert_eq!(answer.json(), json!({"error": "not authenticated"}));
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|said| said.starts_with("Bearer"))
        );
    }
}

#[test]
fn people_are_listed_page_by_page() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "carol");
    server.join(&admin, "bob");
    let ids = |path: &str| -> Vec<String> {
        let said = admin.get(path).expect(200).json();
        let rows = said["users"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(ids("/auth/users"), ["admin", "bob", "carol"]);
    assert_eq!(ids("/auth/users?limit=1"), ["admin"]);
    assert_eq!(ids("/auth/users?limit=2&after=admin"), ["bob", "carol"]);
    let row = admin.get("/auth/users?limit=1").json()["users"][0].clone();
    assert_eq!(row["has_password"], true);
    assert_eq!(row["is_admin"], true);
    assert!(row["created_at"].is_u64() && row["last_login_at"].is_u64());
    admin.get("/auth/users?limit=0").expect(422);
    admin.get("/auth/users?limit=x").expect(422);
}

#[test]
fn a_deleted_account_takes_everything_with_it_and_leaves_nothing_to_its_successor() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let agent = bob.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    let session = bob
        .post("/v1/sessions", json!({"agent_id": agent}))
        .expect(201)
        .json()["id"]
        .clone();
    admin.delete("/auth/users/bob").expect(204);
    bob.get("/auth/me").expect(401);
    bob.get("/v1/sessions").expect(401);
    admin.delete("/auth/users/bob").expect(404);
    let successor = server.join(&admin, "bob");
    bob.get("/auth/me").expect(401);
    let path = format!("/v1/sessions/{}", session.as_str().unwrap_or_default());
    successor.get(&path).expect(404);
}

#[test]
fn the_last_admin_and_oneself_are_not_deleted() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    assert_eq!(
        admin.delete("/auth/users/admin").expect(400).json(),
        json!({"error": "cannot delete self"})
    );
    admin
        .patch("/auth/users/admin", json!({"is_admin": false}))
        .expect(400);
    admin
        .patch("/auth/users/admin", json!({"disabled": true}))
        .expect(400);
    let statuses = {
        server.join(&admin, "second");
        admin
            .patch("/auth/users/second", json!({"is_admin": true}))
            .expect(200);
        let second = server.login("second", PASSWORD);
        at_once(2, |i| {
            let (who, whom) = if i == 0 {
                (&admin, "second")
            } else {
                (&second, "admin")
            };
            who.delete(&format!("/auth/users/{whom}")).status
        })
    };
    assert_eq!(
        statuses.iter().filter(|s| **s == 204).count(),
        1,
        "{statuses:?}"
    );
}

#[test]
fn a_disabled_account_is_refused_like_an_unknown_one_and_comes_back() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    admin
        .patch("/auth/users/bob", json!({"disabled": true}))
        .expect(200);
    bob.get("/v1/me").expect(401);
    let login = || {
        server.client().post(
            "/auth/login",
            json!({"username": "bob", "password": PASSWORD}),
        )
    };
    assert_eq!(
        login().expect(401).json(),
        json!({"error": "invalid username or password"})
    );
    admin
        .patch("/auth/users/bob", json!({"disabled": false}))
        .expect(200);
    login().expect(200);
    bob.get("/v1/me").expect(401);
    admin
        .patch("/auth/users/bob", json!({"is_admin": true, "role": "root"}))
        .expect(422);
}

#[test]
fn passwords_are_changed_by_their_owner_and_reset_by_an_admin() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let other = server.login("bob", PASSWORD);
    let change = |old: &str, new: &str| {
        bob.post(
            "/auth/users/me/password",
            json!({"old_password": old, "new_password": new}),
        )
    };
    let wrong = change("not-the-old-one", "Glacier-piano-42");
    assert_eq!(
        wrong.expect(401).json(),
        json!({"error": "old password incorrect"})
    );
    change(PASSWORD, "short").expect(422);
    change(PASSWORD, "iloveyou1").expect(400);
    change(PASSWORD, "Glacier-piano-42").expect(204);
    bob.get("/auth/me").expect(200);
    other.get("/auth/me").expect(401);
    server
        .client()
        .post(
            "/auth/login",
            json!({"username": "bob", "password": PASSWORD}),
        )
        .expect(401);
    let again = server.login("bob", "Glacier-piano-42");

    let reset = admin
        .post("/auth/users/bob/reset", json!({}))
        .expect(200)
        .json();
    assert_eq!(reset["id"], "bob");
    again.get("/auth/me").expect(401);
    bob.get("/auth/me").expect(401);
    server.login("bob", reset["new_password"].as_str().unwrap_or_default());
    admin
        .post("/auth/users/nobody/reset", json!({}))
        .expect(404);
}

#[test]
fn a_magic_link_signs_in_once() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.client().post("/auth/magic", json!({})).expect(401);
    let link = admin.post("/auth/magic", json!({})).expect(200).json();
    let url = link["redeem_url"].as_str().unwrap_or_default();
    let path = url.strip_prefix(&server.url).unwrap_or(url);
    let redeemed = at_once(50, |_| {
        let answer = server.client().get(path).expect(302);
        (
            answer.header("location").map(str::to_owned),
            answer.header("set-cookie").is_some(),
        )
    });
    let home = (Some("/".to_owned()), true);
    let refused = (Some("/login?magic=expired".to_owned()), false);
    assert_eq!(redeemed.iter().filter(|r| **r == home).count(), 1);
    assert_eq!(redeemed.iter().filter(|r| **r == refused).count(), 49);
    let missing = server.client().get("/auth/magic/redeem").expect(302);
    assert_eq!(missing.header("location"), Some("/login?magic=missing"));
}

#[test]
fn guessing_is_slowed_down_and_the_owner_gets_in_from_elsewhere() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let guess = |i: usize| {
        let name = ["admin", "ADMIN", " admin", "Admin\t"][i % 4];
        server.client().post(
            "/auth/login",
            json!({"username": name, "password": format!("guess-{i}")}),
        )
    };
    let answers: Vec<_> = (0..40).map(guess).collect();
    let held_up = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("a throttle");
    assert!(
        held_up
            .header("retry-after")
            .is_some_and(|s| s.parse::<u64>().is_ok_and(|s| s > 0))
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 401).count(),
        10
    );
    let forged = server.client().with("x-forwarded-for", "198.51.100.7");
    forged
        .post(
            "/auth/login",
            json!({"username": "admin", "password": PASSWORD}),
        )
        .expect(429);
}

/// Runs `act` on so many threads at once.
fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| {
                let (act, barrier) = (&act, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    act(i)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}
