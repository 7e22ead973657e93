//! What the documentation shows is what happens.

use std::{fs, process::Command};

use omnigent_tests::{ServerBuilder, repository};

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
