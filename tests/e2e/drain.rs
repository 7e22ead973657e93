//! A server that is told to stop loses no request: each is answered in full, or never got in.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{fs::MetadataExt, net::UnixStream},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use omnigent_tests::{ServerBuilder, certificate::Certificate};

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Answered, and the connection is good for another.
    More,
    /// Answered, and the server said that this was the last.
    Last,
    /// Sent whole, and not answered in full: why.
    Lost(String),
}

/// Asks once on a connection.
fn ask(stream: &mut (impl Read + Write)) -> End {
    let request = b"GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    if let Err(error) = stream.write_all(request) {
        return End::Lost(error.to_string());
    }
    let mut reader = BufReader::new(stream);
    let (mut length, mut is_last, mut line) = (None, false, String::new());
    loop {
        line.clear();
        let read = reader.read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            return End::Lost(format!("{read:?} in the header"));
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().ok();
        }
        is_last |= header == "connection: close";
    }
    let mut body = vec![0; length.expect("a length")];
    if let Err(error) = reader.read_exact(&mut body) {
        return End::Lost(format!("{error} in the body"));
    }
    if is_last { End::Last } else { End::More }
}

/// Asks on and on, on as few connections as the server allows, until it cannot be reached.
fn keep_asking<S: Read + Write>(
    connect: impl Fn() -> io::Result<S>,
    reuse: bool,
    answered: &AtomicUsize,
    lost: &Mutex<Vec<String>>,
) {
    while let Ok(mut stream) = connect() {
        loop {
            match ask(&mut stream) {
                End::Lost(why) => {
                    let why = format!("{why}, on a connection used again: {reuse}");
                    lost.lock().expect("no panic").push(why);
                    break;
                }
                end => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    if end == End::Last || !reuse {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn a_drain_under_load_loses_no_request() {
    for _ in 0..5 {
        let server = ServerBuilder::no_auth().start();
        let address = server.url.trim_start_matches("http://").to_owned();
        let (answered, lost) = (AtomicUsize::new(0), Mutex::default());
        let status = thread::scope(|scope| {
            for client in 0..16 {
                let (address, answered, lost) = (&address, &answered, &lost);
                let connect = move || {
                    let stream = TcpStream::connect(address)?;
                    stream.set_read_timeout(TIMEOUT)?;
                    Ok(stream)
                };
                scope.spawn(move || keep_asking(connect, client % 2 == 0, answered, lost));
            }
            while answered.load(Ordering::Relaxed) < 500 {
                thread::sleep(Duration::from_millis(1));
            }
            server.stop().0
        });
        assert!(status.success());
        let lost = lost.into_inner().expect("no panic");
        assert!(lost.is_empty(), "{lost:?} of {}", answered.into_inner());
    }
}

#[test]
fn a_drain_loses_no_request_of_the_unix_sockets() {
    let builder = ServerBuilder::no_auth();
    let folder = builder.dir().to_owned();
    let (proxies, operator) = (folder.join("proxy.sock"), folder.join("data/admin.sock"));
    let uid = folder.metadata().expect("a folder").uid();
    let toml = format!("[server]\nunix_socket = {proxies:?}\nunix_socket_uids = [{uid}]\n");
    let server = builder.config(&toml).start();
    let (answered, lost) = (AtomicUsize::new(0), Mutex::default());
    let status = thread::scope(|scope| {
        for client in 0..8 {
            let path = if client < 4 { &proxies } else { &operator };
            let (answered, lost) = (&answered, &lost);
            let connect = move || {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(TIMEOUT)?;
                Ok(stream)
            };
            scope.spawn(move || keep_asking(connect, client % 2 == 0, answered, lost));
        }
        while answered.load(Ordering::Relaxed) < 300 {
            thread::sleep(Duration::from_millis(1));
        }
        server.stop().0
    });
    assert!(status.success());
    let lost = lost.into_inner().expect("no panic");
    assert!(lost.is_empty(), "{lost:?} of {}", answered.into_inner());
}

#[test]
fn a_drain_under_load_over_http_2_loses_no_request() {
    let builder = ServerBuilder::no_auth();
    let certificate = Certificate::make(builder.dir(), "first");
    let toml = format!("[server]\nlog_level = \"debug\"\n{}", certificate.toml());
    let server = builder.config(&toml).start();
    // What is refused has a line in the log: so both sides can be counted.
    let url = format!("{}/nothing", server.url);
    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (url, answered, stop) = (&url, &answered, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Many on one connection. What a GOAWAY says was not taken curl asks again, or
                    // gives up: either way nobody had it.
                    let mut curl = Command::new("curl");
                    curl.args(["-sk", "--http2", "--max-time", "20", "--parallel"]);
                    for _ in 0..50 {
                        curl.args(["-o", "/dev/null", "-w", "%{http_code} %{exitcode}\n", url]);
                    }
                    let output = curl.output().expect("curl is installed");
                    let lines = String::from_utf8_lossy(&output.stdout);
                    let whole = lines.lines().filter(|line| *line == "404 0").count();
                    answered.fetch_add(whole, Ordering::Relaxed);
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 300 {
            thread::sleep(Duration::from_millis(1));
        }
        let sent = Command::new("kill").arg(server.pid().to_string()).status();
        assert!(sent.expect("kill is there").success());
        assert!(server.says("server.stopped"));
        stop.store(true, Ordering::Relaxed);
    });
    let taken = server.log().matches("path=\"/nothing\"").count();
    assert_eq!(answered.into_inner(), taken, "what was taken was answered");
}

#[test]
fn a_drain_waits_for_what_is_asked_and_ends_at_its_deadline() {
    let server = ServerBuilder::accounts()
        .also("[server]\nshutdown_timeout = \"1s\"\nbody_timeout = \"1h\"\nrequest_timeout = \"1h\"\n")
        .start();
    let address = server.url.trim_start_matches("http://");
    let head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    let begun = || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream
    };
    let (mut one, _never) = (begun(), begun());
    server.client().get("/health").expect(200);
    let (status, answer) = thread::scope(|scope| {
        let stopped = scope.spawn(|| {
            let sent = Command::new("kill").arg(server.pid().to_string()).status();
            assert!(sent.expect("kill is there").success());
            // From here on nobody is let in any more: it drains.
            let closed = address.parse().expect("an address");
            while TcpStream::connect_timeout(&closed, Duration::from_millis(20)).is_ok() {}
            one.write_all(b"{\"a\": 1}\n").expect("it reads still");
            let mut answer = String::new();
            one.read_to_string(&mut answer).expect("it answers");
            answer
        });
        let answer = stopped.join().expect("no panic");
        (server.says("some requests did not end in time"), answer)
    });
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(status, "the other was not waited for");
}
