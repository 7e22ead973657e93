//! Bad input gets a clear 4xx: no panic, no 5xx, no hang (THREATS section 10).

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use omnigent_tests::{Server, ServerBuilder};
use serde_json::json;

/// Sends raw bytes and returns everything that comes back until the server closes or says no more.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .expect("a timeout");
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn status(said: &str) -> Option<u16> {
    said.get(9..12)?.parse().ok()
}

#[test]
fn odd_requests_are_refused_by_name_and_the_server_lives() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("no host", b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), &[400]),
        ("two hosts", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_vec(), &[400]),
        ("not http", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]),
        ("no Host but an absolute target", b"GET http://x/health HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), &[400]),
        ("header bomb", format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(200_000)).into_bytes(), &[400, 431]),
        ("many headers", format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(5000)).into_bytes(), &[400, 431]),
        ("smuggling", b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n".to_vec(), &[400, 422]),
        ("two lengths", b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_vec(), &[400]),
        ("encoded slash", get("/v1%2fme").into_bytes(), &[400, 404]),
        ("dots", get("/v1/../auth/me").into_bytes(), &[400, 404]),
        ("double slash", get("//v1/me").into_bytes(), &[400, 404]),
        ("nul", get("/v1/me%00").into_bytes(), &[400, 404]),
        ("semicolon", get("/v1/me;x=1").into_bytes(), &[400, 404]),
        ("backslash", get("/v1\\me").into_bytes(), &[400, 404]),
        ("trailing slash", get("/v1/me/").into_bytes(), &[404]),
        ("trace", b"TRACE /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), &[405]),
        ("connect", b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), &[400, 404, 405]),
        ("head", b"HEAD /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), &[405]),
        ("options", b"OPTIONS /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), &[405]),
        ("override", b"GET /auth/logout HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n".to_vec(), &[405]),
        ("huge token", format!("GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", "a.".repeat(6000)).into_bytes(), &[401]),
        ("odd token", b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n".to_vec(), &[401]),
    ];
    for (name, bytes, expected) in cases {
        let said = raw(&server, &bytes);
        assert!(
            status(&said).is_some_and(|status| expected.contains(&status)),
            "{name}: {said:?}"
        );
    }
    server.client().get("/health").expect(200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn large_and_lying_bodies_are_cut_off() {
    let server = ServerBuilder::accounts().start();
    let body = json!({"username": "a", "password": "x".repeat(2 << 20)}).to_string();
    let large = format!(
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&raw(&server, large.as_bytes())), Some(413));
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = format!(
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(40)
    );
    assert_eq!(status(&raw(&server, chunked.as_bytes())), Some(413));
    let packed = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    assert!(matches!(
        status(&raw(&server, packed.as_bytes())),
        Some(415 | 422)
    ));
}

/// Who says that a body will be too large hears so, and not that it came too slowly.
#[test]
fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let server = ServerBuilder::accounts().start();
    for (more, body) in [
        ("", ""),
        ("", "{\"username\": "),
        ("Expect: 100-continue\r\n", ""),
        ("Connection: close\r\n", ""),
    ] {
        let request = format!(
            "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n{more}\r\n{body}"
        );
        let said = raw(&server, request.as_bytes());
        assert_eq!(status(&said), Some(413), "{more:?}: {said}");
    }
}

/// The next answer of the connection, whose body is as long as it says.
fn next_answer(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => said.push(byte[0]),
            _ => return String::from_utf8_lossy(&said).into_owned(),
        }
    }
    let head = String::from_utf8_lossy(&said).to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).expect("the body");
    head
}

/// A client that sends a body nobody wants hears the answer, and its connection goes on, however late the
/// body comes after its header.
#[test]
fn a_body_that_nobody_reads_does_not_end_the_connection() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("a timeout");
    let head =
        |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n");
    for _ in 0..30 {
        for (path, status, more, body) in [
            (
                "/auth/magic",
                "401",
                "Transfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            ("/auth/magic", "401", "Content-Length: 5", "hello"),
            ("/nowhere", "404", "Content-Length: 5", "hello"),
            ("/v1/me", "405", "Content-Length: 5", "hello"),
        ] {
            let _ = stream.write_all(head(path, more).as_bytes());
            let _ = stream.write_all(body.as_bytes());
            let said = next_answer(&mut stream);
            assert!(
                said.starts_with(&format!("http/1.1 {status}")),
                "{path} {more}: {said}"
            );
        }
    }
    // Who waits for our word before the body has the answer at once, and it is the last.
    let waits = head("/auth/magic", "Content-Length: 5\r\nExpect: 100-continue");
    stream.write_all(waits.as_bytes()).expect("it is open");
    let said = next_answer(&mut stream);
    assert!(said.starts_with("http/1.1 401"), "{said}");
    // And who never sends it does not keep us.
    let said = raw(&server, head("/auth/magic", "Content-Length: 5").as_bytes());
    assert_eq!(status(&said), Some(401), "{said}");
}

#[test]
fn a_slow_client_is_cut_off_and_delays_nobody() {
    let server = ServerBuilder::accounts().start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut slow: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(&address).expect("it listens"))
        .collect();
    for stream in &mut slow {
        stream
            .write_all(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
            .expect("it reads");
    }
    server.client().get("/health").expect(200);
    let began = Instant::now();
    let mut one = slow.pop().expect("one of them");
    one.set_read_timeout(Some(Duration::from_secs(40)))
        .expect("a timeout");
    let mut said = Vec::new();
    let _ = one.read_to_end(&mut said);
    assert!(
        began.elapsed() < Duration::from_secs(35),
        "the server hangs up"
    );
}

#[test]
fn a_slow_body_is_cut_off() {
    let server = ServerBuilder::accounts()
        .also("[server]\nbody_timeout = \"1s\"")
        .start();
    let said = raw(
        &server,
        b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    assert_eq!(status(&said), Some(408), "{said}");
}

/// One address holds no more of bodies than its share, however many requests they come with; who signs in
/// needs none of it.
#[test]
fn bodies_that_never_end_take_their_share_of_memory_and_keep_nobody_out() {
    const LONGEST: usize = 4 << 20;
    let server = ServerBuilder::accounts()
        .also("[server]\nmax_body = \"4MiB\"\nbody_timeout = \"60s\"")
        .start();
    server.claim();
    let part = |length: usize, sent: usize| {
        let head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {length}\r\n\r\n{}", " ".repeat(sent)).into_bytes()
    };
    let address = server.url.trim_start_matches("http://");
    let held = [(); 2].map(|()| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let body = part(LONGEST, LONGEST - 100);
        stream.write_all(&body).expect("it reads");
        // It is read by then, and waited for.
        let timeout = Some(Duration::from_secs(1));
        stream.set_read_timeout(timeout).expect("a timeout");
        stream.read(&mut [0]).expect_err("no answer yet");
        stream
    });
    let said = raw(&server, &part(20_000, 16_000));
    assert_eq!(status(&said), Some(503), "{said}");
    assert!(said.to_lowercase().contains("retry-after: 5"), "{said}");
    assert!(said.contains("{\"error\":\"the server is busy"), "{said}");
    let guess = json!({"username": "ghost", "password": "wrong-one"});
    server.client().post("/auth/login", guess).expect(401);
    drop(held);
    let is_heard = (0..100).any(|_| status(&raw(&server, &part(16_000, 16_000))) == Some(422));
    assert!(is_heard, "what was given back is taken again");
}

#[test]
fn connections_past_the_limit_are_closed_at_once() {
    let server = ServerBuilder::accounts()
        .also("[server]\nmax_connections = 3")
        .start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let held: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(&address).expect("it listens"))
        .collect();
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(&server, request), "");
    drop(held);
    let is_served = (0..100).any(|_| status(&raw(&server, request)) == Some(200));
    assert!(is_served, "a place that was given back is taken again");
}

#[test]
fn what_people_send_makes_no_lines_in_the_log() {
    for format in ["text", "json"] {
        let server = ServerBuilder::accounts()
            .also(&format!("[server]\nlog_format = {format:?}"))
            .start();
        server.claim();
        let name = "ghost\r\nFORGED signed in\u{1b}[2J";
        server
            .client()
            .post(
                "/auth/login",
                json!({"username": name, "password": "wrong-one"}),
            )
            .expect(401);
        assert!(server.says("login.denied"), "{format}: {}", server.log());
        let log = server.log();
        assert!(!log.contains('\u{1b}'), "{format}: {log}");
        // Nobody is called that: it may be a password.
        assert!(!log.contains("ghost"), "{format}: {log}");
        assert!(
            !log.lines().any(|line| line.starts_with("FORGED")),
            "{format}: {log}"
        );
    }
}
