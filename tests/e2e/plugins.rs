//! People sign in through a plugin that was built elsewhere, and the server outlives a bad one.

use std::{io::Write, net::TcpStream};

use omnigent_tests::{PASSWORD, Server, ServerBuilder, workshop};
use serde_json::json;

/// A backend `name` of the fixture `plugin`, with its own keys.
fn backend(name: &str, plugin: &str, keys: &str) -> String {
    let file = workshop::built().join(format!("libomnigent_auth_{plugin}.so"));
    format!("[backend.{name}]\nplugin = {plugin:?}\npath = {file:?}\n{keys}\n")
}

fn with(backends: &[(&str, &str, &str)]) -> ServerBuilder {
    let names: Vec<_> = backends.iter().map(|(name, ..)| *name).collect();
    let tables: String = backends
        .iter()
        .map(|(name, plugin, keys)| backend(name, plugin, keys))
        .collect();
    ServerBuilder::no_auth().config(&format!("[auth]\nbackends = {names:?}\n{tables}"))
}

const ALICE: &str = "people = { alice = \"from-outside-77\" }";

fn sign_in(server: &Server, password: &str) -> u16 {
    let body = json!({"username": "alice", "password": password});
    server.client().post("/auth/login", body).status
}

#[test]
fn a_plugin_built_elsewhere_signs_people_in() {
    let server = with(&[("theirs", "outside", ALICE)]).start();
    let alice = server.login("alice", "from-outside-77");
    assert_eq!(alice.get("/v1/me").expect(200).json()["user_id"], "alice");
    assert_eq!(sign_in(&server, "wrong"), 401);
    let server = server.kill_and_restart();
    server
        .login("alice", "from-outside-77")
        .get("/v1/me")
        .expect(200);
}

#[test]
fn swapping_the_backend_in_the_configuration_is_all_it_takes() {
    let accounts = "[auth]\nbackends = [\"local\"]\n[backend.local]\nplugin = \"accounts\"";
    let first = ServerBuilder::no_auth().config(accounts).start();
    let admin = first.claim();
    admin.get("/v1/me").expect(200);
    let dir = std::sync::Arc::clone(&first.dir);
    let (status, _) = first.stop();
    assert!(status.success());
    let second = with(&[("theirs", "outside", ALICE)]).on(&dir).start();
    second
        .login("alice", "from-outside-77")
        .get("/v1/me")
        .expect(200);
    let body = json!({"username": "admin", "password": PASSWORD});
    second.client().post("/auth/login", body).expect(401);
}

#[test]
fn a_backend_that_misbehaves_costs_only_its_own_logins() {
    for how in ["panic", "hang", "block"] {
        let bad =
            format!("entry = \"begin\"\nhow = {how:?}\ntimeout = \"500ms\"\nrequired = false");
        let server = with(&[("theirs", "outside", ALICE), ("bad", "misbehaving", &bad)]).start();
        server
            .login("alice", "from-outside-77")
            .get("/v1/me")
            .expect(200);
        for _ in 0..3 {
            let begin = json!({"backend": "bad"});
            server
                .client()
                .post("/auth/conversations", begin)
                .expect(503);
            server
                .login("alice", "from-outside-77")
                .get("/v1/me")
                .expect(200);
        }
        let (status, _) = server.stop();
        assert!(status.success(), "{how}: {status}");
    }
}

#[test]
fn a_backend_that_never_says_who_a_request_is_from_costs_nobody_else_an_answer() {
    let bad = "entry = \"identify\"\nhow = \"block\"\ntimeout = \"500ms\"";
    let bad = backend("bad", "misbehaving", bad);
    let server = ServerBuilder::no_auth().config(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nshutdown_timeout = \"1s\"\n[auth]\nbackends = [\"proxy\", \"bad\"]\n\
         [backend.proxy]\nplugin = \"header\"\n{bad}"
    ));
    let server = server.start();
    let address = server.url.trim_start_matches("http://");
    let mut asked = TcpStream::connect(address).unwrap();
    let bob = server.client().with("x-forwarded-email", "bob@example.com");
    bob.get("/v1/me").expect(200);
    let ask = format!("GET /v1/me HTTP/1.1\r\nhost: {address}\r\n\r\n");
    asked.write_all(ask.as_bytes()).unwrap();
    // Nothing else goes on meanwhile that would wake another worker.
    assert!(server.says("identify does not return"));
    for _ in 0..20 {
        bob.get("/v1/me").expect(200);
        server.client().get("/v1/me").expect(503);
    }
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_stops_the_start_with_one_line_that_says_why() {
    let Err(log) = with(&[("bad", "mute", "")]).try_start() else {
        panic!("it started");
    };
    assert!(
        log.contains("bad") && log.contains("its manifest is unreadable"),
        "{log}"
    );
    assert!(log.len() < 2000, "{log}");
}

#[test]
fn a_plugin_that_is_not_required_may_be_missing() {
    let bad = ("bad", "mute", "required = false");
    let server = with(&[("theirs", "outside", ALICE), bad]).start();
    server
        .login("alice", "from-outside-77")
        .get("/v1/me")
        .expect(200);
    assert!(server.log().contains("its manifest is unreadable"));
}
