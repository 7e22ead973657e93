//! CONTRACT section 8: no-auth mode.

use omnigent_tests::ServerBuilder;
use serde_json::json;

#[test]
fn without_a_configuration_everybody_is_local_on_loopback() {
    let server = ServerBuilder::no_auth().start();
    let client = server.client();
    assert_eq!(
        client.get("/v1/me").expect(200).json(),
        json!({"user_id": "local", "is_admin": true})
    );
    let info = client.get("/v1/info").expect(200).json();
    assert_eq!(
        (&info["single_user"], &info["auth_mode"], &info["login_url"]),
        (&json!(true), &json!("none"), &json!(null))
    );
    let forged = client.with("x-forwarded-email", "alice@example.com");
    assert_eq!(forged.get("/v1/me").json()["user_id"], "local");
    assert!(server.says("no-auth"), "a banner says so");
}

#[test]
fn the_one_there_is_neither_shares_with_itself_nor_loses_what_is_its_own() {
    let agent = "[[agent]]\nname = \"reviewer\"\ndescription = \"Reads\"";
    let server = ServerBuilder::no_auth().also(agent).start();
    let client = server.client();
    let agents = client.get("/v1/agents").expect(200).json();
    let body = json!({"agent_id": agents["data"][0]["id"]});
    let made = client.post("/v1/sessions", body).expect(201).json();
    let id = made["id"].as_str().unwrap_or_default();
    let permissions = format!("/v1/sessions/{id}/permissions");
    let share = |user: &str| client.put(&permissions, json!({"user_id": user, "level": 1}));
    for name in ["local", "LOCAL"] {
        share(name).expect(403);
        client.delete(&format!("{permissions}/{name}")).expect(403);
    }
    share("nobody").expect(400);
    client.delete(&format!("{permissions}/nobody")).expect(204);
}

#[test]
fn a_page_on_another_name_or_origin_gets_nothing() {
    let server = ServerBuilder::no_auth().start();
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        let status = server
            .client()
            .with("host", host)
            .get("/v1/sessions")
            .status;
        assert!([400, 403, 421].contains(&status), "{host}: {status}");
    }
    let foreign = server.client().with("origin", "https://evil.example");
    foreign
        .post("/v1/sessions", json!({"agent_id": "x"}))
        .expect(403);
}

#[test]
fn the_network_is_refused_unless_told_in_so_many_words() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let config = format!("[server]\nlisten = \"{listen}\"");
        let server = ServerBuilder::no_auth()
            .config(&config)
            .listening_as_configured();
        let log = server.try_start().err().expect("a refusal");
        assert!(
            log.contains("server.listen") && log.contains("exit status: 2"),
            "{log}"
        );
    }
}
