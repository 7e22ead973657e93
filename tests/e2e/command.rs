//! The command line against a real server: every way to sign in, and every command (CONTRACT
//! section 10).

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
    time::Duration,
};

use omnigent_tests::{
    PASSWORD, Server, ServerBuilder,
    browser::Browser,
    terminal::{Ended, Terminal},
};
use rexpect::process::WaitStatus;

fn claimed() -> Server {
    let server = ServerBuilder::accounts().start();
    server.claim();
    server
}

/// A server whose people sign in by a page that offers several ways.
fn with_a_chooser() -> Server {
    let several = "[backend.other]\nplugin = \"accounts\"\ntitle = \"Others\"\n";
    let server = ServerBuilder::accounts()
        .replacing(
            r#"backends = ["local"]"#,
            r#"backends = ["local", "other"]"#,
        )
        .also(several)
        .start();
    server.claim();
    server
}

/// Signs in on the page `url` leads to, through the chooser if there is one, and approves.
fn approve(url: &str) {
    let browser = Browser::new();
    let mut page = browser.open(url);
    if !page.text.contains("type=\"password\"") {
        page = browser.open(&format!("{}&backend=local", page.url));
    }
    let page = browser.submit(&page, &[("username", "admin"), ("password", PASSWORD)]);
    let done = browser.submit(&page, &[]);
    assert!(
        done.text.contains("Login successful") || done.text.contains("Connected"),
        "{}",
        done.text
    );
}

/// The lines a child prints until one begins with `start`, which is given back.
fn line_of(output: &mut impl BufRead, start: &str) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let count = output.read_line(&mut line).expect("text");
        said.push_str(&line);
        assert!(count > 0, "no line begins with {start}: {said}");
        if line.starts_with(start) {
            return line.trim_end().to_owned();
        }
    }
}

/// The link a child that signs in shows alone on a line.
fn link_of(child: &mut Child) -> String {
    let out = child.stdout.as_mut().expect("piped");
    // Byte by byte: what follows is for whoever waits for its end.
    let (mut link, mut byte) = (Vec::new(), [0]);
    while out.read(&mut byte).expect("text") == 1 && byte != *b"\n" {
        link.extend(byte);
    }
    String::from_utf8(link).expect("text")
}

#[test]
fn a_password_is_asked_for_as_the_original_asks() {
    let server = claimed();
    let ada = Terminal::new();
    let mut pty = ada.pty(&["login", &server.url]);
    pty.exp_string("Username [admin]: ").expect("the question");
    pty.send_line("").expect("an answer");
    pty.exp_string("Password: ").expect("the question");
    pty.send_line(PASSWORD).expect("an answer");
    let between = pty.exp_string("Logged in as admin").expect("success");
    assert!(!between.contains(PASSWORD), "echoed: {between}");
    pty.exp_eof().expect("its end");
    assert!(matches!(pty.process().wait(), Ok(WaitStatus::Exited(_, 0))));
    assert_eq!(ada.get(&["whoami"]), "admin");
    let entry = &ada.stored()[&server.url];
    assert_eq!(entry["user_id"], "admin");
    assert!(
        entry["refresh_token"].is_string() && entry["expires_at"].is_f64(),
        "{entry}"
    );

    let mut pty = Terminal::new().pty(&["login", &server.url]);
    pty.exp_string("Username [admin]: ").expect("the question");
    pty.send_line("admin").expect("an answer");
    pty.exp_string("Password: ").expect("the question");
    pty.send_line("not the password").expect("an answer");
    pty.exp_string("invalid username or password")
        .expect("a refusal");
    pty.exp_eof().expect("its end");
    assert!(matches!(pty.process().wait(), Ok(WaitStatus::Exited(_, 6))));
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let server = claimed();
    let script = Terminal::new();
    let refused = script.run(&["login", &server.url]).expect(2);
    assert!(refused.err.contains("--password-stdin"), "{}", refused.err);
    script.sign_in(&server);
    assert_eq!(script.json(&["whoami"])["is_admin"], true);
    let args = [
        "login",
        &server.url,
        "--username",
        "admin",
        "--password-stdin",
    ];
    script.feed(&args, "wrong password").expect(6);
}

#[test]
fn a_server_nobody_has_claimed_says_where_to() {
    let server = ServerBuilder::accounts().start();
    let refused = Terminal::new().run(&["login", &server.url]).expect(6);
    assert!(refused.err.contains("/setup"), "{}", refused.err);
}

#[test]
fn a_browser_is_opened_where_there_is_one() {
    let server = with_a_chooser();
    let ada = Terminal::new().browser();
    let mut login = ada.start(&["login", &server.url]);
    let link = link_of(&mut login);
    assert!(
        link.starts_with(&format!("{}/auth/login?ticket=", server.url)),
        "{link}"
    );
    for _ in 0..1000 {
        if ada.opened().exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let opened = std::fs::read_to_string(ada.opened()).expect("it was opened");
    assert_eq!(opened.trim(), link);
    approve(&link);
    let ended = Ended::of(login).expect(0);
    assert_eq!(ended.out.trim(), "Logged in as admin");
    assert!(ended.err.contains("must show the code"), "{}", ended.err);
    assert_eq!(ada.get(&["whoami"]), "admin");
}

#[test]
fn a_link_is_printed_alone_on_a_line_when_asked_for() {
    let server = claimed();
    let ada = Terminal::new().browser();
    let mut login = ada.start(&["login", "--no-browser", "--qr", "--json", &server.url]);
    let mut err = BufReader::new(login.stderr.take().expect("piped"));
    let link = line_of(&mut err, "http");
    assert!(line_of(&mut err, "█").chars().all(|c| " ▀▄█".contains(c)));
    approve(&link);
    let ended = Ended::of(login).expect(0);
    let said: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(said["user_id"], "admin");
    assert!(!ada.opened().exists());
}

#[test]
fn over_ssh_a_code_is_shown_to_enter_elsewhere() {
    let server = with_a_chooser();
    let far = Terminal::new()
        .browser()
        .env("DISPLAY", ":10")
        .env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    let mut login = far.start(&["login", &server.url]);
    let page = link_of(&mut login);
    assert_eq!(page, format!("{}/oauth/device", server.url));
    let mut err = BufReader::new(login.stderr.take().expect("piped"));
    let line = line_of(&mut err, "and enter the code ");
    let code = line.rsplit(' ').next().expect("a code");
    approve(&format!("{page}?user_code={code}"));
    let ended = Ended::of(login).expect(0);
    assert_eq!(ended.out.trim(), "Logged in as admin");
    assert!(
        !far.opened().exists(),
        "no browser is opened on the other machine"
    );
    // What is granted to a device reaches the sessions and nothing else.
    assert_eq!(far.get(&["whoami"]), "admin");
    far.run(&["session", "list"]).expect(0);
    assert_ne!(far.run(&["token", "list"]).code, 0);
    let why = far.run(&["explain", "GET", "/auth/tokens"]).expect(6);
    assert!(why.out.contains("scope is sessions"), "{}", why.out);
    far.run(&["logout"]).expect(0);
}

#[test]
fn a_denied_code_ends_the_wait() {
    let server = claimed();
    let ada = Terminal::new();
    let mut login = ada.start(&["login", "--device", &server.url]);
    let page = link_of(&mut login);
    let mut err = BufReader::new(login.stderr.take().expect("piped"));
    let line = line_of(&mut err, "and enter the code ");
    let code = line.rsplit(' ').next().expect("a code").to_owned();
    let browser = Browser::new();
    let asked = browser.open(&format!("{page}?user_code={code}"));
    browser.submit(&asked, &[("username", "admin"), ("password", PASSWORD)]);
    let deny = format!("{page}/deny");
    browser.step("POST", &deny, Some(&[("user_code", &code)]), "same-origin");
    Ended::of(login).expect(6);
    assert!(!ada.vault().exists());
}

#[test]
fn a_device_secret_comes_from_the_environment() {
    let server = ServerBuilder::accounts()
        .env(
            "OMNIGENT_DEVICE_CLIENT_SECRET",
            "a long enough device secret 1234",
        )
        .start();
    server.claim();
    let without = Terminal::new();
    let refused = without.run(&["login", "--device", &server.url]).expect(6);
    assert!(
        refused.err.contains("OMNIGENT_DEVICE_CLIENT_SECRET"),
        "{}",
        refused.err
    );
    let with = Terminal::new().env(
        "OMNIGENT_DEVICE_CLIENT_SECRET",
        "a long enough device secret 1234",
    );
    let mut login = with.start(&["login", "--device", &server.url]);
    let page = link_of(&mut login);
    let mut err = BufReader::new(login.stderr.take().expect("piped"));
    let line = line_of(&mut err, "and enter the code ");
    approve(&format!(
        "{page}?user_code={}",
        line.rsplit(' ').next().expect("a code")
    ));
    Ended::of(login).expect(0);
}

#[test]
fn where_nobody_signs_in_nothing_is_asked() {
    let server = ServerBuilder::no_auth().start();
    let ada = Terminal::new();
    assert!(ada.get(&["login", &server.url]).contains("no login needed"));
    assert_eq!(ada.get(&["whoami"]), "local");
    assert!(!ada.vault().exists());

    let config = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[auth]\nbackends = [\"proxy\"]\n\
                  [backend.proxy]\nplugin = \"header\"\n";
    let server = ServerBuilder::no_auth().config(config).start();
    assert!(ada.get(&["login", &server.url]).contains("no login needed"));
    ada.run(&["whoami"]).expect(5);
}

#[test]
fn behind_a_proxy_a_token_of_ones_own_is_to_be_had() {
    let config = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[auth]\nbackends = [\"proxy\"]\n\
                  [backend.proxy]\nplugin = \"header\"\n";
    let server = ServerBuilder::no_auth().config(config).start();
    let ada = Terminal::new();
    let mut login = ada.start(&["login", "--no-browser", &server.url]);
    let link = link_of(&mut login);
    let path = link.strip_prefix(&server.url).expect("its own page");
    let browser = server.client().with("x-forwarded-email", "ada@example.com");
    let browser = browser.with("origin", &server.url);
    browser.get(path).expect(200);
    let code = path.split_once("ticket=").expect("a code").1;
    let decision = [("ticket", code), ("decision", "approve")];
    browser
        .form("/auth/cli-login/decide", &decision)
        .expect(200);
    Ended::of(login).expect(0);
    assert_eq!(ada.get(&["whoami"]), "ada@example.com");
    ada.run(&["logout"]).expect(0);
    // In a terminal it is offered without asking for it.
    let mut pty = ada.pty(&["login", &server.url]);
    pty.exp_string("/auth/login?ticket=").expect("a link");
}

#[test]
fn an_invite_becomes_an_account_and_a_login() {
    let server = claimed();
    let admin = Terminal::new();
    admin.sign_in(&server);
    let invite = admin.get(&["api", "POST", "/auth/invite", "--data", "{}"]);
    let invite: serde_json::Value = serde_json::from_str(&invite).expect("JSON");
    let token = invite["token"].as_str().expect("a token");
    let bob = Terminal::new();
    let mut pty = bob.pty(&["register", &server.url, "--invite", token]);
    for (question, answer) in [
        ("Username: ", "bob"),
        ("New password: ", "correct-Heron-19-battery"),
        ("Once more: ", "correct-Heron-19-battery"),
    ] {
        pty.exp_string(question).expect("the question");
        pty.send_line(answer).expect("an answer");
    }
    pty.exp_string("Logged in as bob").expect("success");
    pty.exp_eof().expect("its end");
    assert_eq!(bob.get(&["whoami"]), "bob");
    let link = invite["register_url"].as_str().expect("a link");
    let again = ["register", link, "--username", "eve", "--password-stdin"];
    bob.feed(&again, "correct-Heron-19-battery").expect(6);
}

#[test]
fn a_pasted_token_is_stored_and_outlives_logout() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let made = ada.json(&[
        "token",
        "create",
        "ci",
        "--scope",
        "sessions:read",
        "--expires-in-days",
        "9",
    ]);
    let token = made["token"].as_str().expect("a token");
    let ci = Terminal::new();
    let login = ["login", &server.url, "--with-token"];
    ci.feed(&login, "nonsense").expect(6);
    ci.feed(&login, "").expect(2);
    assert!(!ci.vault().exists());
    ci.feed(&login, &format!("{token}\n")).expect(0);
    assert_eq!(ci.get(&["token"]), token);
    assert_eq!(ci.get(&["whoami"]), "admin");
    assert_eq!(
        ci.run(&["session", "create", "reviewer"]).code,
        5,
        "only reads"
    );
    let said = ci.run(&["logout"]).expect(0);
    assert!(said.err.contains("token revoke"), "{}", said.err);
    server
        .client()
        .bearer(token)
        .get("/v1/sessions")
        .expect(200);
    ada.run(&["token", "revoke", "ci"]).expect(0);
    server
        .client()
        .bearer(token)
        .get("/v1/sessions")
        .expect(401);
    // That it ends soon is said once, beside the result.
    let short = ada.get(&["token", "create", "short", "--expires-in-days", "1"]);
    let warned = Terminal::new().env("OMNIGENT_REMOTE_AUTH_TOKEN", &short);
    let said = warned.run(&["session", "create", "reviewer", "--server", &server.url]);
    let said = said.expect(0);
    assert_eq!(
        said.err.matches("this API token ends in").count(),
        1,
        "{said:?}"
    );
    // The variable beats what is stored.
    let other = Terminal::new().env("OMNIGENT_REMOTE_AUTH_TOKEN", token);
    other.sign_in(&server);
    assert_eq!(other.get(&["token"]), token);
    let refused = other.run(&["whoami"]).expect(5);
    assert!(
        refused.err.contains("OMNIGENT_REMOTE_AUTH_TOKEN"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains(token));
}

#[test]
fn tokens_and_logins_are_managed() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let laptop = Terminal::new();
    laptop.sign_in(&server);
    let token = ada.get(&["token", "create", "ci"]);
    server
        .client()
        .bearer(&token)
        .get("/v1/sessions")
        .expect(200);
    assert_eq!(ada.json(&["token", "list"])[0]["name"], "ci");
    let id = ada.json(&["token", "list"])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let successor = ada.get(&["token", "rotate", "ci"]);
    assert_ne!(successor, token);
    server
        .client()
        .bearer(&token)
        .get("/v1/sessions")
        .expect(401);
    server
        .client()
        .bearer(&successor)
        .get("/v1/sessions")
        .expect(200);
    ada.run(&["token", "revoke", &id]).expect(6);
    assert!(ada.get(&["token", "revoke", "ci"]).ends_with("revoked"));

    let logins = ada.json(&["logins"]);
    let here = |login: &&serde_json::Value| login["current"] == true;
    assert_eq!(
        logins
            .as_array()
            .expect("a list")
            .iter()
            .filter(here)
            .count(),
        1
    );
    ada.run(&["logins", "end", "zz"]).expect(6);
    ada.run(&["logins", "end-others"]).expect(0);
    assert_eq!(
        ada.json(&["logins", "list"]).as_array().map(Vec::len),
        Some(1)
    );
    laptop.run(&["whoami"]).expect(5);
    let id = ada.json(&["logins"])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    ada.run(&["logins", "end", &id[..8]]).expect(0);
    ada.run(&["whoami"]).expect(5);
}

#[test]
fn sessions_are_made_shown_and_deleted() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    ada.run(&["session", "create", "nobody"]).expect(6);
    let id = ada.get(&["session", "create", "reviewer", "--title", "a\u{1b}[2Jb"]);
    assert_eq!(ada.json(&["session", "list"])[0]["id"], id.as_str());
    for args in [&["session", "list"][..], &["session", "show", &id]] {
        let shown = ada.get(args);
        assert!(shown.contains("a\u{fffd}[2Jb"), "{shown}");
    }
    assert_eq!(
        ada.json(&["session", "show", &id])["agent_name"],
        "reviewer"
    );
    let refused = ada.run(&["session", "delete", &id]).expect(2);
    assert!(refused.err.contains("--yes"));
    assert!(
        ada.get(&["session", "delete", &id, "--yes"])
            .contains("deleted")
    );
    ada.run(&["session", "show", &id]).expect(6);
}

#[test]
fn any_request_can_be_sent() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    assert_eq!(
        ada.get(&["api", "get", "/v1/me"]),
        r#"{"user_id":"admin","is_admin":true}"#
    );
    let refused = ada.run(&["api", "GET", "/v1/sessions/x"]).expect(6);
    assert!(
        refused.out.contains("not_found") && refused.err.contains("request "),
        "{refused:?}"
    );
    let file = ada.home.path().join("body.json");
    std::fs::write(&file, "{\"name\": \"from a file\"}").expect("a writable home");
    let at = format!("@{}", file.display());
    assert!(
        ada.get(&["api", "POST", "/auth/tokens", "-d", &at])
            .contains("from a file")
    );
    let piped = ["api", "POST", "/auth/tokens", "--data", "-"];
    ada.feed(&piped, "{\"name\": \"piped\"}").expect(0);
    ada.feed(&piped, "{").expect(6);
    let shown = ada.get(&[
        "api",
        "-i",
        "POST",
        "/auth/login",
        "-d",
        &format!("{{\"username\": \"admin\", \"password\": \"{PASSWORD}\"}}"),
    ]);
    assert!(shown.contains("set-cookie: [secret]"), "{shown}");
    for path in [
        "v1/me",
        "//evil.example/v1/me",
        "https://evil.example",
        "@evil.example/",
    ] {
        ada.run(&["api", "GET", path]).expect(2);
    }
}

#[test]
fn explaining_names_the_reason_and_shows_no_token() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let good = ada.json(&["explain"]);
    assert_eq!(good["accepted"], true);
    assert_eq!(good["token"]["account"], "admin");
    let read = ada.get(&["token", "create", "r", "--scope", "sessions:read"]);
    let input = |args: &[&str], token: &str| ada.feed(&[&["explain"], args].concat(), token);
    input(&["--token-stdin", "GET", "/v1/sessions"], &read).expect(0);
    let refused = input(&["--token-stdin", "POST", "/v1/sessions"], &read).expect(6);
    assert!(
        refused.out.contains("scope is sessions:read"),
        "{}",
        refused.out
    );
    ada.run(&["token", "revoke", "r"]).expect(0);
    let refused = input(&["--token-stdin"], &read).expect(5);
    for ended in [&refused, &ada.run(&["explain", "--json"])] {
        for part in read.split('.').chain(ada.get(&["token"]).split('.')) {
            assert!(
                !ended.out.contains(part) && !ended.err.contains(part),
                "{ended:?}"
            );
        }
    }
    let nonsense = input(&["--token-stdin"], "not-a-token").expect(5);
    assert!(nonsense.out.contains("not a token"), "{}", nonsense.out);
    ada.run(&["logout"]).expect(0);
    ada.run(&["explain", "--server", &server.url]).expect(5);
}

#[test]
fn logging_out_ends_the_login_on_the_server() {
    let server = claimed();
    let ada = Terminal::new();
    ada.sign_in(&server);
    let token = ada.get(&["token"]);
    let entry = ada.stored()[&server.url].clone();
    assert_eq!(
        ada.run(&["logout"]).expect(0).out,
        format!("Logged out of {}\n", server.url)
    );
    assert_eq!(std::fs::read_to_string(ada.vault()).expect("a file"), "{}");
    server
        .client()
        .bearer(&token)
        .get("/v1/sessions")
        .expect(401);
    let refresh = entry["refresh_token"].as_str().expect("a token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    server.client().form("/oauth/token", &form).expect(400);
    ada.run(&["logout"]).expect(5);
    ada.run(&["whoami"]).expect(5);
    ada.run(&["status"]).expect(5);
}

#[test]
fn several_servers_are_kept_apart() {
    let (one, two) = (claimed(), claimed());
    let ada = Terminal::new();
    assert_eq!(ada.run(&["whoami"]).code, 5, "signed in nowhere");
    ada.sign_in(&one);
    ada.sign_in(&two);
    let rows = ada.json(&["status"]);
    let is_default = |url: &str| {
        let mut rows = rows.as_array().expect("a list").iter();
        rows.find(|row| row["server"] == url)
            .map(|row| row["default"].clone())
    };
    assert_eq!(is_default(&one.url), Some(false.into()));
    assert_eq!(is_default(&two.url), Some(true.into()));
    assert_ne!(
        ada.get(&["token"]),
        ada.get(&["token", "--server", &one.url])
    );
    // What is of one server is refused by the other.
    let token = ada.get(&["token"]);
    one.client().bearer(&token).get("/v1/sessions").expect(401);
    drop(two);
    let gone = ada.run(&["whoami"]).expect(7);
    assert!(
        gone.err.contains("cannot be reached") && !gone.err.contains(&token),
        "{}",
        gone.err
    );
    ada.run(&["logout"]).expect(7);
    ada.run(&["logout", "--forget"]).expect(0);
    assert_eq!(ada.get(&["whoami", "--server", &one.url]), "admin");
    assert_eq!(
        ada.get(&["status", "--server", &one.url]).lines().count(),
        2
    );
    ada.run(&["logout", "--all"]).expect(0);
}

#[test]
fn shells_and_packagers_get_what_they_need() {
    let ada = Terminal::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            ada.get(&["completions", shell]).contains("login"),
            "{shell}"
        );
    }
    let dir = ada.home.path().display().to_string();
    ada.run(&["man", &dir]).expect(0);
    let page = std::fs::read_to_string(ada.home.path().join("omnigent-login.1")).expect("a page");
    assert!(page.contains(".TH") && page.contains("device"), "{page}");
    ada.run(&["man", "/nonexistent"]).expect(2);
}
