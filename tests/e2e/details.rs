//! The contract to the letter, where an examiner found that the server had its own idea of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use omnigent_tests::{Answer, PASSWORD, Server, ServerBuilder};
use serde_json::json;

/// Sends raw bytes; the status of the answer and all of it.
fn raw(server: &Server, request: &str) -> (u16, String) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let timeout = Some(Duration::from_secs(5));
    stream.set_read_timeout(timeout).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = said.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), said)
}

#[track_caller]
fn faults(answer: Answer) -> Vec<(String, String)> {
    let faults = answer.expect(422).json()["detail"]
        .as_array()
        .expect("a list")
        .clone();
    let text = |fault: &serde_json::Value| (fault["type"].to_string(), fault["loc"].to_string());
    faults.iter().map(text).collect()
}

#[test]
fn there_is_no_single_agent_and_none_is_made() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let id = "0123456789abcdef0123456789abcdef";
    let answer = admin.get(&format!("/v1/agents/{id}")).expect(404);
    assert_eq!(answer.json()["error"]["code"], "not_found");
    for path in ["/v1/agents".to_owned(), format!("/v1/agents/{id}")] {
        let answer = admin.post(&path, json!({})).expect(405);
        assert_eq!(answer.header("allow"), Some("GET"), "{path}");
    }
}

#[test]
fn a_page_before_a_cursor_is_the_nearest_of_agents_too() {
    let more = "[[agent]]\nname = \"a\"\n[[agent]]\nname = \"b\"\n";
    let server = ServerBuilder::accounts().also(more).start();
    let admin = server.claim();
    let ids = |query: &str| -> Vec<String> {
        let page = admin.get(&format!("/v1/agents?{query}")).expect(200).json();
        let rows = page["data"].as_array().expect("rows").clone();
        let id = |row: &serde_json::Value| row["id"].as_str().expect("an id").to_owned();
        rows.iter().map(id).collect()
    };
    let all = ids("limit=10");
    assert_eq!(ids(&format!("limit=1&before={}", all[2])), [all[1].clone()]);
    assert_eq!(ids(&format!("before={}", all[2])), all[..2]);
}

#[test]
fn prefixes_of_ids_may_be_in_upper_case_like_the_rest() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let agents = admin.get("/v1/agents").expect(200).json();
    let agent = agents["first_id"].as_str().expect("an agent");
    let body = json!({"agent_id": format!("AG_{}", agent.to_uppercase())});
    let session = admin.post("/v1/sessions", body).expect(201).json();
    let id = session["id"].as_str().expect("an id").to_uppercase();
    admin.get(&format!("/v1/sessions/CONV_{id}")).expect(200);
}

#[test]
fn a_registration_without_its_invite_is_a_fault_of_shape() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let body = json!({"username": "bob", "password": PASSWORD});
    let missing = faults(server.client().post("/auth/register", body.clone()));
    assert_eq!(
        missing,
        [(r#""missing""#.into(), r#"["body","invite"]"#.into())]
    );
    let open = "[accounts]\nregistration = \"open\"\n";
    let server = ServerBuilder::accounts().also(open).start();
    server.claim();
    server.client().post("/auth/register", body).expect(200);
}

#[test]
fn a_body_that_is_no_object_has_one_fault() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let path = "/v1/sessions/0123456789abcdef0123456789abcdef/permissions";
    assert_eq!(faults(admin.put(path, json!([]))).len(), 1);
}

#[test]
fn a_token_reaches_no_further_than_who_makes_it() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let alice = server.join(&admin, "alice");
    for scope in ["admin", "sessions admin"] {
        let body = json!({"name": "x", "scope": scope});
        alice.post("/auth/tokens", body.clone()).expect(403);
        admin.post("/auth/tokens", body).expect(201);
    }
}

#[test]
fn a_parameter_given_twice_is_no_oauth_request() {
    let server = ServerBuilder::accounts().start();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "a"),
        ("refresh_token", "b"),
    ];
    let answer = server.client().form("/oauth/token", &fields).expect(400);
    assert_eq!(answer.json(), json!({"error": "invalid_request"}));
}

#[test]
fn a_page_of_people_may_follow_a_long_address() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let after = |length: usize| admin.get(&format!("/auth/users?after={}", "b".repeat(length)));
    after(254).expect(200);
    after(255).expect(422);
}

#[test]
fn a_person_is_found_by_an_address_as_browsers_write_it() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "ann@example.com");
    let path = "/auth/users/ann%40example.com";
    admin.patch(path, json!({"disabled": true})).expect(200);
    admin.delete(path).expect(204);
    for path in [
        "/auth/users/ann%2540example.com",
        "/auth/users/a%2fb",
        "/auth/users/a%00",
        "/auth%40/me",
        "/auth/%75sers",
    ] {
        let answer = admin.get(path).expect(404);
        assert_eq!(answer.json(), json!({"detail": "Not Found"}), "{path}");
    }
}

#[test]
fn a_host_that_is_none_and_one_that_is_another_are_refused() {
    let server = ServerBuilder::no_auth().start();
    let host = server.url.trim_start_matches("http://").to_owned();
    for bad in [
        "a b", "a/b", "a,b", "me@a", "a?b", "a#b", "a\\b", "[::1", "a:b",
    ] {
        let request = format!("GET /v1/info HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(&server, &request).0, 400, "{bad}");
    }
    // RFC 9112 section 3.2.2: the name in the target is the one that counts.
    let request = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    assert_eq!(raw(&server, &request("http://evil.example/v1/me")).0, 400);
    assert_eq!(
        raw(&server, &request(&format!("http://{host}/v1/me"))).0,
        200
    );
}

#[test]
fn a_body_has_at_most_64_kib() {
    let server = ServerBuilder::accounts().start();
    let send = |length: usize| {
        let body = "x".repeat(length);
        let json = Some("application/json");
        server.client().send("POST", "/auth/login", json, &body)
    };
    send(64 * 1024).expect(422);
    send(64 * 1024 + 1).expect(413);
}

#[test]
fn a_header_that_names_nobody_who_could_be_is_400_and_noted() {
    let server = ServerBuilder::no_auth()
        .config(
            "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[auth]\nbackends = [\"proxy\"]\n\
             [backend.proxy]\nplugin = \"header\"\n",
        )
        .start();
    for name in ["a;b", "<a@b.co>", "../etc", ".a", "a@b@c.co", "a@b"] {
        let client = server.client().with("x-forwarded-email", name);
        let answer = client.get("/v1/sessions").expect(400);
        assert_eq!(answer.json()["error"]["code"], "invalid_input", "{name}");
        client.get("/v1/me").expect(400);
    }
    assert!(server.says("an identity was not admitted"));
}

#[test]
fn a_login_lasts_as_long_as_its_backend_says_however_it_begins() {
    let server = ServerBuilder::accounts()
        .replacing(
            "plugin = \"accounts\"",
            "plugin = \"accounts\"\nsession_ttl = \"2h\"",
        )
        .start();
    let body = json!({"username": "admin", "password": PASSWORD});
    let setup = server.client().post("/auth/setup", body.clone());
    let setup = setup.expect(200).json();
    assert_eq!(setup["expires_in"], 7200);
    let admin = server
        .client()
        .bearer(setup["token"].as_str().expect("a token"));
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    let body = json!({"invite": invite["token"], "username": "bob", "password": PASSWORD});
    let joined = server.client().post("/auth/register", body).expect(200);
    assert_eq!(joined.json()["expires_in"], 7200);
    let body = json!({"username": "bob", "password": PASSWORD});
    let login = server.client().post("/auth/login", body).expect(200);
    assert_eq!(login.json()["expires_in"], 7200);
}

#[test]
fn an_account_command_makes_no_data_directory() {
    let server = ServerBuilder::no_auth().start();
    let nowhere = server.dir.path().join("nowhere");
    let place = nowhere.to_str().expect("a path");
    for command in [
        &["account", "list"] as &[_],
        &["account", "disable", "bob"],
        &["account", "reset-link", "bob"],
    ] {
        let (code, _, said) = server.operator_free(&[command, &["--data-dir", place]].concat());
        assert_eq!(code, 1, "{command:?}: {said}");
        assert!(said.contains(place), "{command:?}: {said}");
        assert!(!nowhere.exists(), "{command:?}");
    }
}
