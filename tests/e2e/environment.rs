//! CONTRACT section 12: the environment wins over the file, and no file is needed.

use omnigent_tests::{
    PASSWORD, ServerBuilder,
    browser::Browser,
    idp::{Idp, SECRET as CLIENT_SECRET, free_port, sign_in},
};
use serde_json::{Value, json};

const SECRET: &str = "8f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f7";

#[test]
fn a_container_needs_no_file() {
    let server = ServerBuilder::no_auth()
        .env("OMNIGENT_AUTH_ENABLED", "1")
        .env("OMNIGENT_ACCOUNTS_COOKIE_SECRET", SECRET)
        .env("OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD", PASSWORD)
        .env("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "2")
        .start();
    let info = server.client().get("/v1/info").expect(200).json();
    assert_eq!(
        (&info["auth_mode"], &info["needs_setup"]),
        (&json!("accounts"), &json!(false))
    );
    let login = json!({"username": "admin", "password": PASSWORD});
    let login = server
        .client()
        .post("/auth/login", login)
        .expect(200)
        .json();
    assert_eq!(
        (&login["expires_in"], &login["user"]["is_admin"]),
        (&json!(7200), &json!(true))
    );
    assert!(!server.log().contains(PASSWORD) && !server.log().contains(SECRET));

    // The configured secret goes on working when the keyring is new.
    let token = login["token"].as_str().unwrap_or_default().to_owned();
    let server = server.kill_and_restart();
    server.client().bearer(&token).get("/v1/me").expect(200);
}

#[test]
fn the_admin_list_makes_admins() {
    let dir = tempfile::tempdir().expect("a folder");
    let list = dir.path().join("admins");
    std::fs::write(&list, "# who administers\nBob\n").expect("a file");
    let list = list.display().to_string();
    let server = ServerBuilder::accounts()
        .env("OMNIGENT_ADMIN_LIST_PATH", &list)
        .start();
    let admin = server.claim();
    // Whom it means, an admin says; not who is the first to call themselves so.
    let invite = |is_admin: bool| {
        let invite = admin.post("/auth/invite", json!({"is_admin": is_admin}));
        invite.expect(200).json()["token"].clone()
    };
    let join = |invite: Value| {
        let body = json!({"username": "bob", "password": PASSWORD, "invite": invite});
        server.client().post("/auth/register", body)
    };
    let refused = join(invite(false)).expect(409).json();
    assert_eq!(refused["error"], "username already taken");
    let made = json!({"id": "bob", "password": PASSWORD});
    admin.post("/auth/users", made).expect(201);
    let bob = server.login("bob", PASSWORD);
    assert_eq!(bob.get("/v1/me").expect(200).json()["is_admin"], true);
    admin.delete("/auth/users/bob").expect(204);
    let bob = join(invite(true)).expect(200).json();
    assert_eq!(bob["user"]["is_admin"], true);
    let carol = server.join(&admin, "carol");
    assert_eq!(carol.get("/v1/me").expect(200).json()["is_admin"], false);
}

#[test]
fn what_cannot_be_meant_stops_the_start() {
    for (name, value) in [
        ("OMNIGENT_AUTH_PROVIDER", "saml"),
        ("OMNIGENT_ACCOUNTS_COOKIE_SECRET", "short"),
        ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "eight"),
    ] {
        let server = ServerBuilder::no_auth()
            .env("OMNIGENT_AUTH_ENABLED", "1")
            .env(name, value);
        let log = server.try_start().err().expect("a refusal");
        assert!(
            log.contains(name) && log.contains("exit status: 2"),
            "{log}"
        );
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn registration_follows_the_policy() {
    let body = json!({"username": "dora", "password": PASSWORD});
    let open = ServerBuilder::accounts()
        .also("[accounts]\nregistration = \"open\"")
        .start();
    open.claim();
    open.client()
        .post("/auth/register", body.clone())
        .expect(200);
    let invite = ServerBuilder::accounts().start();
    invite.claim();
    invite
        .client()
        .post("/auth/register", body.clone())
        .expect(422);
    let closed = ServerBuilder::accounts()
        .also("[accounts]\nregistration = \"closed\"")
        .start();
    let admin = closed.claim();
    let token = admin.post("/auth/invite", json!({})).expect(200).json()["token"].clone();
    let body = json!({"username": "dora", "password": PASSWORD, "invite": token});
    closed.client().post("/auth/register", body).expect(403);
}

#[test]
fn a_second_server_on_the_same_data_is_told_so() {
    let server = ServerBuilder::accounts().start();
    let log = ServerBuilder::accounts()
        .on(&server.dir)
        .try_start()
        .err()
        .expect("a refusal");
    assert!(
        log.contains("another") && log.contains("exit status: 3"),
        "{log}"
    );
    server.client().get("/health").expect(200);
}

#[test]
fn a_damaged_or_older_store_is_refused() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let store = server.dir.path().join("data/store");
    let token = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let builder = server.kill();
    let older = tempfile::tempdir().expect("a folder");
    let db = older.path().join("db");
    std::fs::copy(store.join("db"), &db).expect("a copy");
    let server = builder.start();
    let id = token["id"].as_str().unwrap_or_default();
    server
        .login("admin", PASSWORD)
        .delete(&format!("/auth/tokens/{id}"))
        .expect(204);
    let builder = server.kill();
    // The older file would bring the revoked token back to life.
    std::fs::copy(&db, store.join("db")).expect("a copy");
    let log = builder.try_start().err().expect("a refusal");
    assert!(
        log.contains("exit status: 4") && log.contains("restore"),
        "{log}"
    );
}

#[test]
fn header_mode_needs_no_file() {
    let server = ServerBuilder::no_auth()
        .env("OMNIGENT_AUTH_PROVIDER", "header")
        .env("OMNIGENT_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")
        .env("OMNIGENT_AUTH_HEADER", "X-Goog-Authenticated-User-Email")
        .env("OMNIGENT_AUTH_HEADER_STRIP_PREFIX", "accounts.google.com:")
        .start();
    let header = "x-goog-authenticated-user-email";
    let ada = server
        .client()
        .with(header, "accounts.google.com:ada@example.com");
    let me = ada.get("/v1/me").expect(200).json();
    assert_eq!(me, json!({"user_id": "ada@example.com", "is_admin": false}));
    let refused = ServerBuilder::no_auth().env("OMNIGENT_AUTH_PROVIDER", "header");
    let Err(log) = refused.try_start() else {
        panic!("it started without naming its proxies");
    };
    assert!(log.contains("trusted_proxies"), "{log}");
}

#[test]
fn oidc_mode_needs_no_file() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let people = json!({
        "ada": {"email": "ada@example.com", "email_verified": true},
        "eve": {"email": "eve@elsewhere.example", "email_verified": true},
    });
    let idp = Idp::start(&url, people);
    let server = ServerBuilder::no_auth()
        .env("OMNIGENT_AUTH_PROVIDER", "oidc")
        .env("OMNIGENT_OIDC_ISSUER", &idp.issuer)
        .env("OMNIGENT_OIDC_CLIENT_ID", "omnigent")
        .env("OMNIGENT_OIDC_CLIENT_SECRET", CLIENT_SECRET)
        .env("OMNIGENT_OIDC_COOKIE_SECRET", SECRET)
        .env(
            "OMNIGENT_OIDC_REDIRECT_URI",
            &format!("{url}/auth/callback"),
        )
        .env("OMNIGENT_OIDC_SCOPES", "openid email profile")
        .env("OMNIGENT_OIDC_SESSION_TTL_HOURS", "3")
        .env("OMNIGENT_OIDC_ALLOWED_DOMAINS", "example.com")
        .env("OMNIGENT_OIDC_ALLOW_INVITES", "no")
        .arg("--listen")
        .arg(&format!("127.0.0.1:{port}"))
        .listening_as_configured()
        .start();
    let browser = Browser::new();
    let me = sign_in(&browser, &server, "ada");
    assert!(me.text.contains("ada@example.com"), "{me:?}");
    let refused = sign_in(&Browser::new(), &server, "eve");
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(!server.log().contains(CLIENT_SECRET));
}
