//! The device grant (CONTRACT section 5, RFC 8628, THREATS A4 to A6, T9).

use omnigent_tests::{
    Answer, Client, PASSWORD, Server, ServerBuilder,
    browser::{Browser, Page},
    idp::{Idp, free_port, relying_on},
};
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn claimed() -> Server {
    let server = ServerBuilder::accounts().start();
    server.claim();
    server
}

fn ask(client: &Client, client_id: &str) -> Value {
    let body = json!({"client_id": client_id});
    client
        .post("/oauth/device/authorize", body)
        .expect(200)
        .json()
}

fn poll_with(client: &Client, code: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![("grant_type", GRANT), ("device_code", code)];
    fields.extend(more);
    client.form("/oauth/token", &fields)
}

fn poll(server: &Server, asked: &Value) -> Answer {
    poll_with(&server.client(), text(&asked["device_code"]), &[])
}

#[track_caller]
fn refused(answer: Answer, code: &str) {
    assert_eq!(answer.expect(400).json(), json!({"error": code}));
}

/// Opens the link, signs in on the way: the page that asks for the decision.
fn signed_in(browser: &Browser, url: &str) -> Page {
    let login = browser.open(url);
    assert!(login.text.contains("password"), "{login:?}");
    browser.submit(&login, &[("username", "admin"), ("password", PASSWORD)])
}

fn decide(server: &Server, browser: &Browser, asked: &Value, decision: &str) -> Page {
    let url = format!("{}/oauth/device/{decision}", server.url);
    let fields = [("user_code", text(&asked["user_code"]))];
    browser.step("POST", &url, Some(&fields), "same-origin")
}

/// A device grant that somebody has approved.
fn approved(server: &Server) -> Value {
    let asked = ask(&server.client(), "tv");
    let browser = Browser::new();
    signed_in(&browser, text(&asked["verification_uri_complete"]));
    let page = decide(server, &browser, &asked, "approve");
    assert_eq!(page.status, 200, "{page:?}");
    asked
}

#[test]
fn a_device_acts_for_whoever_approved_it_on_the_page() {
    let server = claimed();
    let answer = server
        .client()
        .form("/oauth/device/authorize", &[("client_id", "tv")])
        .expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let asked = answer.json();
    assert_eq!(
        (&asked["expires_in"], &asked["interval"]),
        (&json!(600), &json!(5))
    );
    let code = text(&asked["user_code"]);
    let alphabet = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    let (left, right) = code.split_once('-').expect("two groups");
    assert!(
        left.len() == 4
            && right.len() == 4
            && (left.to_owned() + right)
                .chars()
                .all(|c| alphabet.contains(c)),
        "{code}"
    );
    let page = format!("{}/oauth/device", server.url);
    assert_eq!(asked["verification_uri"], page.as_str());
    let complete = format!("{page}?user_code={code}");
    assert_eq!(asked["verification_uri_complete"], complete.as_str());
    refused(poll(&server, &asked), "authorization_pending");

    let browser = Browser::new();
    let page = signed_in(&browser, &complete);
    assert_eq!(page.status, 200);
    for named in ["admin", "tv", code, "127.0.0.1", "omnigent-tests/1.0"] {
        assert!(page.text.contains(named), "{named}: {}", page.text);
    }
    let policy = page.headers["content-security-policy"]
        .to_str()
        .unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let done = browser.submit(&page, &[]);
    assert!(
        done.status == 200 && done.text.contains("Connected"),
        "{done:?}"
    );

    let answer = poll(&server, &asked).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    let device = server.client().bearer(text(&tokens["access_token"]));
    device.get("/v1/sessions").expect(200);
    refused(poll(&server, &asked), "invalid_grant");

    let admin = server.login("admin", PASSWORD);
    let claims = admin
        .form(
            "/oauth/introspect",
            &[("token", text(&tokens["access_token"]))],
        )
        .expect(200)
        .json();
    assert_eq!(
        (&claims["scope"], &claims["client_id"], &claims["sub"]),
        (&json!("sessions"), &json!("tv"), &json!("admin"))
    );
}

#[test]
fn a_delegated_token_stays_within_its_scope_also_after_a_refresh() {
    let server = claimed();
    let asked = approved(&server);
    let tokens = poll(&server, &asked).expect(200).json();
    let fields = |token: &str| {
        server.client().form(
            "/oauth/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
    };
    let second = fields(text(&tokens["refresh_token"])).expect(200).json();
    assert_ne!(
        second["refresh_token"], tokens["refresh_token"],
        "it rotates"
    );
    assert_eq!(
        (&second["expires_in"], &second["scope"]),
        (&json!(3600), &json!("sessions"))
    );
    for scope in ["admin", "sessions account"] {
        let answer = server.client().form(
            "/oauth/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", text(&second["refresh_token"])),
                ("scope", scope),
            ],
        );
        refused(answer, "invalid_scope");
    }
    for token in [&tokens["access_token"], &second["access_token"]] {
        let device = server.client().bearer(text(token));
        device.get("/v1/sessions").expect(200);
        device.get("/v1/agents").expect(200);
        for path in [
            "/v1/projects",
            "/auth/me",
            "/auth/users",
            "/auth/tokens",
            "/auth/logins",
        ] {
            device.get(path).expect(401);
        }
        device
            .post("/auth/tokens", json!({"name": "more"}))
            .expect(401);
        device.post("/auth/magic", json!({})).expect(401);
        let other = ask(&server.client(), "another");
        let device = device.with("origin", &server.url);
        let code = [("user_code", text(&other["user_code"]))];
        device.form("/oauth/device/approve", &code).expect(401);
        let page = device.get(&format!("/oauth/device?user_code={}", code[0].1));
        assert!(page.expect(302).header("location").is_some());
    }
}

#[test]
fn revoking_kills_refresh_and_access_tokens_at_once_and_for_good() {
    let server = claimed();
    let tokens = poll(&server, &approved(&server)).expect(200).json();
    let device = server.client().bearer(text(&tokens["access_token"]));
    device.get("/v1/sessions").expect(200);
    server
        .client()
        .form(
            "/oauth/revoke",
            &[("refresh_token", text(&tokens["refresh_token"]))],
        )
        .expect(200);
    device.get("/v1/sessions").expect(401);
    let server = server.kill_and_restart();
    let device = server.client().bearer(text(&tokens["access_token"]));
    device.get("/v1/sessions").expect(401);
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens["refresh_token"])),
    ];
    refused(
        server.client().form("/oauth/token", &fields),
        "invalid_grant",
    );
}

#[test]
fn its_person_sees_it_among_the_logins_and_ends_it() {
    let server = claimed();
    let tokens = poll(&server, &approved(&server)).expect(200).json();
    let admin = server.login("admin", PASSWORD);
    let logins = admin.get("/auth/logins").expect(200).json();
    assert!(
        logins["logins"]
            .as_array()
            .is_some_and(|all| all.len() >= 2)
    );
    let clients: Vec<_> = logins["logins"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|login| login["client_id"].clone())
        .collect();
    assert!(clients.contains(&json!("tv")) && clients.contains(&Value::Null));
    let page = admin.get("/settings/logins").expect(200).text;
    assert!(page.contains("<code>tv</code>"), "{page}");
    admin.delete("/auth/logins").expect(204);
    let device = server.client().bearer(text(&tokens["access_token"]));
    device.get("/v1/sessions").expect(401);
}

#[test]
fn fifty_polls_at_once_and_one_is_answered_also_after_kill_9() {
    let server = claimed();
    let waiting = ask(&server.client(), "tv");
    let asked = approved(&server);
    let server = server.kill_and_restart();
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let polls: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let answer = poll(&server, &asked);
                    (answer.status, answer.json())
                })
            })
            .collect();
        polls
            .into_iter()
            .map(|poll| poll.join().expect("an answer"))
            .collect()
    });
    let won = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(won, 1, "{answers:?}");
    for (status, body) in &answers {
        assert!(
            *status == 200 || *body == json!({"error": "invalid_grant"}),
            "{status} {body}"
        );
    }
    refused(poll(&server, &waiting), "authorization_pending");
    let server = server.kill_and_restart();
    refused(poll(&server, &asked), "invalid_grant");
    let browser = Browser::new();
    let url = format!(
        "{}/oauth/device?user_code={}",
        server.url,
        text(&waiting["user_code"])
    );
    signed_in(&browser, &url);
    assert_eq!(decide(&server, &browser, &waiting, "approve").status, 200);
    poll(&server, &waiting).expect(200);
}

#[test]
fn a_denied_device_gets_nothing() {
    let server = claimed();
    let asked = ask(&server.client(), "tv");
    let browser = Browser::new();
    signed_in(&browser, text(&asked["verification_uri_complete"]));
    let denied = decide(&server, &browser, &asked, "deny");
    assert!(
        denied.status == 200 && denied.text.contains("Denied"),
        "{denied:?}"
    );
    refused(poll(&server, &asked), "access_denied");
    let again = decide(&server, &browser, &asked, "approve");
    assert!(
        again.status == 410 && !again.text.contains("Connected"),
        "{again:?}"
    );
    refused(poll(&server, &asked), "access_denied");
    let page = browser.open(text(&asked["verification_uri_complete"]));
    assert_eq!(page.status, 200);
    assert!(page.text.contains("This link is invalid or has expired."));
}

#[test]
fn polls_are_refused_by_name() {
    let server = claimed();
    let asked = ask(&server.client(), "tv");
    let code = text(&asked["device_code"]);
    let client = server.client();
    refused(poll(&server, &asked), "authorization_pending");
    refused(poll(&server, &asked), "slow_down");
    refused(poll_with(&client, "", &[]), "invalid_request");
    refused(
        client.form("/oauth/token", &[("grant_type", GRANT)]),
        "invalid_request",
    );
    let long = "A".repeat(5000);
    for unknown in ["x", text(&asked["user_code"]), &long, "\u{1F600}"] {
        refused(poll_with(&client, unknown, &[]), "invalid_grant");
    }
    let other = poll_with(&client, code, &[("client_id", "fridge")]);
    refused(other, "invalid_grant");
}

#[test]
fn what_asks_has_a_name_that_is_its_own() {
    let server = claimed();
    let client = server.client();
    let said = |body: Value| client.post("/oauth/device/authorize", body);
    for name in ["omnigent-cli", "OMNIGENT-CLI", "t\u{202e}v", "a\nb", " tv"] {
        refused(said(json!({"client_id": name})), "invalid_request");
    }
    for body in [
        json!({"client_id": 5}),
        json!({"client_id": "a".repeat(65)}),
        json!([]),
        json!(null),
    ] {
        said(body).expect(422);
    }
    let path = "/oauth/device/authorize";
    client
        .send("POST", path, Some("text/plain"), "x")
        .expect(415);
    client
        .with("origin", "https://evil.example")
        .post(path, json!({}))
        .expect(403);
    said(json!({})).expect(200);
    client.send("POST", path, None, "").expect(200);
}

#[test]
fn a_flood_of_requests_stops_at_its_address_and_evicts_nobody() {
    let server = claimed();
    let first = ask(&server.client(), "tv");
    let more = || {
        server
            .client()
            .post("/oauth/device/authorize", json!({"client_id": "tv"}))
    };
    for _ in 1..10 {
        more().expect(200);
    }
    for _ in 0..20 {
        let answer = more().expect(429);
        assert_eq!(answer.json(), json!({"error": "slow_down"}));
        assert!(answer.header("retry-after").is_some());
    }
    let server = server.kill_and_restart();
    server
        .client()
        .post("/oauth/device/authorize", json!({}))
        .expect(429);
    refused(poll(&server, &first), "authorization_pending");
}

#[test]
fn a_client_without_the_operators_secret_gets_nothing() {
    let server = ServerBuilder::accounts()
        .also("[device]\nclient_secret = \"correct-horse-battery\"")
        .start();
    server.claim();
    let known = server
        .client()
        .with("x-omnigent-client-secret", "correct-horse-battery");
    let asked = ask(&known, "tv");
    let code = text(&asked["device_code"]);
    let wrong = server.client().with("x-omnigent-client-secret", "wrong");
    for client in [server.client(), wrong] {
        let answer = client.post("/oauth/device/authorize", json!({}));
        assert_eq!(
            answer.expect(401).json(),
            json!({"error": "invalid_client"})
        );
        let answer = poll_with(&client, code, &[]);
        assert_eq!(
            answer.expect(401).json(),
            json!({"error": "invalid_client"})
        );
    }
    refused(poll_with(&known, code, &[]), "authorization_pending");
}

#[test]
fn nobody_but_a_person_on_our_page_decides() {
    let server = claimed();
    let asked = ask(&server.client(), "tv");
    let code = text(&asked["user_code"]);
    let fields = [("user_code", code)];
    let login = server.client().post(
        "/auth/login",
        json!({"username": "admin", "password": PASSWORD}),
    );
    let cookie = login.expect(200);
    let cookie = cookie.header("set-cookie").unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let bare = server.client().with("cookie", &cookie);
    let own = |client: &Client| client.with("origin", &server.url);
    let api = server.login("admin", PASSWORD).post(
        "/auth/tokens",
        json!({"name": "ci", "scope": "sessions account admin"}),
    );
    let api = server
        .client()
        .bearer(text(&api.expect(201).json()["token"]));
    for path in ["/oauth/device/approve", "/oauth/device/deny"] {
        let answer = bare.form(path, &fields).expect(403);
        assert_eq!(answer.json(), json!({"detail": "missing Origin"}));
        let same_site = bare.with("sec-fetch-site", "same-origin");
        let answer = same_site.form(path, &fields).expect(403);
        assert_eq!(answer.json(), json!({"detail": "missing Origin"}));
        for origin in ["https://evil.example", "null", ""] {
            bare.with("origin", origin).form(path, &fields).expect(403);
        }
        let answer = own(&server.client()).form(path, &fields).expect(401);
        assert_eq!(answer.json(), json!({"error": "unauthorized"}));
        own(&server.client().with("cookie", "ap_session=bad"))
            .form(path, &fields)
            .expect(401);
        let answer = own(&api).form(path, &fields);
        assert!([401, 403].contains(&answer.status), "{answer:?}");
        own(&bare)
            .send("POST", path, Some("text/plain"), code)
            .expect(415);
        let answer = own(&bare).get(&format!("{path}?user_code={code}"));
        answer.expect(405);
    }
    refused(poll(&server, &asked), "authorization_pending");
}

#[test]
fn a_login_older_than_the_request_is_not_enough() {
    let server = claimed();
    let browser = Browser::new();
    let first = ask(&server.client(), "tv");
    signed_in(&browser, text(&first["verification_uri_complete"]));
    let asked = ask(&server.client(), "tv");
    let url = text(&asked["verification_uri_complete"]);
    let sent = browser.step("GET", url, None, "none");
    let to = sent.headers["location"].to_str().unwrap_or_default();
    assert!(
        sent.status == 302 && to.starts_with("/login?return_to=") && to.ends_with("&reauth=1"),
        "{to}"
    );
    let stale = decide(&server, &browser, &asked, "approve");
    assert_eq!(stale.status, 302, "{stale:?}");
    refused(poll(&server, &asked), "authorization_pending");
    let login = browser.open(url);
    assert!(login.text.contains("Sign in once more"), "{}", login.text);
    let page = browser.submit(&login, &[("username", "admin"), ("password", PASSWORD)]);
    assert!(page.text.contains(text(&asked["user_code"])), "{page:?}");
    assert_eq!(decide(&server, &browser, &asked, "approve").status, 200);
    poll(&server, &asked).expect(200);
}

#[test]
fn a_stranger_is_sent_to_sign_in_and_learns_nothing_of_codes() {
    let server = claimed();
    let asked = ask(&server.client(), "tv");
    let to = |code: &str| {
        let answer = server
            .client()
            .get(&format!("/oauth/device?user_code={code}"))
            .expect(302);
        answer.header("location").unwrap_or_default().to_owned()
    };
    let (right, wrong) = (to(text(&asked["user_code"])), to("AAAA-AAAA"));
    assert_eq!(right.replace(text(&asked["user_code"]), "AAAA-AAAA"), wrong);
    assert_eq!(
        wrong, "/login?return_to=/oauth/device?user_code=AAAA-AAAA",
        "to the letter of CONTRACT section 5"
    );
    let hostile = to("%22%3E%3Cscript%3E%0d%0aset-cookie:x");
    assert_eq!(hostile, "/login?return_to=/oauth/device");
    let answer = server.client().get("/oauth/device").expect(302);
    let location = answer.header("location");
    assert_eq!(location, Some("/login?return_to=/oauth/device"));
}

#[test]
fn codes_are_typed_in_any_way_but_not_guessed() {
    let server = claimed();
    let browser = Browser::new();
    let page = format!("{}/oauth/device", server.url);
    let asked = ask(&server.client(), "tv");
    let form = signed_in(&browser, &page);
    let typed = text(&asked["user_code"]).to_lowercase().replace('-', " ");
    let found = browser.submit(&form, &[("user_code", &typed)]);
    assert!(found.text.contains("Approve"), "{found:?}");
    let guess = |i: usize| {
        let code = format!("{page}?user_code=ABCD-{:04}", 2222 + i);
        let guessed = browser.step("GET", &code, None, "none");
        // One's own code in between buys no guesses.
        let own = text(&asked["verification_uri_complete"]);
        browser.step("GET", own, None, "none");
        guessed.status
    };
    let statuses: Vec<_> = (0..60).map(guess).collect();
    assert_eq!(statuses[0], 200);
    assert!(statuses[10..].iter().all(|s| *s == 429), "{statuses:?}");
    let held = decide(&server, &browser, &asked, "approve");
    assert_eq!(held.status, 429, "also on the way round the page");
    // Somebody who has guessed nothing is not held up.
    let bob = server.join(&server.login("admin", PASSWORD), "bob");
    let bob = bob.with("origin", &server.url);
    let fields = [("user_code", text(&asked["user_code"]))];
    bob.form("/oauth/device/deny", &fields).expect(200);
}

#[test]
fn where_nobody_signs_in_on_a_page_there_is_no_device_grant() {
    let server = ServerBuilder::no_auth().start();
    let client = server.client().with("origin", &server.url);
    client
        .post("/oauth/device/authorize", json!({}))
        .expect(404);
    client.get("/oauth/device").expect(404);
    let fields = [("user_code", "ABCD-2345")];
    for path in ["/oauth/device/approve", "/oauth/device/deny"] {
        client.form(path, &fields).expect(404);
    }
    refused(poll_with(&client, "x", &[]), "unsupported_grant_type");
    let metadata = client
        .get("/.well-known/oauth-authorization-server")
        .expect(200)
        .json();
    assert!(metadata.get("device_authorization_endpoint").is_none());
}

#[test]
fn the_metadata_says_where_things_are() {
    let server = claimed();
    let said = server
        .client()
        .get("/.well-known/oauth-authorization-server")
        .expect(200)
        .json();
    for (member, path) in [
        ("device_authorization_endpoint", "/oauth/device/authorize"),
        ("token_endpoint", "/oauth/token"),
        ("revocation_endpoint", "/oauth/revoke"),
        ("introspection_endpoint", "/oauth/introspect"),
    ] {
        assert_eq!(said[member], format!("{}{path}", server.url), "{member}");
    }
    assert_eq!(said["issuer"], server.url.as_str());
    // Its key is a secret: there is nothing public to verify with.
    assert!(said.get("jwks_uri").is_none());
    assert_eq!(
        said["grant_types_supported"],
        json!(["refresh_token", GRANT])
    );
}

#[test]
fn with_a_proxy_alone_there_is_no_page_to_decide_on() {
    let config = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[auth]\nbackends = [\"proxy\"]\n\
                  [backend.proxy]\nplugin = \"header\"\n";
    let server = ServerBuilder::no_auth().config(config).start();
    let client = server.client().with("origin", &server.url);
    let ada = client.with("x-forwarded-email", "ada@example.com");
    for client in [&client, &ada] {
        let answer = client.post("/oauth/device/authorize", json!({}));
        assert_eq!(answer.expect(404).json(), json!({"detail": "Not Found"}));
        client.get("/oauth/device").expect(404);
        refused(poll_with(client, "x", &[]), "unsupported_grant_type");
    }
    let fields = [("user_code", "ABCD-2345")];
    ada.form("/oauth/device/approve", &fields).expect(404);
    ada.form("/oauth/device", &fields).expect(404);
}

#[test]
fn people_of_an_identity_provider_approve_devices_too() {
    let port = free_port();
    let people = json!({"ada": {"email": "ada@example.com", "email_verified": true}});
    let idp = Idp::start(&format!("http://127.0.0.1:{port}"), people);
    let server = relying_on(&idp.issuer, port, "", "").start();
    let asked = ask(&server.client(), "tv");
    let url = text(&asked["verification_uri_complete"]);
    let browser = Browser::new();
    let login = browser.open(url);
    assert!(login.url.starts_with(&idp.issuer), "{login:?}");
    let page = browser.submit(&login, &[("login", "ada")]);
    assert!(page.text.contains("ada@example.com"), "{page:?}");
    let done = browser.submit(&page, &[]);
    assert!(done.text.contains("Connected"), "{done:?}");
    let tokens = poll(&server, &asked).expect(200).json();
    let device = server.client().bearer(text(&tokens["access_token"]));
    device.get("/v1/sessions").expect(200);

    // Older than the next request: the provider is asked to see them anew, not to remember them.
    let next = ask(&server.client(), "tv");
    let url = text(&next["verification_uri_complete"]);
    let sent = browser.step("GET", url, None, "none");
    let to = sent.headers["location"].to_str().unwrap_or_default();
    assert!(to.ends_with("&reauth=1"), "{to}");
    let away = browser.step("GET", &format!("{}{to}", server.url), None, "none");
    let to = away.headers["location"].to_str().unwrap_or_default();
    assert!(
        to.starts_with(&idp.issuer) && to.contains("prompt=login") && to.contains("max_age=0"),
        "{to}"
    );

    // Whoever is gone at the provider refreshes no more.
    idp.remove("ada");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens["refresh_token"])),
    ];
    let refreshed = server.client().form("/oauth/token", &fields);
    assert!([200, 400].contains(&refreshed.status), "{refreshed:?}");
}
