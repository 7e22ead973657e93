//! What authors of backends are given: `omnigent plugin new` and `omnigent plugin check`.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use omnigent_tests::{ServerBuilder, binary, workshop};
use serde_json::Value;

const PASSWORD: &str = "tidal-Orchid-77-lantern";

/// Exit code, report and what was said beside it.
fn check(plugin: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let mut child = Command::new(binary())
        .args(["plugin", "check", "--json"])
        .arg(plugin)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let _ = child
        .stdin
        .take()
        .expect("its input")
        .write_all(PASSWORD.as_bytes());
    let output = child.wait_with_output().expect("its end");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), report, said)
}

fn shipped(name: &str) -> std::path::PathBuf {
    let folder = binary().parent().expect("a folder").to_owned();
    folder.join(format!("libomnigent_auth_{name}.so"))
}

/// A configuration whose one backend is of `plugin`.
fn config(dir: &Path, plugin: &str, keys: &str) -> String {
    let file = dir.join(format!("{plugin}.toml"));
    let trusted = "[server]\ntrusted_proxies = [\"127.0.0.1\"]";
    let text = format!(
        "{trusted}\n[auth]\nbackends = [\"one\"]\n[backend.one]\nplugin = {plugin:?}\n{keys}\n"
    );
    fs::write(&file, text).expect("a file");
    file.display().to_string()
}

#[test]
fn every_backend_that_comes_with_the_server_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    let people = dir.path().join("people");
    // `htpasswd -nbB alice tidal-Orchid-77-lantern`
    let made = Command::new("htpasswd")
        .args(["-cbB"])
        .arg(&people)
        .args(["alice", PASSWORD])
        .output()
        .expect("htpasswd");
    assert!(made.status.success());
    // Nobody answers at port 1: what a backend depends on may be down.
    let backends = [
        ("accounts", String::new()),
        ("header", String::new()),
        ("htpasswd", format!("file = {people:?}")),
        ("oidc", "issuer = \"https://127.0.0.1:1\"\nclient_id = \"x\"\nclient_secret = \"not-so-secret-0123\"".into()),
        ("ldap", "url = \"ldaps://127.0.0.1:1\"\nbase_dn = \"dc=example,dc=com\"".into()),
    ];
    for (plugin, keys) in backends {
        let config = config(dir.path(), plugin, &keys);
        let mut arguments = vec!["--config", &config];
        if plugin == "htpasswd" {
            arguments.extend(["--username", "alice", "--password-stdin"]);
        }
        let (code, report, said) = check(&shipped(plugin), &arguments);
        let cases = report["cases"].as_array().into_iter().flatten();
        let failed: Vec<_> = cases.filter(|case| case["outcome"] == "failed").collect();
        assert!(failed.is_empty(), "{plugin}: {failed:?}");
        assert_eq!(code, 0, "{plugin}: {said}");
        let opened = report["cases"].as_array().into_iter().flatten();
        let opened =
            opened.filter(|case| case["name"] == "it opens" && case["outcome"] == "passed");
        assert_eq!(opened.count(), 1, "{plugin}: {report:#}");
    }
}

#[test]
fn a_new_plugin_builds_keeps_the_contract_and_signs_in() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("made");
    let new = |name: &str| {
        let mut command = Command::new(binary());
        command.args(["plugin", "new", name, "--dir"]).arg(&folder);
        command.output().expect("the command")
    };
    assert!(new("badge-reader").status.success());
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("a file");
    let library = workshop::of_files("made", &read("Cargo.toml"), &read("src/lib.rs"));
    let settings = read("omnigent.toml").replace(
        "target/release/libomnigent_auth_badge_reader.so",
        &library.display().to_string(),
    );
    fs::write(folder.join("omnigent.toml"), &settings).expect("written");
    let file = folder.join("omnigent.toml").display().to_string();
    let known = ["--config", &file, "--username", "alice", "--password-stdin"];
    let (code, report, said) = check(&library, &known);
    assert_eq!(code, 0, "{report:#}\n{said}");
    let server = ServerBuilder::no_auth().config(&settings).start();
    server.login("alice", PASSWORD).get("/v1/me").expect(200);

    let again = new("badge-reader");
    assert_eq!(again.status.code(), Some(1), "it overwrites nothing");
    for bad in [
        "",
        "Badge",
        "badge_reader",
        "-x",
        "a--b",
        "../x",
        "x;y",
        "ü",
    ] {
        let mut command = Command::new(binary());
        let outcome = command
            .current_dir(dir.path())
            .args(["plugin", "new", "--", bad])
            .output();
        assert_eq!(
            outcome.expect("the command").status.code(),
            Some(2),
            "{bad:?}"
        );
    }
}

#[test]
fn a_plugin_that_breaks_its_word_fails_the_check() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(
        dir.path(),
        "misbehaving",
        "entry = \"resume\"\nhow = \"panic\"",
    );
    let plugin = workshop::built().join("libomnigent_auth_misbehaving.so");
    let (code, report, said) = check(&plugin, &["--config", &config]);
    assert_eq!(code, 1, "{report:#}");
    assert!(said.contains("does not keep the contract"), "{said}");
    let (code, _, said) = check(Path::new("/etc/passwd"), &[]);
    assert_eq!(code, 1);
    assert!(said.contains("is not a shared library"), "{said}");
    let (code, _, said) = check(&plugin, &["--config", "/no/such/file.toml"]);
    assert_eq!(code, 2, "{said}");
}
