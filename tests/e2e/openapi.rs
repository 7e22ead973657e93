//! The API document: complete, served, and true (tested by a real schemathesis).

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use omnigent_server::http::{Access, routes};
use omnigent_tests::{PASSWORD, Server, ServerBuilder, repository};
use serde_json::{Value, json};

fn document(server: &Server) -> Value {
    let answer = server.client().get("/openapi.json").expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/vnd.oai.openapi+json;version=3.1")
    );
    answer.json()
}

#[test]
fn the_document_has_every_route_and_nothing_else() {
    let document = document(&ServerBuilder::no_auth().start());
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    let said: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("a path item").keys();
            methods.map(|method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let there: BTreeSet<(String, String)> = routes()
        .iter()
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(said, there);
}

#[test]
fn every_operation_says_who_may_and_what_comes_back() {
    let document = document(&ServerBuilder::no_auth().start());
    for route in routes() {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = &document["paths"][route.path][method.as_str()];
        let place = format!("{method} {}", route.path);
        for member in ["operationId", "summary", "tags"] {
            assert!(!operation[member].is_null(), "{place}: {member}");
        }
        let security = operation["security"].as_array().expect("security");
        let is_open = security.is_empty() || security.contains(&json!({}));
        let is_public = matches!(route.access, Access::Public | Access::Optional);
        assert_eq!(is_open, is_public, "{place}");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.contains_key("503"), "{place}");
        assert!(
            responses.contains_key("401") || route.access == Access::Public,
            "{place}"
        );
        let names = route
            .path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .count();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path = parameters.filter(|parameter| parameter["in"] == "path");
        assert_eq!(in_path.count(), names, "{place}");
    }
}

/// Schemathesis, as `scripts/test` installs it.
fn schemathesis() -> PathBuf {
    let program = repository().join("tests/peers/schemathesis/venv/bin/schemathesis");
    assert!(
        program.exists(),
        "{} is missing: scripts/test installs it",
        program.display()
    );
    program
}

/// What takes away the token that all the rest is done with: attacked by itself.
const FATAL: [&str; 14] = [
    "logout",
    "logout_page",
    "revoke",
    "end_login",
    "end_persons_login",
    "end_persons_logins",
    "reset_password",
    "change_person",
    "logout_by_page",
    "end_login_by_page",
    "reset_by_page",
    "change_person_by_page",
    "end_persons_login_by_page",
    "end_persons_logins_by_page",
];

/// Attacks the server by its own document.
fn attack(server: &Server, more: &[&str]) {
    let output = Command::new(schemathesis())
        .arg("--config-file")
        .arg(repository().join("tests/peers/schemathesis/schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/openapi.json", server.url))
        .args(more)
        .current_dir(server.dir.path())
        .env("NO_COLOR", "1")
        .output()
        .expect("schemathesis runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A claimed server that lets one address send what it likes, so that all of it is tried.
fn patient() -> Server {
    let throttle = "[throttle]\nbegun_per_minute = 60000\nregistered_per_hour = 60000\n\
                    writes_per_minute = 60000\naddress_failures = 1000000";
    let server = ServerBuilder::accounts().also(throttle).start();
    server.claim();
    server
}

fn as_admin(server: &Server) -> String {
    let body = json!({"username": "admin", "password": PASSWORD});
    let login = server.client().post("/auth/login", body).expect(200).json();
    let token = login["token"].as_str().expect("a token");
    format!("Authorization: Bearer {token}")
}

#[test]
fn schemathesis_finds_nothing_with_an_admins_token() {
    let server = patient();
    let header = as_admin(&server);
    let but = FATAL.map(|id| ["--exclude-operation-id", id]).concat();
    attack(
        &server,
        &[&["--header", header.as_str()], &but[..]].concat(),
    );
    // To the end, it was an admin who asked.
    let token = header.trim_start_matches("Authorization: Bearer ");
    let said = server.client().bearer(token).get("/v1/me").expect(200);
    assert_eq!(said.json(), json!({"user_id": "admin", "is_admin": true}));
}

#[test]
fn schemathesis_finds_nothing_in_what_ends_logins() {
    for id in FATAL {
        let server = patient();
        let header = as_admin(&server);
        let only = ["--include-operation-id", id, "--max-time", "2"];
        attack(
            &server,
            &[&["--header", header.as_str()], &only[..]].concat(),
        );
    }
}

#[test]
fn schemathesis_finds_nothing_without_a_credential() {
    let server = patient();
    attack(&server, &[]);
    server.client().get("/health").expect(200);
}
