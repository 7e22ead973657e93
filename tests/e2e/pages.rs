//! `/login`, `/setup` and `/register` in a browser without JavaScript.

use omnigent_tests::{Answer, Client, PASSWORD, Server, ServerBuilder, browser::hidden};
use serde_json::json;

fn browser(server: &Server) -> Client {
    server.client().with("origin", &server.url)
}

fn sign_in(server: &Server, password: &str, return_to: &str) -> Answer {
    let path = format!("/login?return_to={return_to}");
    let page = server.client().get(&path).expect(200);
    let fields = [
        ("conversation", hidden(&page.text, "conversation")),
        ("return_to", hidden(&page.text, "return_to")),
        ("username", "admin".to_owned()),
        ("password", password.to_owned()),
    ];
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    browser(server).form("/login", &fields)
}

#[test]
fn a_server_is_claimed_signed_in_to_and_joined_by_forms_alone() {
    let server = ServerBuilder::accounts().start();
    assert_eq!(
        server.client().get("/login").expect(302).header("location"),
        Some("/setup")
    );
    server.client().get("/setup").expect(200);
    let weak = browser(&server).form("/setup", &[("username", "admin"), ("password", "password")]);
    assert!(weak.expect(400).text.contains("too easy to guess"));
    let claimed = browser(&server)
        .form("/setup", &[("username", "admin"), ("password", PASSWORD)])
        .expect(302);
    assert!(
        claimed
            .header("set-cookie")
            .is_some_and(|cookie| cookie.starts_with("ap_session=ey"))
    );
    assert_eq!(
        server.client().get("/setup").expect(302).header("location"),
        Some("/login")
    );

    let good = sign_in(&server, PASSWORD, "/v1/sessions?limit=1").expect(302);
    assert_eq!(good.header("location"), Some("/v1/sessions?limit=1"));
    let wrong = sign_in(&server, "wrong-password", "/").expect(401);
    assert!(
        wrong.text.contains("invalid username or password") && wrong.header("set-cookie").is_none()
    );

    let admin = server.login("admin", PASSWORD);
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    let invite = invite["token"].as_str().unwrap_or_default();
    let page = server
        .client()
        .get(&format!("/register?invite={invite}"))
        .expect(200);
    assert!(page.text.contains(invite));
    let fields = [
        ("invite", invite),
        ("username", "bob"),
        ("password", PASSWORD),
    ];
    browser(&server).form("/register", &fields).expect(302);
    browser(&server).form("/register", &fields).expect(400);
}

#[test]
fn a_page_that_refuses_says_what_its_status_promises() {
    let server = ServerBuilder::accounts()
        .also("[server]\npublic_url = \"https://auth.example.com\"")
        .also("[throttle]\nregistered_per_hour = 1")
        .start();
    let browser = server.client().with("origin", "https://auth.example.com");
    let claim = |code: &str| {
        let fields = [
            ("username", "admin"),
            ("password", PASSWORD),
            ("setup_code", code),
        ];
        browser.form("/setup", &fields)
    };
    let waits = |answer: &Answer| {
        let wait = answer.header("retry-after");
        assert!(answer.text.contains("<form"), "{answer:?}");
        assert!(
            wait.is_some_and(|wait| wait.parse::<u64>().is_ok()),
            "{answer:?}"
        );
    };
    let file = server.dir.path().join("data/setup-code");
    let code = std::fs::read_to_string(file).expect("a code");
    assert_eq!(claim("wrong").header("retry-after"), None);
    claim(&code).expect(302);

    let page = server.client().get("/login").expect(200).text;
    let conversation = hidden(&page, "conversation");
    let fields = [
        ("conversation", conversation.as_str()),
        ("username", "admin"),
        ("password", "wrong-password"),
    ];
    let wrong = browser.form("/login", &fields).expect(401);
    let challenge = wrong.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer "), "{wrong:?}");

    let admin = server.login("admin", PASSWORD);
    let register = |name: &str| {
        let invite = admin.post("/auth/invite", json!({})).expect(200).json();
        let fields = [
            ("invite", invite["token"].as_str().unwrap_or_default()),
            ("username", name),
            ("password", PASSWORD),
        ];
        browser.form("/register", &fields)
    };
    register("bob").expect(302);
    waits(&register("carol").expect(429));
}

#[test]
fn guessing_the_setup_code_on_its_page_says_when_to_come_back() {
    let server = ServerBuilder::accounts()
        .also("[server]\npublic_url = \"https://auth.example.com\"")
        .start();
    let browser = server.client().with("origin", "https://auth.example.com");
    let guess = |i: usize| {
        let code = format!("guess-{i}");
        let fields = [
            ("username", "admin"),
            ("password", PASSWORD),
            ("setup_code", &code),
        ];
        browser.form("/setup", &fields)
    };
    let refused = (0..30).map(guess).find(|answer| answer.status == 429);
    let refused = refused.expect("a limit");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
}

#[test]
fn a_foreign_page_cannot_sign_anybody_in() {
    let server = ServerBuilder::accounts().start();
    let foreign = server.client().with("origin", "https://evil.example");
    foreign
        .form("/setup", &[("username", "admin"), ("password", PASSWORD)])
        .expect(403);
    server.claim();
    foreign
        .post(
            "/auth/login",
            json!({"username": "admin", "password": PASSWORD}),
        )
        .expect(403);
    foreign
        .form("/login", &[("username", "admin"), ("password", PASSWORD)])
        .expect(403);
}

#[test]
fn signing_in_leads_nowhere_else() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    for to in [
        "https://evil.example",
        "//evil.example",
        "/%5C/evil.example",
        "/%09/evil.example",
        "%2F%2Fevil",
        "javascript:alert(1)",
        "/a%0d%0ab",
        "/auth/logout",
        "/auth/magic/redeem%3Ft%3Dtheirs",
        "/settings/../auth/logout",
    ] {
        assert_eq!(
            sign_in(&server, PASSWORD, to)
                .expect(302)
                .header("location"),
            Some("/"),
            "{to}"
        );
    }
}

#[test]
fn pages_run_nothing_load_nothing_and_are_not_framed() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let page = server.client().get("/login?magic=%3Cscript%3E").expect(200);
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!page.text.contains("<script"), "{}", page.text);
    let page = server
        .client()
        .get("/register?invite=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .expect(200);
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[test]
fn away_from_loopback_claiming_takes_the_code_the_server_printed() {
    let server = ServerBuilder::accounts()
        .also("[server]\npublic_url = \"https://auth.example.com\"")
        .start();
    let file = server.dir.path().join("data/setup-code");
    let code = std::fs::read_to_string(&file).expect("the code is kept in a file");
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("a file"));
    assert_eq!(mode & 0o777, 0o600);
    assert!(server.says(&code), "it is printed once");
    let claim = |code: Option<&str>| {
        let mut body = json!({"username": "admin", "password": PASSWORD});
        if let Some(code) = code {
            body["setup_code"] = code.into();
        }
        server.client().post("/auth/setup", body)
    };
    claim(None).expect(403);
    claim(Some("wrong-code")).expect(403);
    let claimed = claim(Some(&code)).expect(200);
    let cookie = claimed.header("set-cookie").unwrap_or_default();
    assert!(
        cookie.starts_with("__Host-ap_session=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    assert!(!file.exists(), "it is worth nothing any more");
    let page = server.client().get("/login").expect(200);
    assert!(page.header("strict-transport-security").is_some());
}

#[test]
fn whoever_a_proxy_brings_claims_with_the_code_even_where_the_server_listens_to_this_machine() {
    let server = ServerBuilder::accounts()
        .also("[server]\ntrusted_proxies = [\"127.0.0.1\"]")
        .start();
    let file = server.dir.path().join("data/setup-code");
    let code = std::fs::read_to_string(&file).expect("the code is kept in a file");
    let stranger = server.client().with("x-forwarded-for", "203.0.113.9");
    let mut body = json!({"username": "admin", "password": PASSWORD});
    stranger.post("/auth/setup", body.clone()).expect(403);
    let page = |client: &omnigent_tests::Client| client.get("/setup").expect(200).text;
    assert!(
        page(&stranger).contains("setup_code") && !page(&server.client()).contains("setup_code")
    );
    body["setup_code"] = code.into();
    stranger.post("/auth/setup", body).expect(200);
    assert!(!file.exists(), "it is worth nothing any more");
}

#[test]
fn the_setup_code_is_not_guessed() {
    let server = ServerBuilder::accounts()
        .also("[server]\npublic_url = \"https://auth.example.com\"")
        .start();
    let guess = |i: usize| {
        let body =
            json!({"username": "admin", "password": PASSWORD, "setup_code": format!("guess-{i}")});
        server.client().post("/auth/setup", body).status
    };
    let statuses: Vec<_> = (0..30).map(guess).collect();
    assert!(
        statuses.contains(&429) && !statuses.contains(&200),
        "{statuses:?}"
    );
}
