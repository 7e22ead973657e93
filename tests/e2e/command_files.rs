//! The command line's stored logins: the file, renewing, and servers that mean ill (THREATS section 7).

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    sync::{Arc, Mutex},
};

use omnigent_tests::{
    PASSWORD, Server, ServerBuilder,
    proxy::Proxy,
    terminal::{Ended, Terminal},
};
use serde_json::{Value, json};

fn claimed() -> Server {
    let server = ServerBuilder::accounts().start();
    server.claim();
    server
}

/// What `json.dump(data, indent=2)` of the original writes.
fn in_the_originals_format(entries: &Value) -> String {
    serde_json::to_string_pretty(entries).expect("JSON")
}

/// Makes the stored logins end in so many seconds.
fn age(terminal: &Terminal, seconds: f64) {
    let mut stored = terminal.stored();
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs_f64();
    for entry in stored.as_object_mut().expect("an object").values_mut() {
        entry["expires_at"] = (now + seconds).into();
    }
    terminal.plant(&in_the_originals_format(&stored));
}

/// A server that gives every request one answer, and notes what it was sent.
fn answering(answer: String) -> (String, Arc<Mutex<Vec<String>>>) {
    answering_each(move |_| answer.clone())
}

/// A server with an answer for each request, which notes what it was sent.
fn answering_each(
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 << 10];
            let count = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            let answer = answer(&text);
            notes.lock().expect("notes").push(text);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, heard)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

fn login_to(url: &str) -> String {
    let entry = json!({"token": "the.secret.token", "user_id": "ada", "expires_at": 4e9, "refresh_token": "the-refresh"});
    in_the_originals_format(&json!({url: entry}))
}

#[test]
fn the_originals_file_is_used_and_kept_as_it_is() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let entry = &ada.stored()[&server.url];
    let (token, refresh) = (entry["token"].clone(), entry["refresh_token"].clone());
    let original = format!(
        r#"{{
  "https://ws.example/api/2.0/omnigent": {{
    "auth_type": "databricks",
    "workspace_host": "https://ws.example",
    "user_id": "z\u00f6e"
  }},
  "{}": {{
    "token": {token},
    "user_id": "admin",
    "expires_at": 1750000000.1234567,
    "refresh_token": {refresh}
  }}
}}"#,
        server.url
    );
    ada.plant(&original);
    // It has ended: it is renewed, and nothing else changes.
    let renewed = ada.get(&["token"]);
    assert_ne!(Value::from(renewed.as_str()), token);
    let entry = &ada.stored()[&server.url];
    let expected = original
        .replace(&token.to_string(), &entry["token"].to_string())
        .replace("1750000000.1234567", &entry["expires_at"].to_string());
    assert_eq!(fs::read_to_string(ada.vault()).expect("a file"), expected);
    assert_eq!(ada.get(&["whoami"]), "admin");
    let mode = fs::metadata(ada.vault())
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn processes_that_renew_at_once_share_one_renewal() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let before = ada.get(&["token"]);
    age(&ada, 30.0);
    let children: Vec<_> = (0..6).map(|_| ada.start(&["token"])).collect();
    let tokens: Vec<String> = children
        .into_iter()
        .map(|child| Ended::of(child).expect(0).out)
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_ne!(tokens[0].trim(), before);
}

#[test]
fn a_login_that_ended_on_the_server_says_so() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let other = Terminal::new();
    other.sign_in(&server);
    other.run(&["logins", "end-others"]).expect(0);
    age(&ada, -10.0);
    let refused = ada.run(&["token"]).expect(5);
    assert!(refused.err.contains("omnigent login"), "{}", refused.err);
    // What still lasts is used when the server cannot renew it.
    age(&other, 30.0);
    drop(server);
    other.run(&["token"]).expect(0);
    age(&other, -10.0);
    other.run(&["token"]).expect(7);
}

#[test]
fn a_file_others_could_have_touched_is_refused() {
    let (url, heard) = answering(http("200 OK", "", "{}"));
    let ada = Terminal::new();
    let args = ["whoami", "--server", url.as_str()];
    let refuse = |what: &str| {
        let refused = ada.run(&args).expect(1);
        assert!(refused.err.contains(what), "{}", refused.err);
        assert!(!refused.err.contains("secret"), "{}", refused.err);
    };
    ada.plant(&login_to(&url));
    fs::set_permissions(ada.vault(), fs::Permissions::from_mode(0o640)).expect("ours");
    refuse("chmod 600");
    ada.plant(&login_to(&url)[..40]);
    refuse("damaged");
    ada.plant(&login_to(&url));
    let chown = std::process::Command::new("chown")
        .arg("65534")
        .arg(ada.vault())
        .output();
    if chown.expect("chown").status.success() {
        refuse("somebody else");
        fs::remove_file(ada.vault()).expect("ours");
    }
    let elsewhere = ada.home.path().join("elsewhere");
    ada.plant(&login_to(&url));
    fs::rename(ada.vault(), &elsewhere).expect("ours");
    symlink(&elsewhere, ada.vault()).expect("a link");
    refuse("symbolic link");
    // Neither read nor written over.
    let before = fs::read_to_string(&elsewhere).expect("a file");
    let pasted = ["login", url.as_str(), "--with-token"];
    assert_ne!(ada.feed(&pasted, "another.secret.token").code, 0);
    assert_eq!(fs::read_to_string(&elsewhere).expect("a file"), before);
    fs::remove_file(ada.vault()).expect("ours");
    let pipe = std::process::Command::new("mkfifo")
        .arg(ada.vault())
        .status();
    assert!(pipe.expect("mkfifo").success());
    refuse("regular file");
    let heard = heard.lock().expect("notes").join("\n");
    assert!(!heard.contains("the.secret.token"), "{heard}");
}

#[test]
fn a_redirect_never_takes_the_token_along() {
    let (elsewhere, stolen) = answering(http("200 OK", "", r#"{"user_id":"mallory"}"#));
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let location = format!("location: {elsewhere}/v1/me\r\n");
        let (url, heard) = answering(http(status, &location, ""));
        let ada = Terminal::new();
        ada.plant(&login_to(&url));
        for args in [
            &["whoami", "--server", &url][..],
            &[
                "api",
                "POST",
                "/v1/sessions",
                "--data",
                "{}",
                "--server",
                &url,
            ],
            &["session", "list", "--server", &url],
            &["login", &url],
        ] {
            ada.run(args).expect(6);
        }
        assert!(heard.lock().expect("notes")[0].contains("the.secret.token"));
        // Renewing neither.
        age(&ada, -10.0);
        assert_ne!(ada.run(&["token", "--server", &url]).code, 0);
        assert!(
            heard
                .lock()
                .expect("notes")
                .join("")
                .contains("the-refresh")
        );
    }
    assert!(stolen.lock().expect("notes").is_empty());
}

#[test]
fn a_token_goes_to_its_own_server_only() {
    let (one, _) = answering(http("200 OK", "", r#"{"user_id":"ada"}"#));
    let (two, heard) = answering(http("200 OK", "", r#"{"user_id":null}"#));
    let ada = Terminal::new();
    ada.plant(&login_to(&one));
    ada.run(&["whoami", "--server", &two]).expect(5);
    assert!(!heard.lock().expect("notes").join("").contains("the.secret"));
    for url in [
        "http://auth.example.com",
        "http://192.0.2.1:6767",
        "https://ada@auth.example.com",
    ] {
        ada.plant(&login_to(url));
        let refused = ada.run(&["whoami", "--server", url]).expect(2);
        assert!(!refused.err.contains("secret"), "{url}: {}", refused.err);
    }
}

#[test]
fn what_a_server_says_does_not_steer_the_terminal() {
    let evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u009b2J\\u202egnp\\r";
    let answers = [
        http(
            "403 Forbidden",
            "x-request-id: \u{1b}[31m\r\n",
            &format!(r#"{{"error":"{evil}"}}"#),
        ),
        http(
            "403 Forbidden",
            "",
            &format!(r#"{{"detail":[{{"msg":"{evil}"}}]}}"#),
        ),
        http(
            "200 OK",
            "",
            &format!(r#"{{"user_id":"{evil}","data":[{{"id":"{evil}","title":"{evil}"}}]}}"#),
        ),
    ];
    for answer in answers {
        let (url, _) = answering(answer);
        let ada = Terminal::new();
        ada.plant(&login_to(&url));
        for args in [
            &["whoami"][..],
            &["session", "list"],
            &["explain"],
            &["status"],
            &["whoami", "--json"],
            &["session", "list", "--json"],
        ] {
            let ended = ada.run(&[args, &["--server", &url][..]].concat());
            let said = ended.out + &ended.err;
            let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!said.chars().any(steers), "{args:?}: {said:?}");
        }
        // In a terminal also what `api` passes through.
        let mut pty = ada.pty(&["api", "GET", "/v1/me", "--server", &url]);
        let said = pty.exp_eof().expect("its end");
        assert!(
            !said.contains('\u{1b}') && !said.contains('\u{7}'),
            "{said:?}"
        );
    }
}

#[test]
fn what_steers_a_terminal_is_no_token() {
    let evil = "a\\u001b]0;owned\\u0007b";
    for body in [
        format!(r#"{{"access_token":"{evil}"}}"#),
        format!(r#"{{"access_token":"aaa.bbb.ccc","refresh_token":"{evil}"}}"#),
    ] {
        let (url, _) = answering(http("200 OK", "", &body));
        let ada = Terminal::new();
        ada.plant(&login_to(&url));
        age(&ada, -10.0);
        let before = ada.stored();
        assert_eq!(ada.run(&["token", "--server", &url]).expect(1).out, "");
        assert_eq!(ada.stored(), before);
    }
    let body = format!(r#"{{"id":"t","name":"ci","token":"{evil}"}}"#);
    let (url, _) = answering(http("200 OK", "", &body));
    let ada = Terminal::new();
    ada.plant(&login_to(&url));
    let create = ["token", "create", "ci", "--server", &url];
    assert_eq!(ada.run(&create).expect(1).out, "");
    // Nor is one that was planted in the file.
    ada.plant(&login_to(&url).replace("the.secret.token", evil));
    assert_eq!(ada.run(&["token", "--server", &url]).expect(5).out, "");
}

#[test]
fn a_login_page_of_another_origin_is_not_opened() {
    for login_url in [
        "https://evil.example/x",
        "//evil.example/x",
        "javascript:alert(1)",
        "-x",
    ] {
        let ticket = format!(r#"{{"ticket":"t","login_url":"{login_url}"}}"#);
        let (url, _) = answering_each(move |request| {
            if request.starts_with("POST /auth/cli-login") {
                http("200 OK", "", &ticket)
            } else {
                http("401 X", "", r#"{"user_id":null,"login_url":"/auth/login"}"#)
            }
        });
        let ada = Terminal::new().browser();
        let refused = ada.run(&["login", &url]).expect(6);
        assert_eq!(refused.out, "", "{login_url}");
        assert!(!ada.opened().exists());
    }
}

#[test]
fn the_data_directory_of_the_environment_wins() {
    let server = claimed();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let place = elsewhere.path().join("deep/er");
    let ada = Terminal::new().env("OMNIGENT_DATA_DIR", &place.display().to_string());
    ada.sign_in(&server);
    assert!(place.join("auth_tokens.json").exists() && !ada.vault().exists());
    let mode = fs::metadata(&place).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(ada.get(&["whoami"]), "admin");
}

#[test]
fn certificates_are_checked_against_those_that_are_named() {
    let server = claimed();
    let proxy = Proxy::tls(&server.url);
    let login = [
        "login",
        &proxy.url,
        "--username",
        "admin",
        "--password-stdin",
    ];
    let stranger = Terminal::new();
    let refused = stranger.feed(&login, PASSWORD).expect(7);
    assert!(refused.err.contains("ertificate"), "{}", refused.err);
    assert!(!stranger.vault().exists());
    let certificate = proxy.certificate().display().to_string();
    let ada = Terminal::new().env("SSL_CERT_FILE", &certificate);
    ada.feed(&login, PASSWORD).expect(0);
    assert_eq!(ada.get(&["whoami"]), "admin");
}

#[test]
fn no_process_has_a_token_in_its_arguments() {
    let server = claimed();
    let ada = Terminal::new().browser();
    // One that waits: for the person, and for a server that does not answer.
    let mut waiting = ada.start(&["login", "--no-browser", &server.url]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    ada.plant(&login_to(&url));
    let mut asking = ada.start(&["whoami", "--server", &url]);
    let (mut asked, _) = silent.accept().expect("a request");
    let mut request = [0; 4096];
    let count = asked.read(&mut request).expect("a request");
    let request = String::from_utf8_lossy(&request[..count]).into_owned();
    assert!(request.contains("the.secret.token"), "{request}");
    for child in [&mut waiting, &mut asking] {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{file}", child.id());
            let seen = String::from_utf8_lossy(&fs::read(path).expect("a process")).into_owned();
            assert!(
                !seen.contains("secret") && !seen.contains("ticket"),
                "{seen}"
            );
        }
        child.kill().expect("ours");
        child.wait().expect("its end");
    }
}
