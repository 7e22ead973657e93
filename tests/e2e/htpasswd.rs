//! Signing in with a password file, written by the real `htpasswd` and `openssl`.

use std::{fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use omnigent_tests::{Server, ServerBuilder};
use serde_json::{Value, json};

fn printed(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Ada with bcrypt, bob with SHA-256-crypt, carol with SHA-512-crypt.
fn people() -> String {
    let ada = printed("htpasswd", &["-nbB", "-C", "5", "ada", "ada-pass-77"]);
    let bob = printed("openssl", &["passwd", "-5", "bob-pass-77"]);
    let carol = printed("openssl", &["passwd", "-6", "carol-pass-77"]);
    format!("# our people\n{ada}\nbob:{bob}\ncarol:{carol}\n")
}

fn started(folder: &Path, more: &str) -> Server {
    let (people, groups) = (folder.join("people"), folder.join("groups"));
    ServerBuilder::no_auth()
        .config(&format!(
            "[auth]\nbackends = [\"file\"]\n[backend.file]\nplugin = \"htpasswd\"\n\
             file = {people:?}\ngroups_file = {groups:?}\n{more}\n"
        ))
        .start()
}

fn sign_in(server: &Server, name: &str, password: &str) -> u16 {
    let body = json!({"username": name, "password": password});
    server.client().post("/auth/login", body).status
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("people"), people()).expect("written");
    fs::write(dir.path().join("groups"), "ops: ada\nstaff: ada bob\n").expect("written");
    dir
}

#[test]
fn people_of_the_file_sign_in_and_nobody_else() {
    let dir = folder();
    let server = started(dir.path(), "admin_groups = [\"ops\"]");
    for name in ["ada", "bob", "carol"] {
        let client = server.login(name, &format!("{name}-pass-77"));
        let me = client.get("/v1/me").expect(200).json();
        assert_eq!(me, json!({"user_id": name, "is_admin": name == "ada"}));
        for wrong in ["", "x", "ada-pass-7", "ADA-PASS-77", "$2y$05$"] {
            assert!(
                [401, 422].contains(&sign_in(&server, name, wrong)),
                "{name} {wrong}"
            );
        }
    }
    for nobody in ["dave", "ADA", "ada ", "ada:", "# our people", "../people"] {
        assert_eq!(sign_in(&server, nobody, "ada-pass-77"), 401, "{nobody}");
    }
    let info = server.client().get("/v1/info").json();
    assert_eq!(info["backends"][0]["flows"], json!(["password"]));
    assert_eq!(info["accounts_enabled"], false);
}

#[test]
fn the_file_is_read_again_when_it_changes() {
    let dir = folder();
    let server = started(dir.path(), "");
    let begun = json!({"username": "bob", "password": "bob-pass-77", "client_id": "omnigent-cli"});
    let bob = server
        .client()
        .post("/auth/login", begun)
        .expect(200)
        .json();
    let file = dir.path().join("people");
    let dave = printed("htpasswd", &["-nbB", "-C", "5", "dave", "dave-pass-77"]);
    let without_bob: String = people()
        .lines()
        .filter(|line| !line.starts_with("bob"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&file, format!("{without_bob}{dave}\n")).expect("written");
    assert_eq!(sign_in(&server, "dave", "dave-pass-77"), 200);
    assert_eq!(sign_in(&server, "bob", "bob-pass-77"), 401);
    let refresh = bob["refresh_token"].as_str().expect("a refresh token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let refused = server
        .client()
        .form("/oauth/token", &fields)
        .expect(400)
        .json();
    assert_eq!(
        refused["error"], "invalid_grant",
        "who left the file refreshes nothing"
    );

    // A bad file changes nothing but the backend's health.
    fs::write(&file, "eve:in-the-clear\n").expect("written");
    assert_eq!(sign_in(&server, "dave", "dave-pass-77"), 200);
    assert_eq!(sign_in(&server, "eve", "in-the-clear"), 401);
    assert!(server.says("the last good state goes on"));
    assert!(!server.log().contains("in-the-clear"));
    fs::remove_file(&file).expect("removed");
    assert_eq!(sign_in(&server, "dave", "dave-pass-77"), 200);
}

#[test]
fn who_left_the_file_refreshes_nothing_by_a_sign_in_link_either() {
    let dir = folder();
    let server = started(dir.path(), "");
    let device = |client_id: &str| {
        let body = json!({"client_id": client_id});
        let asked = server.client().post("/oauth/device/authorize", body);
        asked.expect(200).json()
    };
    let bob = server.login("bob", "bob-pass-77");
    let asked = device("tv");
    let link = bob.post("/auth/magic", json!({})).expect(200).json();
    let link = link["redeem_url"].as_str().expect("a link");
    let path = link.strip_prefix(&server.url).expect("ours");
    let redeemed = server.client().get(path).expect(302);
    let cookie = redeemed.header("set-cookie").unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default();
    let claims = cookie.split('.').nth(1).expect("a token");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["provider"], "htpasswd", "the mode (CONTRACT 2)");

    let browser = server.client().with("cookie", cookie);
    let browser = browser.with("origin", &server.url);
    let code = asked["user_code"].as_str().expect("a code");
    let answer = browser.form("/oauth/device/approve", &[("user_code", code)]);
    answer.expect(200);
    let token = |fields: &[(&str, &str)]| server.client().form("/oauth/token", fields);
    let answer = token(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        (
            "device_code",
            asked["device_code"].as_str().expect("a code"),
        ),
        ("client_id", "tv"),
    ]);
    let refresh = |answer: &Value| {
        let refresh_token = answer["refresh_token"].as_str().expect("a token");
        token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
    };
    let refreshed = refresh(&answer.expect(200).json()).expect(200).json();
    let without_bob: Vec<String> = people()
        .lines()
        .filter(|line| !line.starts_with("bob"))
        .map(str::to_owned)
        .collect();
    fs::write(dir.path().join("people"), without_bob.join("\n")).expect("written");
    let refused = refresh(&refreshed).expect(400).json();
    assert_eq!(refused["error"], "invalid_grant");
}

#[test]
fn a_file_that_is_not_good_stops_the_start_with_its_line() {
    let dir = folder();
    for (text, word) in [
        ("ada:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n", "SHA-1"),
        ("\nada:$apr1$x$y\n", ":2: an MD5 hash"),
        ("ada\n", "name:hash"),
    ] {
        fs::write(dir.path().join("people"), text).expect("written");
        let builder = ServerBuilder::no_auth().config(&format!(
            "[auth]\nbackends = [\"file\"]\n[backend.file]\nplugin = \"htpasswd\"\nfile = {:?}\n",
            dir.path().join("people")
        ));
        let Err(log) = builder.try_start() else {
            panic!("{text}: it started");
        };
        assert!(
            log.contains(word) && log.contains("htpasswd"),
            "{text}: {log}"
        );
    }
}
