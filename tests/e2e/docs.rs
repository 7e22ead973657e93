//! What the documentation shows is what happens.

use std::{fs, path::PathBuf, process::Command};

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

/// The threats the server was designed against: how many there are under each letter.
const THREATS: [(char, u32); 10] = [
    ('J', 12), // tokens
    ('P', 9),  // passwords
    ('O', 13), // identity providers
    ('H', 7),  // proxies
    ('C', 5),  // cookies and pages
    ('A', 6),  // API tokens, refresh tokens, devices
    ('L', 4),  // the command line
    ('G', 6),  // plugins and configuration
    ('S', 6),  // the store
    ('T', 10), // HTTP
];

/// Where paths in these documents begin.
const ROOTS: [&str; 3] = ["", "core/server/src", "tests"];

/// What stands between backticks, outside blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The file or folder a document means.
fn meant(path: &str) -> Option<PathBuf> {
    let mut places = ROOTS.iter().map(|root| repository().join(root).join(path));
    places.find(|place| place.exists())
}

/// Whether the file has a test of this name.
fn has_test(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = text[..at].trim_end().trim_end_matches("async").trim_end();
        let attributes = before.lines().rev().map(str::trim_start);
        let mut attributes = attributes.take_while(|line| line.starts_with("#["));
        attributes.any(|attribute| attribute.contains("test"))
    })
}

#[test]
fn the_threat_model_names_what_there_is_and_leaves_out_no_threat() {
    let model = fs::read_to_string(repository().join("docs/threat-model.md")).expect("a document");
    let requirements = fs::read_to_string(repository().join("docs/asvs.md")).expect("a document");
    let mut wrong = Vec::new();
    for (letter, count) in THREATS {
        for number in 1..=count {
            let row = format!("| {letter}{number} | ");
            let rows = model.lines().filter(|line| line.starts_with(&row)).count();
            if rows != 1 {
                wrong.push(format!("{letter}{number} has {rows} rows"));
            }
        }
    }
    let mut tests = 0;
    for word in quoted(&model).chain(quoted(&requirements)) {
        let (path, test) = match word.split_once(".rs::") {
            Some((path, test)) => (format!("{path}.rs"), Some(test)),
            None if word.ends_with(".rs") => (word.to_owned(), None),
            None => continue,
        };
        let text = meant(&path).and_then(|place| fs::read_to_string(place).ok());
        match (text, test) {
            (None, _) => wrong.push(format!("{path} is not there")),
            (Some(text), Some(test)) if !has_test(&text, test) => {
                wrong.push(format!("{path} has no test {test}"));
            }
            (Some(_), test) => tests += usize::from(test.is_some()),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        tests > 150,
        "only {tests} tests were found in the documents"
    );
    for row in model.lines().filter(|line| is_threat(line)) {
        assert!(
            row.contains(".rs::") || row.contains("gap"),
            "neither a test nor a gap: {row}"
        );
    }
}

/// Whether the line is a row of a table of threats.
fn is_threat(line: &str) -> bool {
    let id = line
        .strip_prefix("| ")
        .and_then(|rest| rest.split(' ').next());
    id.is_some_and(|id| {
        let (letter, number) = id.split_at(id.len().min(1));
        letter.starts_with(|c: char| c.is_ascii_uppercase()) && number.parse::<u32>().is_ok()
    })
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
