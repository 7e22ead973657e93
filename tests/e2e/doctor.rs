//! `omnigent doctor` on set-ups that are right, and on one fault at a time.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, process::Command};

use omnigent_tests::{
    ServerBuilder, binary,
    collector::{self, Collector},
    idp::{self, Idp},
    rogue::{Fault, Rogue},
    workshop,
};
use serde_json::Value;

const ACCOUNTS: &str = "[auth]\nbackends = [\"local\"]\n[backend.local]\nplugin = \"accounts\"\n";

/// A set-up that no server runs on.
struct Patient {
    dir: tempfile::TempDir,
}

impl Patient {
    fn new(toml: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("omnigent.toml");
        fs::write(&file, toml).expect("a file");
        chmod(&file, 0o600);
        Self { dir }
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Exit code and findings.
    fn examine(&self) -> (i32, Vec<Value>) {
        examine(self.dir.path(), &[])
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn examine(dir: &Path, env: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let output = Command::new(binary())
        .args(["doctor", "--json", "--config"])
        .arg(dir.join("omnigent.toml"))
        .arg("--data-dir")
        .arg(dir.join("data"))
        .env_clear()
        .env("HOME", dir)
        .envs(env.iter().copied())
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let code = output.status.code().expect("it ended by itself");
    assert_eq!(report["ok"], code == 0, "{report:#}");
    let findings = report["findings"].as_array().expect("a list").clone();
    for finding in &findings {
        let is_ok = finding["state"] == "ok";
        assert_eq!(finding["advice"].is_null(), is_ok, "what to do: {finding}");
    }
    (code, findings)
}

#[track_caller]
fn finds(findings: &[Value], check: &str, state: &str, text: &str) {
    let is_it = |finding: &&Value| {
        finding["check"] == check
            && finding["state"] == state
            && finding["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
    };
    assert!(
        findings.iter().any(|finding| is_it(&finding)),
        "no {state} of {check} about {text:?} in {findings:#?}"
    );
}

fn of_state<'f>(findings: &'f [Value], state: &str) -> Vec<&'f Value> {
    findings
        .iter()
        .filter(|finding| finding["state"] == state)
        .collect()
}

#[test]
fn a_sound_set_up_has_nothing_to_mend() {
    let patient = Patient::new(ACCOUNTS);
    let (code, findings) = patient.examine();
    assert_eq!(code, 0, "{findings:#?}");
    assert_eq!(of_state(&findings, "fail"), Vec::<&Value>::new());
    finds(&findings, "backend", "ok", "accounts");
    finds(&findings, "data_dir", "ok", "made at the first start");
    finds(&findings, "disk", "ok", "MiB are free");
    assert!(!patient.data().exists(), "it changes nothing");
}

#[test]
fn it_looks_at_a_server_that_runs_and_disturbs_nothing() {
    let server = ServerBuilder::accounts().start();
    chmod(&server.dir.path().join("omnigent.toml"), 0o600);
    let (code, findings) = examine(server.dir.path(), &[]);
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "server", "ok", "a server runs");
    finds(&findings, "data_dir", "ok", "its owner's alone");
    finds(
        &findings,
        "keyring",
        "ok",
        "its owner's alone".trim_start_matches("its "),
    );
    finds(&findings, "claimed", "warn", "nobody owns the server yet");
    let descriptors = findings
        .iter()
        .find(|finding| finding["check"] == "descriptors");
    let descriptors = descriptors.expect("looked at")["message"].to_string();
    assert!(descriptors.contains("the server may open"), "{descriptors}");
    server.claim();
    let (_, findings) = examine(server.dir.path(), &[]);
    finds(&findings, "claimed", "ok", "somebody owns");
    finds(&findings, "backup", "warn", "knows of no backup");
    let file = server.dir.path().join("backup");
    let file = file.to_str().expect("a text");
    let (code, said, fault) = server.operator(&["backup", file]);
    assert_eq!(code, 0, "{said}{fault}");
    let (_, findings) = examine(server.dir.path(), &[]);
    finds(&findings, "backup", "ok", "the last backup was begun on");
    let table = server.operator_free(&["doctor", "--data-dir", "/nonexistent/omnigent"]);
    assert!(table.1.contains("warn  claimed"), "{table:?}");
    assert!(table.1.contains("→ name [auth] backends"), "{table:?}");
}

#[test]
fn what_others_can_read_or_write_is_found() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let dir = std::sync::Arc::clone(&server.dir);
    drop(server);
    let (data, file) = (dir.path().join("data"), dir.path().join("omnigent.toml"));
    chmod(&file, 0o600);
    for (path, mode, good, check, text) in [
        (&data, 0o755, 0o700, "data_dir", "can be read by others"),
        (&data, 0o770, 0o700, "data_dir", "can be written by others"),
        (
            &data.join("keyring.json"),
            0o640,
            0o600,
            "keyring",
            "can be read by others",
        ),
        (
            &data.join("keyring.json"),
            0o602,
            0o600,
            "keyring",
            "can be written by others",
        ),
        (&file, 0o666, 0o600, "config", "can be written by others"),
    ] {
        chmod(path, mode);
        let (code, findings) = examine(dir.path(), &[]);
        assert_eq!(code, 1, "{path:?} {mode:o} {findings:#?}");
        finds(&findings, check, "fail", text);
        assert_eq!(of_state(&findings, "fail").len(), 1, "{findings:#?}");
        chmod(path, good);
    }
    assert_eq!(examine(dir.path(), &[]).0, 0);
}

#[test]
fn every_fault_of_the_configuration_is_a_finding() {
    let patient =
        Patient::new("[server]\nlisten = 'x'\nlisten_on = 1\n[tokens]\naccess_ttl = '1'\n");
    let (code, findings) = patient.examine();
    assert_eq!(code, 1);
    finds(&findings, "config", "fail", "server.listen (line 2)");
    finds(&findings, "config", "fail", "server.listen_on (line 3)");
    finds(&findings, "config", "fail", "tokens.access_ttl (line 5)");
    assert_eq!(findings.len(), 3);
}

#[test]
fn a_list_of_proxies_that_is_everybody_is_refused_and_a_wide_one_is_named() {
    for list in [
        "[\"0.0.0.0/1\", \"128.0.0.0/1\"]",
        "[\"::/1\", \"10.0.0.0/8\", \"8000::/1\"]",
        "[\"0.0.0.0/2\", \"64.0.0.0/2\", \"128.0.0.0/1\", \"10.0.0.0/8\"]",
    ] {
        let patient = Patient::new(&format!("[server]\ntrusted_proxies = {list}\n{ACCOUNTS}"));
        let (code, findings) = patient.examine();
        assert_eq!(code, 1, "{list}");
        finds(
            &findings,
            "config",
            "fail",
            "every address there is, in parts",
        );
    }
    let wide = "[server]\ntrusted_proxies = [\"0.0.0.0/1\", \"10.0.0.1\"]\n";
    let (code, findings) = Patient::new(&format!("{wide}{ACCOUNTS}")).examine();
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "proxies", "warn", "0.0.0.0/1");
}

#[test]
fn plugins_that_would_not_load_are_found_with_their_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = workshop::built().join("libomnigent_auth_outside.so");
    let file = folder.path().join("libomnigent_auth_outside.so");
    fs::copy(&good, &file).expect("a copy");
    chmod(&file, 0o644);
    let table = |more: &str| {
        format!(
            "[auth]\nbackends = [\"theirs\"]\n[backend.theirs]\nplugin = \"outside\"\n\
             path = {file:?}\npeople = {{}}\n{more}\n"
        )
    };
    let (code, findings) = Patient::new(&table("")).examine();
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "backend", "ok", "theirs: outside");

    let pin = format!("sha256 = \"{}\"", "ab".repeat(32));
    let (code, findings) = Patient::new(&table(&pin)).examine();
    assert_eq!(code, 1);
    finds(&findings, "backend", "fail", "but the configuration pins");

    let (code, findings) = Patient::new(&table("nonsense = 1")).examine();
    assert_eq!(
        (code, of_state(&findings, "fail").len()),
        (1, 1),
        "{findings:#?}"
    );

    chmod(&file, 0o666);
    let (code, findings) = Patient::new(&table("")).examine();
    assert_eq!(code, 1);
    finds(&findings, "backend", "fail", "can be written by others");
    let (code, findings) = Patient::new(&table("required = false")).examine();
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "backend", "warn", "can be written by others");

    fs::write(&file, &fs::read(&good).expect("a file")[..5000]).expect("cut short");
    chmod(&file, 0o644);
    let (code, findings) = Patient::new(&table("")).examine();
    assert_eq!(code, 1);
    finds(&findings, "backend", "fail", "cut short");
}

fn oidc(issuer: &str) -> Patient {
    Patient::new(&format!(
        "[server]\npublic_url = \"http://localhost:1\"\n[auth]\nbackends = [\"corp\"]\n\
         [backend.corp]\nplugin = \"oidc\"\nissuer = {issuer:?}\nclient_id = \"omnigent\"\n\
         client_secret = {:?}\n",
        idp::SECRET
    ))
}

#[test]
fn a_provider_is_asked_for_its_metadata_keys_time_and_redirect() {
    let provider = Idp::start("http://localhost:1", serde_json::json!({}));
    let patient = oidc(&provider.issuer);
    let (code, findings) = patient.examine();
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "provider", "ok", "corp: reached");
    finds(&findings, "clock", "ok", "apart from the provider of corp");
    finds(
        &findings,
        "redirect_uri",
        "ok",
        "http://localhost:1/auth/callback",
    );
    finds(
        &findings,
        "public_url",
        "warn",
        "cannot be reached from here",
    );
    assert!(!format!("{findings:?}").contains(idp::SECRET));

    let elsewhere = Idp::start("http://localhost:2", serde_json::json!({}));
    let (code, findings) = oidc(&elsewhere.issuer).examine();
    assert_eq!(code, 1, "{findings:#?}");
    finds(&findings, "redirect_uri", "fail", "refuses a sign-in with");
}

#[test]
fn what_is_wrong_with_a_provider_is_named() {
    let provider = Rogue::start();
    let patient = oidc(&provider.issuer);
    for (fault, text) in [
        (Fault::KeysEmpty, "publishes no keys"),
        (Fault::KeysAreHtml, "publishes no keys"),
        (Fault::DiscoveryMissing, "is no provider's metadata"),
        (Fault::DiscoveryIsHtml, "is no provider's metadata"),
        (Fault::DiscoveryOfAnother, "calls itself"),
        (Fault::DiscoveryIsHuge, "is no provider's metadata"),
    ] {
        provider.set(fault);
        let (code, findings) = patient.examine();
        assert_eq!(code, 1, "{fault:?} {findings:#?}");
        finds(&findings, "provider", "fail", text);
    }
}

#[test]
fn a_provider_that_is_not_there_is_a_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let (code, findings) = oidc(&format!("http://{address}")).examine();
    assert_eq!(code, 1);
    finds(&findings, "provider", "fail", "cannot be reached");
    let said = format!("{findings:?}");
    assert!(said.contains("refused"), "the reason is told: {said}");
}

#[test]
fn the_clock_is_compared_with_what_was_written() {
    let patient = Patient::new(ACCOUNTS);
    fs::create_dir(patient.data()).expect("a folder");
    chmod(&patient.data(), 0o700);
    let future = patient.data().join("keyring.json");
    fs::write(&future, "").expect("a file");
    chmod(&future, 0o600);
    let touched = Command::new("touch")
        .args(["-d", "+2 days"])
        .arg(&future)
        .status();
    assert!(touched.expect("touch is there").success());
    let (code, findings) = patient.examine();
    assert_eq!(code, 1, "{findings:#?}");
    finds(&findings, "clock", "fail", "behind the newest file");
}

#[test]
fn our_own_certificate_is_looked_at() {
    for (days, state, text) in [("400", "ok", "is good until"), ("5", "warn", "ends on")] {
        let patient = Patient::new("");
        let path = |name: &str| patient.dir.path().join(name);
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=localhost",
            ])
            .args(["-days", days, "-keyout"])
            .arg(path("key.pem"))
            .arg("-out")
            .arg(path("cert.pem"))
            .output()
            .expect("openssl is there");
        assert!(made.status.success(), "{made:?}");
        chmod(&path("key.pem"), 0o600);
        let tls = "[tls]\ncertificate_file = \"cert.pem\"\nkey_file = \"key.pem\"\n";
        fs::write(path("omnigent.toml"), format!("{tls}{ACCOUNTS}")).expect("a file");
        let (code, findings) = patient.examine();
        assert_eq!(code, 0, "{findings:#?}");
        finds(&findings, "certificate", state, text);
    }
}

#[test]
fn it_asks_the_collector_of_traces() {
    let collector = Collector::start();
    let with = |endpoint: &str| {
        Patient::new(&format!(
            "{ACCOUNTS}[tracing]\notlp_endpoint = {endpoint:?}\n"
        ))
    };
    let (code, findings) = with(&collector.endpoint).examine();
    assert_eq!(code, 0, "{findings:#?}");
    finds(&findings, "traces", "ok", "takes traces");
    let gone = format!("http://127.0.0.1:{}", collector::free_port());
    let (code, findings) = with(&gone).examine();
    assert_eq!(code, 0, "nobody is refused anything for it");
    finds(&findings, "traces", "warn", "it cannot be reached");
    // A listener that is no collector: it does not know the path.
    let (code, findings) = with(&format!("{}/elsewhere", collector.endpoint)).examine();
    assert_eq!(code, 0);
    finds(&findings, "traces", "warn", "it answered 404");
    let (_, findings) = Patient::new(ACCOUNTS).examine();
    assert!(findings.iter().all(|finding| finding["check"] != "traces"));
}
