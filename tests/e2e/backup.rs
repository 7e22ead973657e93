//! Backups: made while people write, checked, restored onto an empty machine and signed in to.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder, operate, operator_command};
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse battery staple";

/// A machine without a server: a folder of its own.
struct Machine(Arc<TempDir>);

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Self {
        Self(Arc::new(TempDir::new().expect("a temporary folder")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the command on this machine's `data`.
    fn run(&self, args: &[&str]) -> Ended {
        let (code, out, err) = operate(&self.0, args);
        Ended { code, out, err }
    }

    /// A server on it.
    fn serve(&self) -> Server {
        ServerBuilder::accounts().on(&self.0).start()
    }
}

fn on(server: &Server) -> Machine {
    Machine(Arc::clone(&server.dir))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn api_token(client: &Client, name: &str) -> (String, String) {
    let made = client.post("/auth/tokens", json!({"name": name}));
    let made = made.expect(201).json();
    (
        text(&made["id"]).to_owned(),
        text(&made["token"]).to_owned(),
    )
}

fn refresh(server: &Server, token: &str) -> u16 {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    server.client().form("/oauth/token", &fields).status
}

fn me(server: &Server, token: &str) -> u16 {
    server.client().bearer(token).get("/v1/me").status
}

#[test]
fn a_backup_restored_onto_an_empty_machine_is_the_same_server() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "bob");
    let (_, kept) = api_token(&admin, "kept");
    let (dead_id, dead) = api_token(&admin, "dead");
    admin.delete(&format!("/auth/tokens/{dead_id}")).expect(204);
    let login = json!({"username": "bob", "password": PASSWORD, "client_id": "omnigent-cli"});
    let login = server
        .client()
        .post("/auth/login", login)
        .expect(200)
        .json();
    let old = on(&server);
    let made = old.run(&["backup", "backup"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.err.contains("whoever reads it can sign in as anybody"),
        "{made:?}"
    );
    drop(server);

    let new = Machine::new();
    fs::copy(old.path("backup"), new.path("backup")).expect("a copy");
    let restored = new.run(&["restore", "backup"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(
        restored.err.contains("works again until it ends by itself"),
        "{restored:?}"
    );
    let server = new.serve();
    server.login("bob", PASSWORD).get("/v1/me").expect(200);
    assert_eq!(me(&server, &kept), 200);
    assert_eq!(me(&server, text(&login["token"])), 200);
    assert_eq!(refresh(&server, text(&login["refresh_token"])), 200);
    assert_eq!(me(&server, &dead), 401, "what was revoked stays revoked");
    assert_eq!(server.client().get("/v1/info").json()["needs_setup"], false);
}

#[test]
fn an_old_backup_can_be_restored_with_everybody_signed_out() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let (_, before) = api_token(&admin, "before");
    let login = json!({"username": "admin", "password": PASSWORD, "client_id": "omnigent-cli"});
    let login = server
        .client()
        .post("/auth/login", login)
        .expect(200)
        .json();
    let invite = admin.post("/auth/invite", json!({})).expect(200).json();
    let machine = on(&server);
    assert_eq!(machine.run(&["backup", "old"]).code, 0);
    let (_, since) = api_token(&admin, "since");
    let (_, builder) = server.stop();
    let restored = machine.run(&["restore", "old", "--force", "--end-all-logins"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(
        restored.out.contains("ended 2 logins and 1 API tokens"),
        "{restored:?}"
    );
    let server = builder.start();
    for token in [&before, &since, text(&login["token"])] {
        assert_eq!(me(&server, token), 401);
    }
    assert_eq!(refresh(&server, text(&login["refresh_token"])), 400);
    let body = json!({"invite": invite["token"], "username": "eve", "password": PASSWORD});
    server.client().post("/auth/register", body).expect(400);
    server.login("admin", PASSWORD).get("/v1/me").expect(200);
}

/// What writers were told is done.
#[derive(Default)]
struct Told {
    accounts: Vec<String>,
    dead: Vec<String>,
    live: Vec<String>,
}

#[test]
fn a_backup_made_while_people_write_is_whole_and_has_all_that_was_acknowledged_before_it() {
    let server = ServerBuilder::accounts()
        .also("[throttle]\nregistered_per_hour = 60000\n")
        .start();
    let admin = server.claim();
    let told = Mutex::new(Told::default());
    let stop = AtomicBool::new(false);
    let machine = on(&server);
    let backups = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (admin, told, stop) = (&admin, &told, &stop);
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (id, token) = api_token(admin, &format!("t{i}"));
                    if i % 2 == 0 {
                        admin.delete(&format!("/auth/tokens/{id}")).expect(204);
                        told.lock().expect("no panic").dead.push(token);
                    } else {
                        told.lock().expect("no panic").live.push(token);
                    }
                    if i % 10 == 0 {
                        let name = format!("user{writer}x{i}");
                        let invite = admin.post("/auth/invite", json!({})).expect(200).json();
                        let body = json!({"invite": invite["token"], "username": name, "password": PASSWORD});
                        admin.anonymous().post("/auth/register", body).expect(200);
                        told.lock().expect("no panic").accounts.push(name);
                    }
                }
            });
        }
        let mut backups = Vec::new();
        for number in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(200));
            let counts = {
                let told = told.lock().expect("no panic");
                (told.accounts.len(), told.dead.len(), told.live.len())
            };
            let name = format!("backup{number}");
            let made = machine.run(&["backup", &name]);
            assert_eq!(made.code, 0, "{made:?}");
            backups.push((name, counts));
        }
        stop.store(true, Ordering::Relaxed);
        backups
    });
    drop(server);
    let told = told.into_inner().expect("no panic");
    for (name, (accounts, dead, live)) in backups {
        let new = Machine::new();
        let backup = machine.path(&name).display().to_string();
        let restored = new.run(&["restore", &backup]);
        assert_eq!(restored.code, 0, "{restored:?}");
        let server = new.serve();
        let admin = server.login("admin", PASSWORD);
        let people = admin.get("/auth/users?limit=1000").expect(200).json();
        let people = people["users"].as_array().expect("people").clone();
        for name in &told.accounts[..accounts] {
            assert!(
                people.iter().any(|row| row["id"] == **name),
                "{name} is lost"
            );
        }
        // An account and its password are one transaction, and so are a token's end and its entry.
        assert!(people.iter().all(|row| row["has_password"] == true));
        let last = |list: &[String], to: usize| list[to.saturating_sub(25)..to].to_vec();
        for token in last(&told.dead, dead) {
            assert_eq!(me(&server, &token), 401, "revoked before the backup");
        }
        for token in last(&told.live, live) {
            assert_eq!(me(&server, &token), 200);
        }
    }
}

#[test]
fn the_drill_starts_a_server_on_a_copy_and_leaves_nothing() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let (dead, _) = api_token(&admin, "dead");
    admin.delete(&format!("/auth/tokens/{dead}")).expect(204);
    let machine = on(&server);
    assert_eq!(machine.run(&["backup", "backup"]).code, 0);
    let drill = machine.run(&["backup", "verify", "backup", "--drill", "--json"]);
    assert_eq!(drill.code, 0, "{drill:?}");
    let report: Value = serde_json::from_str(&drill.out).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    let steps = report["drill"].as_array().expect("steps");
    for what in [
        "admin is signed in",
        "the keys sign and verify",
        "was revoked is refused",
        "refused at once",
        "after a restart",
    ] {
        let said = |step: &Value| text(&step["what"]).contains(what) && step["ok"] == true;
        assert!(steps.iter().any(said), "{what}: {report}");
    }
    let left = fs::read_dir(machine.0.path()).expect("a folder").flatten();
    let left: Vec<_> = left
        .filter(|entry| entry.file_name().to_string_lossy().contains("drill"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // The running server was not touched.
    admin.get("/v1/me").expect(200);
}

#[test]
fn a_backup_with_another_servers_keys_fails_the_drill() {
    let (one, other) = (
        ServerBuilder::accounts().start(),
        ServerBuilder::accounts().start(),
    );
    one.claim();
    other.claim();
    let (machine, elsewhere) = (on(&one), on(&other));
    assert_eq!(machine.run(&["backup", "backup"]).code, 0);
    assert_eq!(elsewhere.run(&["backup", "backup"]).code, 0);
    let lines = |machine: &Machine| {
        let said = fs::read_to_string(machine.path("backup")).expect("a backup");
        let lines: Vec<_> = said.lines().map(str::to_owned).collect();
        lines
    };
    // Whoever writes the file anew can make its checksum right: it holds against accidents.
    let mut forged = lines(&machine);
    forged[1] = lines(&elsewhere)[1].clone();
    forged.pop();
    let count = forged.len();
    let body = forged.join("\n") + "\n";
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let sum: String = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let body = format!("{body}{{\"lines\":{count},\"sha256\":\"{sum}\"}}\n");
    fs::write(machine.path("forged"), body).expect("a file");
    assert_eq!(machine.run(&["backup", "verify", "forged"]).code, 0);
    let drill = machine.run(&["backup", "verify", "forged", "--drill"]);
    assert_eq!(drill.code, 1, "{drill:?}");
    assert!(drill.err.contains("another installation"), "{drill:?}");
}

#[test]
fn an_encrypted_backup_opens_with_its_passphrase_and_with_age() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let machine = on(&server);
    fs::write(machine.path("passphrase"), format!("{PASSPHRASE}\n")).expect("a file");
    fs::write(machine.path("wrong"), "another long passphrase\n").expect("a file");
    fs::write(machine.path("short"), "too short\n").expect("a file");
    let make = |file: &str, passphrase: &str| {
        machine.run(&["backup", file, "--passphrase-file", passphrase])
    };
    let short = make("backup", "short");
    assert!(
        short.code == 2 && short.err.contains("12 characters"),
        "{short:?}"
    );
    let made = make("backup", "passphrase");
    assert!(made.code == 0 && made.err.is_empty(), "{made:?}");
    let bytes = fs::read(machine.path("backup")).expect("a backup");
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!String::from_utf8_lossy(&bytes).contains("keyring"));

    let verify = |file: &str, passphrase: &[&str]| {
        machine.run(&[&["backup", "verify", file][..], passphrase].concat())
    };
    let right = ["--passphrase-file", "passphrase"];
    assert_eq!(verify("backup", &right).code, 0);
    let none = verify("backup", &[]);
    assert!(
        none.code == 2 && none.err.contains("is encrypted"),
        "{none:?}"
    );
    let wrong = verify("backup", &["--passphrase-file", "wrong"]);
    assert!(
        wrong.code == 2 && wrong.err.contains("passphrase is wrong"),
        "{wrong:?}"
    );

    // Every region of the file: version, work factor, key, its seal, nonce, first and last block.
    let header = String::from_utf8_lossy(&bytes)
        .find("\n---")
        .expect("a seal");
    let places = [
        5,
        25,
        60,
        header - 5,
        header + 10,
        header + 60,
        header + 200,
    ];
    for place in places.into_iter().chain([bytes.len() / 2, bytes.len() - 1]) {
        let mut bad = bytes.clone();
        bad[place] ^= 1;
        fs::write(machine.path("bad"), &bad).expect("a file");
        let refused = verify("bad", &right);
        assert!([2, 4].contains(&refused.code), "byte {place}: {refused:?}");
    }
    for length in [10, header + 30, bytes.len() - 1] {
        fs::write(machine.path("bad"), &bytes[..length]).expect("a file");
        assert_eq!(verify("bad", &right).code, 4, "cut to {length}");
    }

    // The same lines, by the tool of that name.
    let mut age = Command::new("age");
    age.arg("-d")
        .arg("-o")
        .arg(machine.path("plain"))
        .arg(machine.path("backup"));
    let mut age = rexpect::session::spawn_command(age, Some(60_000)).expect("age is installed");
    age.exp_string("passphrase").expect("it asks");
    age.send_line(PASSPHRASE).expect("a terminal");
    age.exp_eof().expect("it ends");
    assert_eq!(verify("plain", &[]).code, 0);
    // Anybody can put a file without a seal in the place of one with.
    let plain = verify("plain", &right);
    assert!(
        plain.code == 2 && plain.err.contains("is not encrypted"),
        "{plain:?}"
    );
    let new = Machine::new();
    let backup = machine.path("backup").display().to_string();
    let passphrase = machine.path("passphrase").display().to_string();
    let plain = machine.path("plain").display().to_string();
    let refused = new.run(&["restore", &plain, "--passphrase-file", &passphrase]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let restored = new.run(&["restore", &backup, "--passphrase-file", &passphrase]);
    assert_eq!(restored.code, 0, "{restored:?}");
    new.serve().login("admin", PASSWORD);
}

#[test]
fn a_backup_is_for_its_owner_and_replaces_nothing_by_itself() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let machine = on(&server);
    assert_eq!(machine.run(&["backup", "backup"]).code, 0);
    let about = fs::metadata(machine.path("backup")).expect("a backup");
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    fs::write(machine.path("precious"), "x").expect("a file");
    let refused = machine.run(&["backup", "precious"]);
    assert!(
        refused.code == 1 && refused.err.contains("--force"),
        "{refused:?}"
    );
    assert_eq!(fs::read(machine.path("precious")).expect("a file"), b"x");
    assert_eq!(machine.run(&["backup", "precious", "--force"]).code, 0);
    assert_eq!(machine.run(&["backup", "verify", "precious"]).code, 0);
    assert_eq!(machine.run(&["backup", "nowhere/backup"]).code, 1);
    // With the server stopped it works as well, and says the same.
    let (_, _builder) = server.stop();
    assert_eq!(machine.run(&["backup", "later"]).code, 0);
    let lines = |name: &str| {
        let said = fs::read_to_string(machine.path(name)).expect("a backup");
        // All but the audit trail, in which the first backup is noted, how far the log has told it, and
        // the sums.
        let lines = said.lines().skip(1).filter(|line| {
            let is_of = |table| line.starts_with(&format!("{{\"table\":{table}"));
            !["34,", "60,", "61,"].into_iter().any(is_of)
                && (line.starts_with("{\"table\"") || line.contains("file"))
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("later"), lines("backup"));
    let names = fs::read_dir(machine.0.path()).expect("a folder").flatten();
    assert!(
        names
            .into_iter()
            .all(|entry| !entry.file_name().to_string_lossy().contains("partial"))
    );
}

#[test]
fn a_restore_touches_nothing_that_is_in_use_and_is_all_or_nothing() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let machine = on(&server);
    assert_eq!(machine.run(&["backup", "backup"]).code, 0);
    server.join(&server.login("admin", PASSWORD), "bob");
    assert_eq!(
        machine.run(&["restore", "backup"]).code,
        1,
        "it is not empty"
    );
    let in_use = machine.run(&["restore", "backup", "--force"]);
    assert!(
        in_use.code == 3 && in_use.err.contains("stop it first"),
        "{in_use:?}"
    );
    let (_, builder) = server.stop();

    // A bad backup leaves everything as it was.
    let said = fs::read_to_string(machine.path("backup")).expect("a backup");
    fs::write(
        machine.path("bad"),
        said.replacen("\"version\":1", "\"version\":2", 1),
    )
    .expect("a file");
    let refused = machine.run(&["restore", "bad", "--force"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let server = builder.start();
    server.login("bob", PASSWORD);
    let (_, builder) = server.stop();

    // What is there is moved aside, whole.
    let restored = machine.run(&["restore", "backup", "--force"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let aside = fs::read_dir(machine.path("data"))
        .expect("a folder")
        .flatten();
    let aside = aside
        .map(|entry| entry.path())
        .find(|path| path.display().to_string().contains("before-restore-"))
        .expect("a folder aside");
    assert!(aside.join("store/db").exists() && aside.join("keyring.json").exists());
    let server = builder.start();
    let body = json!({"username": "bob", "password": PASSWORD});
    server.client().post("/auth/login", body).expect(401);
    let (_, builder) = server.stop();

    // Interrupted: refused by the server and by a second restore, until it is done again.
    fs::create_dir(machine.path("data/.restoring")).expect("a folder");
    let log = builder.try_start().err().expect("refused");
    assert!(
        log.contains("interrupted") && log.contains("exit status: 4"),
        "{log}"
    );
    assert_eq!(machine.run(&["backup", "another"]).code, 4);
    assert_eq!(machine.run(&["restore", "backup"]).code, 4);
    assert_eq!(machine.run(&["restore", "backup", "--force"]).code, 0);
    machine.serve().login("admin", PASSWORD);
}

#[test]
fn a_keyring_that_is_gone_or_anothers_stops_the_start() {
    let (one, other) = (
        ServerBuilder::accounts().start(),
        ServerBuilder::accounts().start(),
    );
    one.claim();
    other.claim();
    let (here, there) = (on(&one), on(&other));
    let (_, builder) = one.stop();
    drop(other);
    let keyring = here.path("data/keyring.json");
    let kept = fs::read(&keyring).expect("a keyring");
    let refuse = |builder: ServerBuilder, why: &str| {
        let log = builder.try_start().err().expect("refused");
        assert!(log.contains(why) && log.contains("exit status: 2"), "{log}");
    };
    fs::remove_file(&keyring).expect("it is there");
    refuse(
        ServerBuilder::accounts().on(&here.0),
        "keyring.json is missing",
    );
    assert_eq!(here.run(&["backup", "b"]).code, 1, "no backup without it");
    fs::copy(there.path("data/keyring.json"), &keyring).expect("a copy");
    refuse(
        ServerBuilder::accounts().on(&here.0),
        "belongs to another installation",
    );
    fs::write(&keyring, &kept).expect("a file");
    builder.start().login("admin", PASSWORD);
}

/// The lines of an export between its first and its last.
fn records(path: &Path) -> Vec<String> {
    let said = fs::read_to_string(path).expect("an export");
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

#[test]
fn an_export_goes_into_another_installation_and_comes_out_the_same() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "bob");
    let (_, token) = api_token(&admin, "ci");
    let agent = admin.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    admin
        .post("/v1/sessions", json!({"agent_id": agent, "title": "kept"}))
        .expect(201);
    let machine = on(&server);
    assert_eq!(machine.run(&["data", "export", "all.jsonl"]).code, 0);
    let said = fs::read_to_string(machine.path("all.jsonl")).expect("an export");
    let keyring = fs::read_to_string(machine.path("data/keyring.json")).expect("a keyring");
    let keyring: Value = serde_json::from_str(&keyring).expect("JSON");
    for secret in [&keyring["hash_key"], &keyring["keys"][0]["secret"]] {
        assert!(!said.contains(text(secret)) && !text(secret).is_empty());
    }
    let piped = machine.run(&["data", "export", "-"]);
    assert_eq!(piped.out.lines().count(), said.lines().count());

    let new = Machine::new();
    let export = machine.path("all.jsonl").display().to_string();
    assert_eq!(
        machine.run(&["data", "import", &export]).code,
        1,
        "not empty"
    );
    assert_eq!(new.run(&["restore", &export]).code, 1, "no backup");
    let imported = new.run(&["data", "import", &export]);
    assert!(
        imported.code == 0 && imported.out.contains("new keys"),
        "{imported:?}"
    );
    assert_eq!(new.run(&["data", "export", "again.jsonl"]).code, 0);
    assert_eq!(
        records(&new.path("again.jsonl")),
        records(&machine.path("all.jsonl"))
    );
    let server = new.serve();
    assert_eq!(me(&server, &token), 401, "other keys");
    let admin = server.login("admin", PASSWORD);
    let sessions = admin.get("/v1/sessions").expect(200).json();
    assert_eq!(sessions["data"].as_array().map(Vec::len), Some(1));

    for (old, changed) in [
        ("\"format\":1", "\"format\":2"),
        ("\"schema\":1", "\"schema\":2"),
        ("\"table\":2,", "\"table\":250,"),
    ] {
        fs::write(machine.path("odd"), said.replacen(old, changed, 1)).expect("a file");
        let odd = machine.path("odd").display().to_string();
        let refused = Machine::new().run(&["data", "import", &odd]);
        assert!([1, 4].contains(&refused.code), "{changed}: {refused:?}");
    }
}

#[test]
fn compacting_keeps_everything_and_shrinks_the_files() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let (_, token) = api_token(&admin, "ci");
    let machine = on(&server);
    assert_eq!(machine.run(&["data", "compact"]).code, 3, "a server runs");
    let running = machine.run(&["data", "status"]);
    assert!(
        running.out.contains("writing   open") && running.out.contains("accounts"),
        "{running:?}"
    );
    let (_, builder) = server.stop();
    assert_eq!(machine.run(&["data", "export", "before"]).code, 0);
    let compacted = machine.run(&["data", "compact"]);
    assert_eq!(compacted.code, 0, "{compacted:?}");
    assert_eq!(machine.run(&["data", "export", "after"]).code, 0);
    assert_eq!(
        records(&machine.path("before")),
        records(&machine.path("after"))
    );
    assert_eq!(machine.run(&["data", "status", "--json"]).code, 0);
    assert!(!machine.path("data/.compacting").exists());
    let server = builder.start();
    assert_eq!(me(&server, &token), 200);
}

#[test]
fn a_restore_that_is_killed_is_refused_or_whole() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    for i in 0..40 {
        api_token(&admin, &format!("t{i}"));
    }
    let old = on(&server);
    assert_eq!(old.run(&["backup", "backup"]).code, 0);
    drop(server);
    let backup = old.path("backup").display().to_string();
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for round in 0..25_u64 {
        let new = Machine::new();
        let mut child = operator_command(&new.0, &["restore", &backup])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the command runs");
        // Any moment will do; a different one each time.
        std::thread::sleep(std::time::Duration::from_millis(round * 13 % 330));
        let _ = child.kill();
        child.wait().expect("a child ends");
        let status = new.run(&["data", "status", "--json"]);
        let end = match status.code {
            0 => "whole",
            4 => "refused",
            // Not begun: there is nothing that a server could take for a store.
            1 if !new.path("data/store").exists() => "nothing",
            _ => panic!("{status:?}"),
        };
        *seen.entry(end).or_default() += 1;
        if end == "refused" {
            let log = ServerBuilder::accounts().on(&new.0).try_start().err();
            assert!(log.is_some_and(|log| log.contains("interrupted")));
            let again = new.run(&["restore", &backup, "--force"]);
            assert_eq!(again.code, 0, "{again:?}");
        }
        if end != "nothing" {
            let sound = new.run(&["backup", "again"]);
            assert_eq!(sound.code, 0, "{sound:?}");
        }
    }
    println!("{seen:?}");
}
