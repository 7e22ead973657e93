//! Slow and greedy clients cost themselves and nobody else (THREATS T2).

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
};

use omnigent_tests::{Server, ServerBuilder};

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

fn connect(server: &Server) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    let timeout = Some(Duration::from_secs(40));
    stream.set_read_timeout(timeout).expect("a timeout");
    stream
}

/// Reads to the end: whether the server hung up, and what it said before.
fn hangs_up(mut stream: &TcpStream) -> (bool, usize) {
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    let still_open = matches!(&end, Err(error) if error.kind() == ErrorKind::WouldBlock);
    (!still_open, said.len())
}

/// Whether somebody at 127.0.0.2 is served.
fn serves_another(server: &Server) -> bool {
    let output = Command::new("curl")
        .args(["-s", "--interface", "127.0.0.2", "--max-time", "10"])
        .arg(format!("{}/health", server.url))
        .output()
        .expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).contains("ok")
}

/// Asks until somebody is served: the one place there is was given back.
#[track_caller]
fn is_free_again(server: &Server) {
    let is_free = (0..3000).any(|_| {
        let is_served = serves_another(server);
        if !is_served {
            thread::sleep(Duration::from_millis(10));
        }
        is_served
    });
    assert!(is_free, "the place was never given back");
}

#[test]
fn one_address_cannot_take_all_places() {
    let server = ServerBuilder::no_auth()
        .config("[server]\nmax_connections = 100\nmax_connections_per_address = 10\n")
        .start();
    let mut held: Vec<_> = (0..10).map(|_| connect(&server)).collect();
    for stream in &mut held {
        stream.write_all(REQUEST).expect("it reads");
        let mut said = [0; 12];
        stream.read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"HTTP/1.1 200");
    }
    for _ in 0..50 {
        let mut refused = connect(&server);
        let _ = refused.write_all(REQUEST);
        assert_eq!(
            hangs_up(&refused),
            (true, 0),
            "the eleventh is closed at once"
        );
    }
    assert!(serves_another(&server));
    assert!(server.says("max_connections_per_address"));
    drop(held.pop());
    let is_served = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        let mut stream = connect(&server);
        let mut said = [0; 12];
        stream.write_all(REQUEST).is_ok() && stream.read_exact(&mut said).is_ok()
    });
    assert!(is_served, "a place was given back");
}

#[test]
fn a_trusted_proxy_has_no_such_limit() {
    let server = ServerBuilder::no_auth()
        .config("[server]\nmax_connections_per_address = 3\ntrusted_proxies = [\"127.0.0.1\"]\n")
        .start();
    let mut held: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    for stream in &mut held {
        stream.write_all(REQUEST).expect("it reads");
        let mut said = [0; 12];
        stream.read_exact(&mut said).expect("it answers");
    }
}

#[test]
fn headers_that_drip_up_to_the_cap_are_cut_off_and_delay_nobody() {
    let server = ServerBuilder::no_auth()
        .config("[server]\nheader_timeout = \"1s\"\nmax_connections_per_address = 50\n")
        .start();
    let slow: Vec<_> = (0..50).map(|_| connect(&server)).collect();
    for mut stream in &slow {
        stream
            .write_all(b"GET /health HTTP/1.1\r\n")
            .expect("it reads");
    }
    assert!(serves_another(&server), "while they drip");
    let before = server.resident();
    thread::scope(|scope| {
        for stream in &slow {
            scope.spawn(move || {
                let mut drip = stream;
                // Until the server hangs up, or for ever.
                while drip.write_all(b"X: y\r\n").is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
        for _ in 0..20 {
            assert!(serves_another(&server), "while they drip");
        }
    });
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 50 slow clients");
}

#[test]
fn who_reads_no_answer_is_cut_off() {
    let server = ServerBuilder::no_auth()
        .config(
            "[server]\nwrite_timeout = \"1s\"\nheader_timeout = \"1h\"\nidle_timeout = \"1h\"\n\
             max_connections = 1\n",
        )
        .start();
    let mut slow = connect(&server);
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    slow.set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    // Far more than the kernel takes from us for a client that does not read.
    for _ in 0..2000 {
        if slow.write_all(request).is_err() {
            break;
        }
    }
    is_free_again(&server);
    assert!(hangs_up(&slow).0);
}

#[test]
fn who_asks_nothing_more_is_let_go() {
    let server = ServerBuilder::no_auth()
        .config("[server]\nidle_timeout = \"1s\"\nheader_timeout = \"1h\"\n")
        .start();
    let mut idle = connect(&server);
    for _ in 0..3 {
        idle.write_all(REQUEST).expect("it reads");
        let mut said = [0; 12];
        idle.read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"HTTP/1.1 200");
        let mut rest = [0; 1024];
        let _ = idle.read(&mut rest).expect("the rest of it");
    }
    assert_eq!(hangs_up(&idle), (true, 0));
}

#[test]
fn a_body_nobody_asked_for_costs_no_connection_unless_it_is_said() {
    let server = ServerBuilder::accounts().start();
    let paths = [
        "POST /auth/cli-login",
        "POST /auth/nowhere",
        "PUT /v1/me",
        "GET /v1/me",
        "GET /health",
        "POST /auth/logout",
    ];
    for path in paths {
        let mut stream = connect(&server);
        stream.set_nodelay(true).expect("a socket");
        let head = format!("{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it listens");
        // The body comes in a packet of its own, as many a client sends it.
        thread::sleep(Duration::from_millis(20));
        stream.write_all(b"{}").expect("it still listens");
        let mut reader = std::io::BufReader::new(&stream);
        let said = answer(&mut reader);
        if !said.contains("connection: close") {
            (&stream).write_all(REQUEST).expect("it still listens");
            assert!(answer(&mut reader).starts_with("HTTP/1.1 200"), "{path}");
        }
    }
    // Of somebody who does not send it, too, it is said.
    let mut stream = connect(&server);
    let head = "POST /auth/cli-login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).expect("it listens");
    let said = answer(&mut std::io::BufReader::new(&stream));
    assert!(said.contains("connection: close"), "{said}");
}

/// One answer's header, its body read.
fn answer(reader: &mut impl std::io::BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = reader.read_line(&mut head).expect("an answer");
        assert_ne!(read, 0, "the connection ends: {head}");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a number"));
    reader.read_exact(&mut vec![0; length]).expect("a body");
    head
}
