//! The pages in a real browser, looked at by axe: signing in, a token from the page to the shell and
//! back, a lost laptop, a colleague, a command line, a device. What is done there is in
//! `tests/peers/chromium`.

use std::process::Command;

use omnigent_tests::{
    ServerBuilder,
    idp::{Idp, free_port, relying_on},
    repository,
};
use serde_json::json;

#[test]
fn people_walk_through_the_pages() {
    let server = ServerBuilder::accounts().start();
    walk("walk.mjs", &server.url, "");
}

#[test]
fn people_of_an_identity_provider_walk_through_the_pages() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let ada = json!({"ada": {"email": "ada@example.com", "email_verified": true, "name": "Ada"}});
    let provider = Idp::start(&url, ada);
    let server = relying_on(&provider.issuer, port, "", "").start();
    walk("walk-oidc.mjs", &server.url, &provider.issuer);
}

fn walk(walk: &str, url: &str, issuer: &str) {
    let file = repository().join("tests/peers/chromium").join(walk);
    let mut walk = Command::new("node");
    walk.arg(file).arg(url).env("ISSUER", issuer);
    if let Some(shots) = std::env::var_os("SCREENSHOTS") {
        walk.arg(shots);
    }
    let output = walk.output().expect("node: run scripts/test");
    let said = String::from_utf8_lossy(&output.stdout);
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}\n{said}");
    assert!(said.contains("pages looked at"), "{said}");
}
