//! The audit trail (THREATS T10, threat model X3): every security event is in it, nothing secret is,
//! it outlives a kill, and nobody floods it.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use omnigent_server::audit::Event;
use omnigent_tests::{
    Answer, Client, PASSWORD, Server, ServerBuilder, binary, browser::hidden, operate,
};
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn exported(server: &Server, more: &[&str]) -> String {
    let (code, out, complaint) = server.operator(&[&["audit", "export"], more].concat());
    assert_eq!(code, 0, "{complaint}");
    out
}

fn read(exported: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    exported.lines().map(read).collect()
}

/// The entries, once there is one that `is_it`: refusals are written a moment after their answer.
#[track_caller]
fn trail_with(server: &Server, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    for _ in 0..100 {
        let entries = read(&exported(server, &[]));
        if entries.iter().any(&is_it) {
            return entries;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not in the trail:\n{}", exported(server, &[]));
}

fn of<'t>(entries: &'t [Value], event: &str) -> Vec<&'t Value> {
    let is_it = |entry: &&Value| entry["event"] == event;
    entries.iter().filter(is_it).collect()
}

#[track_caller]
fn last<'t>(entries: &'t [Value], event: &str) -> &'t Value {
    let found = of(entries, event);
    found.last().unwrap_or_else(|| panic!("no {event}"))
}

fn sound(server: &Server) -> String {
    let (code, out, complaint) = server.operator(&["audit", "verify"]);
    assert!(code == 0 && out.starts_with("sound: "), "{complaint}");
    let (_, newest) = out.trim().rsplit_once("newest: ").expect("the newest");
    newest.to_owned()
}

const DEVICE_SECRET: &str = "device-secret-3141592653589793";
const FILE_PASSWORD: &str = "carol-pass-77";

/// Passwords, a password file, and a proxy: every way there is to be somebody.
fn everything() -> (Server, tempfile::TempDir) {
    let builder = ServerBuilder::accounts();
    let dir = tempfile::TempDir::new().expect("a folder");
    let people = dir.path().join("people");
    let hash = hashed(FILE_PASSWORD);
    fs::write(&people, format!("carol:{hash}\ndora:{hash}\n")).expect("written");
    let server = builder
        .replacing("[\"local\"]", "[\"local\", \"file\", \"proxy\"]")
        .also(&format!(
            "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [backend.file]\nplugin = \"htpasswd\"\nfile = {people:?}\n\
             [backend.proxy]\nplugin = \"header\"\naccounts = \"existing\"\n\
             [device]\nclient_secret = {DEVICE_SECRET:?}\n"
        ))
        .start();
    (server, dir)
}

fn hashed(password: &str) -> String {
    let args = ["passwd", "-6", password];
    let output = Command::new("openssl")
        .args(args)
        .output()
        .expect("openssl");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn sign_in(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    server.client().post("/auth/login", body)
}

fn token_of(answer: Answer) -> String {
    text(&answer.expect(200).json()["token"]).to_owned()
}

/// The key that signs.
fn printed_kid(server: &Server) -> String {
    let (_, keys, _) = server.operator(&["key", "list", "--json"]);
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    let keys = keys.as_array().or_else(|| keys["keys"].as_array());
    let kid = keys.and_then(|keys| keys.iter().find(|key| key["state"] == "signing"));
    text(&kid.expect("a key")["kid"]).to_owned()
}

/// What a page of this login puts into its forms.
fn form_token(client: &Client) -> String {
    hidden(
        &client.get("/settings/logins").expect(200).text,
        "form_token",
    )
}

#[test]
fn every_security_event_is_in_the_trail_and_no_secret_is() {
    let (server, dir) = everything();
    let people = dir.path().join("people");
    let mut secrets: Vec<String> = [PASSWORD, DEVICE_SECRET, FILE_PASSWORD]
        .map(str::to_owned)
        .to_vec();
    let admin = server.claim();
    let client = server.client();

    // People come and go.
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    secrets.push(text(&invite["token"]).to_owned());
    let body = json!({"invite": invite["token"], "username": "bob", "password": PASSWORD});
    let bob = token_of(client.post("/auth/register", body));
    secrets.push(bob.clone());
    let bob = client.bearer(&bob);
    let body = json!({"invite": "no-such-invite-1", "username": "eve", "password": PASSWORD});
    client.post("/auth/register", body).expect(400);
    secrets.push("no-such-invite-1".to_owned());
    for change in [
        json!({"is_admin": true}),
        json!({"is_admin": false}),
        json!({"disabled": true}),
        json!({"disabled": false}),
    ] {
        admin.patch("/auth/users/bob", change).expect(200);
    }
    let reset = admin
        .send("POST", "/auth/users/bob/reset", None, "")
        .expect(200);
    let reset_id = reset.header("x-request-id").unwrap_or_default().to_owned();
    let fresh = text(&reset.json()["new_password"]).to_owned();
    secrets.push(fresh.clone());
    let bob2 = token_of(sign_in(&server, "bob", &fresh));
    let own = client.bearer(&bob2);
    let change = |old: &str, new: &str| {
        let body = json!({"old_password": old, "new_password": new});
        own.post("/auth/users/me/password", body).status
    };
    assert_eq!(change("not-the-old-one-1", "tidal-Orchid-78-lantern"), 401);
    assert_eq!(change(&fresh, "tidal-Orchid-78-lantern"), 204);
    secrets.extend(["not-the-old-one-1", "tidal-Orchid-78-lantern"].map(str::to_owned));
    own.send("POST", "/auth/logout", None, "").expect(204);

    // Not let in: as somebody there is, and with a password where the name should be.
    sign_in(&server, "Admin ", "wrong-guess-1").expect(401);
    sign_in(&server, "hunter2-typed-as-name", "wrong-guess-1").expect(401);
    secrets.extend(["wrong-guess-1", "hunter2-typed-as-name"].map(str::to_owned));
    for _ in 0..12 {
        sign_in(&server, "bob", "wrong-guess-2");
    }
    bob.get("/auth/me").expect(401);
    client.bearer("not-a-token").get("/auth/me").expect(401);
    secrets.push("not-a-token".to_owned());

    // Tokens.
    let made = admin.post("/auth/tokens", json!({"name": "ci", "scope": "sessions"}));
    let made = made.expect(201).json();
    let rotate = format!("/auth/tokens/{}/rotate", text(&made["id"]));
    let rotated = admin
        .post(&rotate, json!({"overlap_seconds": 60}))
        .expect(201)
        .json();
    let ci = client.bearer(text(&made["token"]));
    ci.get("/v1/sessions").expect(200);
    let dora = client.bearer(&token_of(sign_in(&server, "dora", FILE_PASSWORD)));
    dora.get("/auth/users").expect(403);
    let revoke = format!("/auth/tokens/{}", text(&rotated["id"]));
    admin.delete(&revoke).expect(204);
    secrets.extend([&made, &rotated].map(|made| text(&made["token"]).to_owned()));

    // A link that signs in.
    let link = admin
        .send("POST", "/auth/magic", None, "")
        .expect(200)
        .json();
    let (_, code) = text(&link["redeem_url"]).split_once("t=").expect("a code");
    client
        .get(&format!("/auth/magic/redeem?t={code}"))
        .expect(302);
    client
        .get(&format!("/auth/magic/redeem?t={code}"))
        .expect(302);
    secrets.push(code.to_owned());

    // A grant whose refresh token is used twice.
    let body = json!({"username": "admin", "password": PASSWORD, "client_id": "my-app"});
    let login = client.post("/auth/login", body).expect(200).json();
    let refresh = |token: &Value| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", text(token)),
        ];
        client.form("/oauth/token", &fields)
    };
    let second = refresh(&login["refresh_token"]).expect(200).json();
    let third = refresh(&second["refresh_token"]).expect(200).json();
    refresh(&login["refresh_token"]).expect(400);
    for granted in [&login, &second, &third] {
        secrets.push(text(&granted["refresh_token"]).to_owned());
    }

    // A command line, approved and declined.
    let page_token = form_token(&admin);
    for decision in ["approve", "deny"] {
        let ticket = client
            .send("POST", "/auth/cli-login", None, "")
            .expect(200)
            .json();
        let (_, code) = text(&ticket["login_url"])
            .split_once("ticket=")
            .expect("a code");
        let fields = [
            ("ticket", code),
            ("decision", decision),
            ("form_token", &page_token),
        ];
        admin.form("/auth/cli-login/decide", &fields).expect(200);
        client.get(&format!(
            "/auth/cli-poll?ticket={}",
            text(&ticket["ticket"])
        ));
        secrets.extend([code.to_owned(), text(&ticket["ticket"]).to_owned()]);
    }

    // A device, without the secret, approved and declined.
    let tv = json!({"client_id": "tv"});
    client
        .post("/oauth/device/authorize", tv.clone())
        .expect(401);
    let known = client.with("x-omnigent-client-secret", DEVICE_SECRET);
    for decision in ["approve", "deny"] {
        let asked = known
            .post("/oauth/device/authorize", tv.clone())
            .expect(200)
            .json();
        let person = client.bearer(&token_of(sign_in(&server, "admin", PASSWORD)));
        let person = person.with("origin", &server.url);
        let fields = [("user_code", text(&asked["user_code"]))];
        person
            .form(&format!("/oauth/device/{decision}"), &fields)
            .expect(200);
        secrets.push(text(&asked["device_code"]).to_owned());
    }

    // Identities: expected, linked, unlinked, gone, not let in, forged.
    let operator = |args: &[&str]| {
        let (code, _, complaint) = server.operator(args);
        assert_eq!(code, 0, "{complaint}");
    };
    operator(&["account", "link", "bob", "file", "--username", "carol"]);
    sign_in(&server, "carol", FILE_PASSWORD).expect(200);
    operator(&["account", "unlink", "bob", "file"]);
    operator(&["account", "reset-link", "bob"]);
    let body = json!({"username": "dora", "password": FILE_PASSWORD, "client_id": "my-app"});
    let dora = client.post("/auth/login", body).expect(200).json();
    fs::write(&people, "").expect("written");
    refresh(&dora["refresh_token"]).expect(400);
    secrets.push(text(&dora["refresh_token"]).to_owned());
    let proxied = client.with("x-forwarded-email", "stranger@example.com");
    assert!(proxied.get("/auth/me").status >= 400);
    proxied
        .with("x-forwarded-email", "admin")
        .get("/auth/me")
        .expect(400);
    admin
        .with("origin", "https://evil.example")
        .delete("/auth/logins")
        .expect(403);

    // The operator.
    server.reconfigure(
        &server
            .configuration()
            .replace("\"invite\"", "\"closed\"")
            .replace(
                "[device]",
                "[accounts]\nregistration = \"closed\"\n[device]",
            ),
    );
    operator(&["throttle", "clear", "--all"]);
    operator(&["config", "reload"]);
    operator(&["throttle", "clear", "--account", "bob"]);
    operator(&["data", "export", "all.jsonl"]);
    admin.delete("/auth/users/bob").expect(204);
    let old = printed_kid(&server);
    operator(&["key", "rotate"]);
    operator(&["key", "retire", &old, "--now", "--yes"]);
    let again = server.stop().1.start();

    let entries = trail_with(&again, |entry| entry["event"] == "server.started");
    let found: BTreeSet<&str> = entries.iter().map(|entry| text(&entry["event"])).collect();
    // Told of by tests of their own.
    let elsewhere = [
        "claim.denied",
        "audit.pruned",
        "audit.lost",
        "certificate.renewed",
        "data.restored",
    ];
    for event in Event::ALL {
        let is_there = found.contains(event.name()) || elsewhere.contains(&event.name());
        assert!(is_there, "no {event} in:\n{}", exported(&again, &[]));
    }

    // Who, whom, from where, by which backend, why, by which request.
    let reset = last(&entries, "password.reset");
    assert_eq!(
        (
            &reset["by"],
            &reset["account"],
            &reset["backend"],
            &reset["result"]
        ),
        (
            &json!("admin"),
            &json!("bob"),
            &json!("local"),
            &json!("done")
        )
    );
    assert_eq!(reset["request_id"], reset_id.as_str());
    assert_eq!(reset["address"], "127.0.0.1");
    assert_eq!(reset["agent"], "omnigent-tests/1.0");
    let denied = of(&entries, "login.denied");
    let by_name = |name: &str| denied.iter().any(|entry| entry["account"] == name);
    assert!(by_name("admin") && by_name("bob") && by_name("unknown"));
    assert!(
        denied
            .iter()
            .all(|entry| entry["result"] == "denied" && entry["actor"] == "nobody")
    );
    let accepted = of(&entries, "login.accepted");
    let of_carol = accepted
        .iter()
        .find(|entry| entry["backend"] == "file" && entry["account"] == "bob");
    assert_eq!(of_carol.map(|entry| &entry["by"]), Some(&json!("bob")));
    for (event, field, value) in [
        ("throttled", "account", "bob"),
        ("identity.expected", "actor", "operator"),
        ("identity.denied", "reason", "not admitted"),
        ("identity.denied", "backend", "proxy"),
        ("request.forged", "reason", "another site"),
        ("credential.denied", "reason", "malformed token"),
        ("access.denied", "by", "dora"),
        ("access.denied", "reason", "not an admin"),
        ("identity.gone", "account", "dora"),
        ("grant.reused", "account", "admin"),
        ("token.revoked", "account", "admin"),
        ("token.revoked", "target", text(&rotated["id"])),
        ("config.changed", "detail", "accounts.registration"),
        ("config.changed", "actor", "operator"),
        ("key.retired", "target", &old),
        ("data.read", "actor", "operator"),
        ("account.deleted", "account", "bob"),
        ("account.deleted", "by", "admin"),
        ("device.refused", "reason", "client secret"),
    ] {
        let is_said = of(&entries, event)
            .iter()
            .any(|entry| entry[field] == value);
        assert!(
            is_said,
            "{event} {field} {value}: {:?}",
            of(&entries, event)
        );
    }
    for entry in &entries {
        let is_by_request = !["system", "operator"].contains(&text(&entry["actor"]));
        if is_by_request {
            assert!(!text(&entry["request_id"]).is_empty(), "{entry}");
            assert!(!text(&entry["address"]).is_empty(), "{entry}");
        }
    }

    // Every entry has its log line, and nothing secret is in any of it.
    let jsonl = exported(&again, &[]);
    let csv = exported(&again, &["--format", "csv"]);
    let (_, tail, _) = again.operator(&["audit", "tail", "-n", "1000"]);
    assert_eq!(csv.lines().count(), tail.lines().count() + 1);
    assert!(tail.lines().count() > 50);
    for secret in &secrets {
        for (what, text) in [
            ("jsonl", &jsonl),
            ("csv", &csv),
            ("tail", &tail),
            ("log", &again.log()),
        ] {
            assert!(
                !secret.is_empty() && !text.contains(secret.as_str()),
                "{secret} in {what}"
            );
        }
    }
    assert!(!jsonl.contains("eyJ"), "a token");
    sound(&again);
}

#[test]
fn a_wrong_setup_code_is_in_the_trail() {
    let server = ServerBuilder::accounts()
        .also("[server]\npublic_url = \"https://auth.example.com\"")
        .start();
    let body =
        json!({"username": "admin", "password": PASSWORD, "setup_code": "guess-guess-guess"});
    server.client().post("/auth/setup", body).expect(403);
    let entries = trail_with(&server, |entry| entry["event"] == "claim.denied");
    assert_eq!(last(&entries, "claim.denied")["address"], "127.0.0.1");
    assert!(!exported(&server, &[]).contains("guess-guess"));
}

#[test]
fn what_was_acknowledged_is_in_the_trail_after_a_kill() {
    let mut server = ServerBuilder::accounts().start();
    server.claim();
    for round in 0..5 {
        let admin = server.login("admin", PASSWORD);
        let made = admin
            .post("/auth/tokens", json!({"name": "ci"}))
            .expect(201)
            .json();
        server = server.kill_and_restart();
        let entries = read(&exported(&server, &[]));
        let is_there = of(&entries, "token.created")
            .iter()
            .any(|entry| entry["target"] == made["id"]);
        assert!(is_there, "round {round}");
        sound(&server);
    }
    // A start that no stop comes before tells of a crash.
    let entries = trail_with(&server, |entry| entry["event"] == "server.started");
    assert!(of(&entries, "server.stopped").is_empty());
}

#[test]
fn a_flood_of_refusals_from_everywhere_is_summed_and_none_is_forgotten() {
    const FLOOD: u64 = 3000;
    let server = ServerBuilder::accounts()
        .also("[server]\ntrusted_proxies = [\"127.0.0.1\"]")
        .start();
    server.claim();
    let before = read(&exported(&server, &[])).len();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let client = server.client().bearer("bad");
            std::thread::spawn(move || {
                for i in 0..FLOOD / 4 {
                    let address = format!("10.{thread}.{}.{}", i / 250, i % 250);
                    client
                        .with("x-forwarded-for", &address)
                        .get("/auth/me")
                        .expect(401);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("all are refused");
    }
    let server = server.stop().1.start();
    let entries = read(&exported(&server, &[]));
    let denied = of(&entries, "credential.denied");
    assert!(
        denied.len() <= 2 * 257 && entries.len() - before < 600,
        "{}",
        denied.len()
    );
    let counted: u64 = denied
        .iter()
        .map(|entry| entry["count"].as_u64().unwrap_or(1))
        .sum();
    let lost: u64 = of(&entries, "audit.lost")
        .iter()
        .filter_map(|entry| entry["count"].as_u64())
        .sum();
    assert_eq!(counted + lost, FLOOD);
    sound(&server);
}

#[test]
fn what_strangers_send_stays_on_its_line() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let agent = "x\",\"event\":\"login.accepted\",\"by\":\"admin\"}{ \\u001b[2J";
    let client = server.client().with("user-agent", agent);
    let name = "admin\r\n9 2026-11-27T00:00:00.000Z login.accepted admin\u{1b}[2J";
    let body = json!({"username": name, "password": "wrong-one"});
    client.post("/auth/login", body).expect(401);
    let entries = trail_with(&server, |entry| entry["event"] == "login.denied");
    let denied = last(&entries, "login.denied");
    assert_eq!(
        (text(&denied["account"]), text(&denied["agent"])),
        ("unknown", agent)
    );
    let (_, tail, _) = server.operator(&["audit", "tail", "-n", "100"]);
    assert_eq!(tail.lines().count(), entries.len());
    assert!(!tail.contains('\u{1b}'));
    assert!(tail.lines().all(|line| {
        line.split(' ')
            .next()
            .is_some_and(|seq| seq.parse::<u64>().is_ok())
    }));
    sound(&server);
}

#[test]
fn the_command_shows_proves_and_exports_with_the_server_up_and_down() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let noted = sound(&server);
    server.join(&admin, "bob");
    let (code, out, _) = server.operator(&["audit", "verify", "--expect", &noted]);
    assert_eq!(code, 0, "{out}");
    let (seq, hash) = noted.split_once(':').expect("number and hash");
    let other = format!("{seq}:{}", hash.chars().rev().collect::<String>());
    let (code, _, complaint) = server.operator(&["audit", "verify", "--expect", &other]);
    assert!(code == 1 && complaint.contains("rewritten"), "{complaint}");
    let beyond = format!("99999:{hash}");
    let (code, _, complaint) = server.operator(&["audit", "verify", "--expect", &beyond]);
    assert!(code == 1 && complaint.contains("cut off"), "{complaint}");

    let (_, of_bob, _) = server.operator(&[
        "audit",
        "tail",
        "--account",
        "bob",
        "--event",
        "account.created",
    ]);
    assert!(
        of_bob.lines().count() == 1 && of_bob.contains(" account.created bob "),
        "{of_bob}"
    );
    let (_, newest, _) = server.operator(&["audit", "tail", "-n", "1", "--json"]);
    assert_eq!(read(&newest).len(), 1);
    let (code, _, complaint) = server.operator(&["audit", "tail", "--event", "login.acepted"]);
    assert!(
        code == 2 && complaint.contains("login.accepted"),
        "{complaint}"
    );
    assert_eq!(exported(&server, &["--since", "2030-01-01"]), "");
    assert_eq!(
        exported(&server, &["--since", "1h"]),
        exported(&server, &[])
    );
    assert_eq!(exported(&server, &["--until", "1h"]), "");

    // Follows until nobody reads any more.
    let mut follow = Command::new(binary())
        .args([
            "audit",
            "tail",
            "-f",
            "-n",
            "0",
            "--event",
            "login.ended",
            "--data-dir",
        ])
        .arg(server.dir.path().join("data"))
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(follow.stdout.take().expect("piped")).lines();
    let ended = std::thread::spawn(move || lines.next());
    // It may not have begun yet: what it is to see comes again.
    for _ in 0..100 {
        let bob = server.login("bob", PASSWORD);
        bob.send("POST", "/auth/logout", None, "").expect(204);
        std::thread::sleep(Duration::from_millis(100));
        if ended.is_finished() {
            break;
        }
    }
    let line = ended.join().expect("read").expect("a line").expect("text");
    assert!(line.contains(" login.ended bob "), "{line}");
    let _ = follow.kill();
    let _ = follow.wait();

    let dir = server.dir.clone();
    let (_, builder) = server.stop();
    let run = |args: &[&str]| operate(&dir, args);
    let (code, out, complaint) = run(&["audit", "verify", "--expect", &noted]);
    assert!(code == 0 && out.starts_with("sound: "), "{complaint}");
    let (_, out, _) = run(&["audit", "tail", "-n", "1"]);
    assert!(out.contains("server.stopped"), "{out}");
    let (code, _, complaint) = run(&["audit", "tail", "-f"]);
    assert!(
        code == 1 && complaint.contains("no server runs"),
        "{complaint}"
    );
    drop(builder);
}

#[test]
fn what_was_done_while_no_server_ran_is_told_at_the_next_start() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let dir = server.dir.clone();
    let (_, builder) = server.stop();
    let (code, _, complaint) = operate(&dir, &["key", "rotate"]);
    assert_eq!(code, 0, "{complaint}");
    let secret = "7f0c2d5e-a-secret-of-devices";
    let server = builder
        .also(&format!(
            "[accounts]\ninvite_ttl = \"2h\"\n[device]\nclient_secret = \"{secret}\"\n"
        ))
        .start();
    assert!(server.says("key.rotated"), "{}", server.log());
    let entries = trail_with(&server, |entry| entry["detail"] == "device.client_secret");
    let changed = |entries: &[Value]| -> Vec<_> {
        let changed = of(entries, "config.changed").into_iter();
        let said = |entry: &Value| format!("{} {}", text(&entry["detail"]), text(&entry["reason"]));
        changed.map(said).collect()
    };
    let expected = [
        "accounts.invite_ttl by a restart",
        "device.client_secret by a restart",
    ];
    assert_eq!(changed(&entries), expected);
    assert!(server.says("config.changed") && !server.log().contains(secret));

    // Once is enough: neither the log nor the trail says it again.
    let (_, builder) = server.stop();
    let server = builder.start();
    assert!(server.says("server.started"));
    let entries = trail_with(&server, |entry| entry["event"] == "server.started");
    assert_eq!(changed(&entries), expected);
    assert!(!server.log().contains("key.rotated"), "{}", server.log());

    // What a reload changed is not changed by the next restart.
    let reloaded = server.configuration().replace("2h", "3h");
    server.reconfigure(&reloaded);
    let (code, _, complaint) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0, "{complaint}");
    let (_, builder) = server.stop();
    let server = builder.config(&reloaded).start();
    let entries = trail_with(&server, |entry| entry["event"] == "server.started");
    assert_eq!(changed(&entries)[2..], ["accounts.invite_ttl "]);
}

#[test]
fn admins_read_the_trail_from_afar_and_on_a_page() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    for _ in 0..60 {
        let made = admin
            .post("/auth/tokens", json!({"name": "ci"}))
            .expect(201)
            .json();
        admin
            .delete(&format!("/auth/tokens/{}", text(&made["id"])))
            .expect(204);
    }
    bob.get("/auth/audit").expect(403);
    bob.get("/admin/audit").expect(403);
    let first = admin.get("/auth/audit?limit=50").expect(200);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let first = first.json();
    let entries = first["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 50);
    let next = first["next"].as_u64().expect("more");
    assert_eq!(entries[49]["seq"], next);
    let second = admin
        .get(&format!("/auth/audit?limit=50&before={next}"))
        .expect(200)
        .json();
    assert_eq!(second["entries"][0]["seq"], next - 1);
    for wrong in [
        "limit=0",
        "limit=1001",
        "event=nonsense",
        "before=-1",
        "since=x",
    ] {
        admin.get(&format!("/auth/audit?{wrong}")).expect(422);
    }

    let page = admin.get("/admin/audit").expect(200);
    assert!(page.text.contains("token.revoked") && page.text.contains(">Older<"));
    let (_, rest) = page.text.split_once("before=").expect("a way on");
    let older: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let page = admin
        .get(&format!("/admin/audit?before={older}"))
        .expect(200);
    assert!(page.text.contains(">Newest<"));
    let page = admin
        .get("/admin/audit?event=account.created&account=Bob")
        .expect(200);
    let rows = page.text.matches("<li id=\"entry-").count();
    assert!(
        rows == 1 && page.text.contains("<code>account.created</code> bob"),
        "{}",
        page.text
    );
    let page = admin
        .get("/admin/audit?event=nonsense&account=&before=x")
        .expect(200);
    assert!(page.text.contains("token.revoked"));
    let page = admin.get("/admin/audit?account=%3Cscript%3E").expect(200);
    assert!(page.text.contains("Nothing.") && !page.text.contains("<script>"));
}

#[test]
fn the_trail_is_as_long_as_the_operator_says_and_stays_sound() {
    // Pruning is tested entry by entry in the server; here only that its bounds are taken.
    for (key, value) in [
        ("retention", "\"1h\""),
        ("max_entries", "10"),
        ("webhook_url", "\"http://example.com\""),
    ] {
        let builder = ServerBuilder::accounts().also(&format!("[audit]\n{key} = {value}"));
        let log = builder.try_start().err().expect("it does not start");
        assert!(log.contains(&format!("audit.{key}")), "{log}");
    }
    let log = ServerBuilder::accounts()
        .also("[audit]\nwebhook_url = \"https://example.com\"")
        .try_start()
        .err()
        .expect("it does not start");
    assert!(log.contains("audit.webhook_secret_file"), "{log}");
}

const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What a webhook was told: its headers in lower case, and the body.
struct Told {
    head: String,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name))
            .map_or("", |(_, value)| value)
    }

    fn seqs(&self) -> Vec<u64> {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        let entries = body["entries"].as_array().expect("entries").iter();
        entries.filter_map(|entry| entry["seq"].as_u64()).collect()
    }
}

/// A server that answers so many times with 500, and then with 204.
fn listener(mut failures: usize) -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", listener.local_addr().expect("an address"));
    let (say, hear) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(told) = take(&stream) else { continue };
            let status = if failures > 0 { "500 No" } else { "204 Yes" };
            failures = failures.saturating_sub(1);
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = (&stream).write_all(answer.as_bytes());
            if say.send(told).is_err() {
                return;
            }
        }
    });
    (url, hear)
}

fn take(stream: &TcpStream) -> Option<Told> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.replace("\r\n", "\n");
    let mut told = Told {
        head,
        body: String::new(),
    };
    let length = told.header("content-length").parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    told.body = String::from_utf8(body).ok()?;
    Some(told)
}

#[test]
fn a_webhook_is_told_everything_in_order_and_can_tell_it_is_us() {
    let (url, told) = listener(1);
    let server = ServerBuilder::accounts()
        .also(&format!(
            "[audit]\nwebhook_url = {url:?}\nwebhook_secret = {WEBHOOK_SECRET:?}"
        ))
        .start();
    let wait = || {
        told.recv_timeout(Duration::from_secs(30))
            .expect("it is told")
    };
    let failed = wait();
    let again = wait();
    let id = failed.header("webhook-id").to_owned();
    assert!(id.starts_with("audit_1_"), "{id}");
    // Tried again with what it began with: who has seen it can tell.
    assert_eq!(again.seqs()[0], failed.seqs()[0]);
    server.claim();
    let (mut seqs, mut last) = (again.seqs(), again);
    while !last.body.contains("server.claimed") {
        last = wait();
        seqs.extend(last.seqs());
    }
    let expected: Vec<u64> = (1..=seqs.len() as u64).collect();
    assert_eq!(seqs, expected, "each once, in order");
    let key = STANDARD
        .decode(WEBHOOK_SECRET.trim_start_matches("whsec_"))
        .expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = format!(
        "{}.{}.{}",
        last.header("webhook-id"),
        last.header("webhook-timestamp"),
        last.body
    );
    let signature = last.header("webhook-signature").trim_start_matches("v1,");
    let signature = STANDARD.decode(signature).expect("base64");
    hmac::verify(&key, signed.as_bytes(), &signature).expect("our signature");
    // What it was told it is not told again after a kill, and what it was not, it is.
    let server = server.kill_and_restart();
    server.login("admin", PASSWORD);
    let next = wait();
    assert!(next.seqs()[0] > 1, "{:?}", next.seqs());
    assert!(!server.log().contains(&WEBHOOK_SECRET[6..]) && !server.log().contains(&url));
}

#[test]
fn a_webhook_that_is_not_there_holds_nobody_up() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", gone.local_addr().expect("an address"));
    drop(gone);
    let server = ServerBuilder::accounts()
        .also(&format!(
            "[audit]\nwebhook_url = {url:?}\nwebhook_secret = {WEBHOOK_SECRET:?}"
        ))
        .start();
    let admin = server.claim();
    for _ in 0..50 {
        admin
            .post("/auth/tokens", json!({"name": "ci"}))
            .expect(201);
    }
    assert!(server.says("the audit webhook was not told"));
    sound(&server);
}
