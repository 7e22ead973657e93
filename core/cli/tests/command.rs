//! The command as a shell sees it: arguments in; text and exit code out.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn omnigent(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigent"));
    command.args(args).env_clear().env("HOME", "/nonexistent");
    command.stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    read(&omnigent(args).output().unwrap())
}

fn read(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().expect("ended by itself");
    (code, text(&output.stdout), text(&output.stderr))
}

fn config_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn help_names_the_exit_codes_and_teaches_by_example() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("3 another process"), "{help}");
    for command in [
        &["server"][..],
        &["config", "check"],
        &["plugin"],
        &["account"],
    ] {
        let (code, help, _) = run(&[command, &["--help"]].concat());
        assert_eq!(code, 0);
        assert!(help.contains("Examples:"), "{command:?}: {help}");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    for args in [
        &[][..],
        &["serve"],
        &["server", "--port", "1"],
        &["account", "add"],
        &["account", "add", "alice", "--password", "hunter2hunter2"],
        &[
            "account",
            "add",
            "alice",
            "--password-stdin",
            "--no-password",
        ],
        &["account", "delete", "alice"],
        &["plugin", "inspect"],
    ] {
        let (code, out, error) = run(args);
        assert_eq!(code, 2, "{args:?}");
        assert!(out.is_empty() && !error.is_empty(), "{args:?}");
    }
}

#[test]
fn check_tells_all_faults_and_none_of_the_secret() {
    let file = config_file("[server]\nlisen = 'x'\n[tokens]\nsecret = 'hunter2'\n");
    let path = file.path().to_str().unwrap();
    let (code, _, error) = run(&["config", "check", path]);
    assert_eq!(code, 2);
    assert!(error.contains("server.lisen (line 2)"), "{error}");
    assert!(error.contains("tokens.secret (line 4)"), "{error}");
    assert!(!error.contains("hunter2"));

    let (code, out, error) = run(&["config", "check", "--json", path]);
    assert_eq!((code, error.as_str()), (2, ""));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn check_sums_up_a_good_configuration() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/accounts.toml");
    let (code, out, _) = run(&["config", "check", sample]);
    assert_eq!(code, 0);
    assert!(out.starts_with("ok: listens on 127.0.0.1:6767"), "{out}");
    assert_eq!(run(&["config", "check", "/nonexistent.toml"]).0, 2);
}

#[test]
fn check_reads_the_environment_too() {
    let mut command = omnigent(&["config", "check"]);
    command.env("OMNIGENT_AUTH_PROVIDER", "kerberos");
    let (code, _, error) = read(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(error.contains("OMNIGENT_AUTH_PROVIDER"), "{error}");
}

#[test]
fn the_server_refuses_what_check_refuses() {
    for args in [
        &["server", "--config", "/nonexistent.toml"][..],
        &["server", "--listen", "0.0.0.0:0"],
        &["server", "--listen", "nonsense"],
    ] {
        assert_eq!(run(args).0, 2, "{args:?}");
    }
}

#[test]
fn a_password_too_short_is_refused_before_anything_is_opened() {
    let mut command = omnigent(&["account", "add", "alice", "--password-stdin"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"short\n").unwrap();
    let (code, _, error) = read(&child.wait_with_output().unwrap());
    assert_eq!(code, 2);
    assert!(error.contains("8 to 1024"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = omnigent(&["version"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
