//! CONTRACT sections 2 and 4: what ends a login, and how credentials are read.

use omnigent_tests::{Client, PASSWORD, ServerBuilder};
use serde_json::json;

fn token(client: &Client) -> String {
    let answer = client.post(
        "/auth/login",
        json!({"username": "admin", "password": PASSWORD}),
    );
    answer.expect(200).json()["token"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn logout_ends_the_login_at_once_and_for_good() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let token = token(&server.client());
    let me = server.client().bearer(&token);
    me.get("/v1/me").expect(200);
    let out = me.post("/auth/logout", json!({})).expect(204);
    assert_eq!(
        out.header("set-cookie"),
        Some("ap_session=; HttpOnly; Max-Age=0; Path=/; SameSite=lax")
    );
    me.get("/v1/me").expect(401);
    let server = server.kill_and_restart();
    server.client().bearer(&token).get("/v1/me").expect(401);
    let wrong = server.client().get("/auth/logout").expect(405);
    assert_eq!(wrong.header("allow"), Some("POST"));
}

#[test]
fn an_api_token_does_not_sign_itself_out() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    for scope in [json!(null), json!("account")] {
        let body = json!({"name": "ci", "scope": scope});
        let made = admin.post("/auth/tokens", body).expect(201).json();
        let ci = server
            .client()
            .bearer(made["token"].as_str().unwrap_or_default());
        ci.post("/auth/logout", json!({})).expect(204);
        ci.get("/v1/me").expect(200);
    }
    admin.get("/v1/me").expect(200);
}

#[test]
fn a_login_can_be_ended_from_another_one() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let phone = server.login("admin", PASSWORD);
    let laptop = server.login("admin", PASSWORD);
    let logins = admin.get("/auth/logins").expect(200).json();
    let logins = logins["logins"].as_array().cloned().unwrap_or_default();
    assert_eq!(logins.len(), 3);
    assert_eq!(
        logins
            .iter()
            .filter(|login| login["current"] == true)
            .count(),
        1
    );
    let bob = server.join(&admin, "bob");
    for login in &logins {
        let path = format!("/auth/logins/{}", login["id"].as_str().unwrap_or_default());
        bob.delete(&path).expect(404);
    }
    phone.get("/auth/me").expect(200);
    admin.delete("/auth/logins").expect(204);
    phone.get("/auth/me").expect(401);
    laptop.get("/auth/me").expect(401);
    admin.get("/auth/me").expect(200);
}

#[test]
fn an_authorization_header_decides_alone() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let token = token(&server.client());
    let cookie = format!("ap_session={token}");
    let anonymous = server.client();
    anonymous.with("cookie", &cookie).get("/v1/me").expect(200);
    anonymous
        .with("authorization", &format!("bEARER {token}"))
        .get("/v1/me")
        .expect(200);
    let with_cookie = anonymous.with("cookie", &cookie);
    for header in [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic YTpi",
        "",
        &format!("Bearer  {token}x"),
        &format!("Token {token}"),
    ] {
        with_cookie
            .with("authorization", header)
            .get("/v1/me")
            .expect(401);
    }
    let twice = anonymous.bearer(&token).bearer(&token);
    twice.get("/v1/me").expect(401);
    let two_cookies = anonymous.with("cookie", &format!("{cookie}; {cookie}"));
    two_cookies.get("/v1/me").expect(401);
    anonymous
        .with("cookie", "ap_session=x")
        .get("/v1/sessions")
        .expect(401);
    anonymous
        .get(&format!("/v1/me?access_token={token}&token={token}"))
        .expect(401);
    anonymous
        .with("x-forwarded-email", "admin")
        .with("x-user", "admin")
        .get("/v1/me")
        .expect(401);
}

#[test]
fn a_cookie_does_not_write_for_a_foreign_page() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let cookie = server
        .client()
        .with("cookie", &format!("ap_session={}", token(&server.client())));
    let write = |client: &Client| client.post("/auth/magic", json!({})).status;
    assert_eq!(write(&cookie), 403, "no Origin at all");
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "https://127.0.0.1:1",
        &format!("{}.evil.example", server.url),
    ] {
        assert_eq!(write(&cookie.with("origin", origin)), 403, "{origin}");
    }
    assert_eq!(write(&cookie.with("origin", &server.url)), 200);
    assert_eq!(write(&cookie.with("origin", "omnigent://internal")), 200);
    assert_eq!(write(&cookie.with("sec-fetch-site", "same-origin")), 200);
    assert_eq!(write(&cookie.with("sec-fetch-site", "cross-site")), 403);
}
