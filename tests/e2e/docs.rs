//! What the documentation shows is what happens.

use std::{fs, process::Command};

use omnigent_tests::{PASSWORD, ServerBuilder, binary, repository, terminal::Terminal};
use serde_json::json;

#[test]
fn the_first_login_in_the_readme_works() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let (_, rest) = readme
        .split_once("<!-- run: first-login -->\n```sh\n")
        .expect("the marked block");
    let (script, _) = rest.split_once("```").expect("its end");
    let server = ServerBuilder::accounts().start();
    let script = script.replace("http://127.0.0.1:6767", &server.url);
    let output = Command::new("sh")
        .arg("-euc")
        .arg(&script)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains(r#"{"user_id":"ada","is_admin":true}"#),
        "{said}"
    );
    assert!(said.contains(r#""object":"list""#), "{said}");
    assert!(
        said.contains(r#""user_id":null"#),
        "signed out at the end: {said}"
    );
}

#[test]
fn the_command_line_session_in_the_readme_works() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let (_, rest) = readme
        .split_once("<!-- run: command-line -->\n```sh\n")
        .expect("the marked block");
    let (script, _) = rest.split_once("```").expect("its end");
    let server = ServerBuilder::accounts().start();
    server.client().post(
        "/auth/setup",
        json!({"username": "ada", "password": PASSWORD}),
    );
    let address = server.url.strip_prefix("http://").expect("an address");
    let terminal = Terminal::new();
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = binary().parent().expect("a folder").display().to_string();
    let output = Command::new("sh")
        .arg("-euc")
        .arg(script.replace("127.0.0.1:6767", address))
        .env_clear()
        .env("HOME", terminal.home.path())
        .env("PATH", format!("{folder}:{path}"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{complaints}");
    for shown in [
        "Logged in as ada",
        r#"{"user_id":"ada","is_admin":true}"#,
        "sessions:read",
        "it is allowed",
        "Logged out of",
    ] {
        assert!(said.contains(shown), "{shown} is not in {said}");
    }
}
