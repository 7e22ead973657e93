//! What was acknowledged is there after `kill -9`.

use omnigent_tests::{PASSWORD, ServerBuilder};
use serde_json::json;

#[test]
fn accounts_sessions_and_logins_survive_kill_9() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let agent = admin.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    let session = admin
        .post("/v1/sessions", json!({"agent_id": agent, "title": "kept"}))
        .expect(201)
        .json();
    let login = json!({"username": "admin", "password": PASSWORD});
    let token = server
        .client()
        .post("/auth/login", login)
        .expect(200)
        .json()["token"]
        .clone();
    let server = server.kill_and_restart();
    let me = server.client().bearer(token.as_str().unwrap_or_default());
    let path = format!(
        "/v1/sessions/{}",
        session["id"].as_str().unwrap_or_default()
    );
    assert_eq!(me.get(&path).expect(200).json()["title"], "kept");
    assert_eq!(server.client().get("/v1/info").json()["needs_setup"], false);
}

#[test]
fn sigterm_drains_and_ends_well() {
    let server = ServerBuilder::accounts().start();
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}
