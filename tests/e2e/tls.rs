//! TLS and HTTP/2 as others speak them: curl and openssl.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use omnigent_tests::{PASSWORD, Server, ServerBuilder, certificate::Certificate};
use serde_json::{Value, json};

/// A server with a certificate of its own, called `first`.
fn start(more: &str) -> (Server, Certificate) {
    let builder = ServerBuilder::accounts();
    let certificate = Certificate::make(builder.dir(), "first");
    let server = builder.also(&certificate.toml()).also(more).start();
    (server, certificate)
}

fn curl(server: &Server, certificate: &Certificate, path: &str, args: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert"])
        .arg(&certificate.certificate)
        .args(args)
        .arg(format!("{}{path}", server.url))
        .output()
        .expect("curl is installed")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What openssl says of a handshake.
fn handshake(server: &Server, args: &[&str]) -> (bool, String) {
    let address = server.url.trim_start_matches("https://");
    let output = Command::new("openssl")
        .args(["s_client", "-connect", address])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    let said = text(&output) + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The files are looked at every few seconds.
fn comes_to_say(server: &Server, text: &str) -> bool {
    (0..12).any(|_| server.says(text))
}

fn subject(server: &Server) -> String {
    let (_, said) = handshake(server, &[]);
    let line = said.lines().find(|line| line.starts_with("subject="));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn people_sign_in_over_either_http_and_either_tls() {
    let (server, certificate) = start("");
    let body = json!({"username": "admin", "password": PASSWORD}).to_string();
    let json = ["-H", "content-type: application/json", "-d", &body];
    let setup = curl(&server, &certificate, "/auth/setup", &json);
    let token = serde_json::from_slice::<Value>(&setup.stdout).expect("JSON")["token"].clone();
    let bearer = format!("authorization: Bearer {}", token.as_str().expect("a token"));
    for http in ["--http1.1", "--http2"] {
        for tls in ["1.2", "1.3"] {
            let shown = "%{http_version} %{http_code}\n";
            let args = [
                http,
                "--tlsv1.2",
                "--tls-max",
                tls,
                "-H",
                &bearer,
                "-w",
                shown,
            ];
            let said = text(&curl(&server, &certificate, "/v1/me", &args));
            let version = if http == "--http2" { "2" } else { "1.1" };
            assert!(
                said.contains(r#""user_id":"admin""#),
                "{http} {tls}: {said}"
            );
            assert!(
                said.contains(&format!("{version} 200")),
                "{http} {tls}: {said}"
            );
        }
    }
    // Its own address is https, and so are its cookies.
    let login = [&json[..], &["-i", "--http2"]].concat();
    let said = text(&curl(&server, &certificate, "/auth/login", &login));
    assert!(
        said.contains("__Host-ap_session=") && said.contains("; Secure"),
        "{said}"
    );
    let plain = Command::new("curl")
        .args(["-s", "--http0.9", &server.url.replace("https", "http")])
        .output()
        .expect("curl is installed");
    assert!(
        !text(&plain).contains("HTTP"),
        "nothing is said in the clear"
    );
}

#[test]
fn old_versions_are_refused() {
    let (server, _) = start("");
    for old in ["-tls1", "-tls1_1"] {
        let (agreed, said) = handshake(&server, &[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!agreed, "{old}: {said}");
    }
    assert!(handshake(&server, &["-tls1_2"]).0);
    assert!(handshake(&server, &["-tls1_3"]).0);
    let (newest, _) = start("min_version = \"1.3\"");
    assert!(!handshake(&newest, &["-tls1_2"]).0);
    assert!(handshake(&newest, &["-tls1_3"]).0);
}

#[test]
fn a_browser_is_told_to_come_back_by_https_unless_this_is_its_own_machine() {
    let public = "[server]\npublic_url = \"https://auth.example.com\"\n";
    let builder = ServerBuilder::accounts();
    let certificate = Certificate::make(builder.dir(), "first");
    let server = builder.also(&certificate.toml()).also(public).start();
    for http in ["--http1.1", "--http2"] {
        let said = text(&curl(&server, &certificate, "/health", &["-i", http]));
        let told = "strict-transport-security: max-age=31536000";
        assert!(said.to_lowercase().contains(told), "{said}");
    }
    let (server, certificate) = start("");
    let said = text(&curl(&server, &certificate, "/health", &["-i"]));
    assert!(!said.to_lowercase().contains("strict-transport"), "{said}");
}

#[test]
fn what_is_refused_over_http_1_is_refused_over_http_2() {
    let (server, certificate) = start("");
    let status = |path: &str, args: &[&str]| -> String {
        let args = [
            &[
                "--http2",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--path-as-is",
            ],
            args,
        ];
        text(&curl(&server, &certificate, path, &args.concat()))
    };
    for (path, args, expected) in [
        ("/v1/me", &[] as &[&str], "401"),
        ("/v1%2fme", &[], "404"),
        ("/v1/../auth/me", &[], "404"),
        ("//v1/me", &[], "404"),
        ("/v1/me%00", &[], "404"),
        ("/v1/me;x=1", &[], "404"),
        ("/v1/me/", &[], "404"),
        ("/v1/me", &["-X", "TRACE"], "405"),
        ("/v1/me", &["-X", "PATCH"], "405"),
        ("/health", &["-H", "Host: a,b"], "400"),
        ("/health", &["-H", "Host: me@a"], "400"),
        (
            "/auth/login",
            &["-H", "content-encoding: gzip", "-d", "{}"],
            "415",
        ),
    ] {
        assert_eq!(status(path, args), expected, "{path} {args:?}");
    }
    let body = format!("@{}", server.dir.path().join("large").display());
    fs::write(server.dir.path().join("large"), "x".repeat(64 * 1024 + 1)).expect("writable");
    let large = [
        "-H",
        "content-type: application/json",
        "--data-binary",
        &body,
    ];
    assert_eq!(status("/auth/login", &large), "413");
    let header = format!("x: {}", "a".repeat(20_000));
    let said = status("/health", &["-H", &header]);
    assert!(["431", "000"].contains(&said.as_str()), "{said}");
    assert_eq!(status("/health", &[]), "200");
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let stream = u8::from(kind != 4);
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_slow_body_over_http_2_is_cut_off() {
    let (server, _) = start("[server]\nbody_timeout = \"1s\"\n");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-alpn", "h2", "-connect"])
        .arg(server.url.trim_start_matches("https://"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    // `POST https://x/auth/login` with a body that never comes.
    let mut header = vec![0x83, 0x87, 0x04, 11];
    header.extend(b"/auth/login");
    header.extend([0x41, 1, b'x']);
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, &[]),
        frame(1, 4, &header),
    ];
    let mut input = client.stdin.take().expect("piped");
    input.write_all(&said.concat()).expect("it reads");
    let mut answer = Vec::new();
    let mut output = client.stdout.take().expect("piped");
    let text = b"the body came too slowly";
    let mut more = [0; 4096];
    while !answer.windows(text.len()).any(|part| part == text) {
        let length = output.read(&mut more).expect("it speaks");
        assert_ne!(length, 0, "{}", answer.escape_ascii());
        answer.extend_from_slice(&more[..length]);
    }
    drop(input);
    client.wait().expect("it ends");
}

#[test]
fn a_renewed_certificate_comes_into_force_by_itself_and_loses_no_request() {
    let (server, first) = start("");
    assert_eq!(subject(&server), "subject=CN = first");
    let (stop, asked, failed) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for http in ["--http1.1", "--http2"] {
            let (server, stop, asked, failed) = (&server, &stop, &asked, &failed);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let output = Command::new("curl")
                        .args(["-sk", "--max-time", "20", http, "-w", "%{http_code}"])
                        .arg(format!("{}/health", server.url))
                        .output()
                        .expect("curl is installed");
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !text(&output).ends_with("200") {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // A pair that is none: only the certificate is replaced.
        let other = Certificate::make(server.dir.path(), "other");
        fs::rename(&other.certificate, &first.certificate).expect("one folder");
        assert!(comes_to_say(
            &server,
            "the certificate in force stays: the new one cannot be used"
        ));
        assert!(server.says("is not the key of the first certificate"));
        assert_eq!(subject(&server), "subject=CN = first");
        // And one that is.
        Certificate::make(server.dir.path(), "second").replace(&first);
        assert!(comes_to_say(&server, "the certificate was renewed"));
        assert_eq!(subject(&server), "subject=CN = second");
        stop.store(true, Ordering::Relaxed);
    });
    // The entry is written a moment after the log line.
    let noted = || {
        let of_it = ["audit", "export", "--event", "certificate.renewed"];
        let (code, out, complaint) = server.operator(&of_it);
        assert_eq!(code, 0, "{complaint}");
        out
    };
    let is_noted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        noted().lines().count() == 1
    });
    assert!(is_noted && noted().contains("\"actor\":\"system\""));
    let (asked, failed) = (asked.into_inner(), failed.into_inner());
    assert!(asked > 10 && failed == 0, "{failed} of {asked} failed");
}

#[test]
fn a_reload_puts_a_certificate_in_force_and_refuses_one_that_is_none() {
    let (server, first) = start("");
    let second = Certificate::make(server.dir.path(), "second");
    let configuration = server.configuration();
    server.reconfigure(&configuration.replace(&first.toml(), &second.toml()));
    let (code, _, said) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(subject(&server), "subject=CN = second");
    let mixed = Certificate {
        certificate: first.certificate.clone(),
        key: second.key.clone(),
    };
    server.reconfigure(&configuration.replace(&first.toml(), &mixed.toml()));
    let (code, _, said) = server.operator(&["config", "reload"]);
    assert_ne!(code, 0);
    assert!(
        said.contains("is not the key of the first certificate"),
        "{said}"
    );
    assert_eq!(subject(&server), "subject=CN = second");
}

#[test]
fn what_is_no_pair_is_refused_by_name_before_anything_starts() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let (one, other) = (
        Certificate::make(dir.path(), "one"),
        Certificate::make(dir.path(), "other"),
    );
    let open = dir.path().join("open.key");
    fs::copy(&one.key, &open).expect("writable");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("ours");
    let text = dir.path().join("text");
    fs::write(&text, "nothing").expect("writable");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).expect("ours");
    let nowhere = dir.path().join("nowhere");
    let pair = |certificate: &std::path::Path, key: &std::path::Path| {
        format!("[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    };
    let file = dir.path().join("omnigent.toml");
    for (toml, key, message) in [
        (
            pair(&one.certificate, &other.key),
            "tls.key_file",
            "is not the key of the first",
        ),
        (
            pair(&one.certificate, &open),
            "tls.key_file",
            "run chmod 600",
        ),
        (
            pair(&one.certificate, &text),
            "tls.key_file",
            "holds no private key in PEM",
        ),
        (
            pair(&one.certificate, &nowhere),
            "tls.key_file",
            "cannot read",
        ),
        (
            pair(&text, &one.key),
            "tls.certificate_file",
            "holds no certificate in PEM",
        ),
        (
            pair(&nowhere, &one.key),
            "tls.certificate_file",
            "cannot read",
        ),
        (
            format!("[tls]\nkey_file = {:?}\n", one.key),
            "tls.key_file",
            "needs tls.certificate_file",
        ),
        (
            format!("[tls]\ncertificate_file = {:?}\n", one.certificate),
            "tls.certificate_file",
            "needs tls.key_file",
        ),
        (
            "[tls]\nmin_version = \"1.1\"\n".into(),
            "tls.min_version",
            "1.2",
        ),
        (
            format!(
                "[server]\npublic_url = \"http://x.example\"\n{}",
                one.toml()
            ),
            "server.public_url",
            "is not https",
        ),
    ] {
        fs::write(&file, &toml).expect("writable");
        let output = Command::new(omnigent_tests::binary())
            .args(["config", "check"])
            .arg(&file)
            .output()
            .expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{toml}: {said}");
        assert!(
            said.contains(key) && said.contains(message),
            "{toml}: {said}"
        );
    }
    let own = pair(&one.certificate, &one.key);
    fs::write(&file, own).expect("writable");
    let good = Command::new(omnigent_tests::binary())
        .args(["config", "check"])
        .arg(&file)
        .status();
    assert!(good.expect("the command runs").success());
}

#[test]
fn who_shakes_no_hands_is_cut_off_and_delays_nobody() {
    let (server, certificate) = start("handshake_timeout = \"1s\"\n");
    let address = server.url.trim_start_matches("https://").to_owned();
    let mut silent: Vec<_> = (0..200)
        .map(|_| std::net::TcpStream::connect(&address).expect("it listens"))
        .collect();
    for stream in &mut silent[..100] {
        stream
            .write_all(b"\x16\x03\x01\x02\x00\x01")
            .expect("it reads");
    }
    let said = text(&curl(&server, &certificate, "/health", &[]));
    assert!(said.contains("ok"), "{said}");
    for mut stream in silent {
        let timeout = Some(Duration::from_secs(30));
        stream.set_read_timeout(timeout).expect("a timeout");
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        assert!(
            !matches!(&end, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock),
            "{end:?}"
        );
    }
}
