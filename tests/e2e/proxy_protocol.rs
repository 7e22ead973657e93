//! The PROXY protocol: a balancer vouches for an address, and for nothing else (THREATS H1, H2).

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use omnigent_tests::{Server, ServerBuilder, certificate::Certificate};
use tempfile::TempDir;

/// A server that believes a proxy at 127.0.0.1 (or one that comes from there by a balancer) who
/// somebody is.
fn start(more: &str) -> Server {
    let builder = ServerBuilder::no_auth().config(
        "[server]\nproxy_protocol = true\nheader_timeout = \"1s\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [auth]\nbackends = [\"proxy\"]\n[backend.proxy]\nplugin = \"header\"\n",
    );
    builder.also(more).start()
}

/// Sends these bytes; everything that comes back.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server.url.rsplit('/').next().expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).expect("a timeout");
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    if let Err(error) = end {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs");
    }
    String::from_utf8_lossy(&said).into_owned()
}

const ASK: &str = "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Forwarded-Email: ada@example.com\r\n\
                   Connection: close\r\n\r\n";

/// What `/v1/me` says to somebody who claims to be ada, after this header.
fn claims(server: &Server, header: &[u8]) -> String {
    raw(server, &[header, ASK.as_bytes()].concat())
}

fn second(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u8::try_from(addresses.len()).expect("short");
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family, 0, length]);
    bytes.extend(addresses);
    bytes
}

#[test]
fn the_address_decides_who_is_believed_and_the_balancer_does_not() {
    let server = start("");
    let believed = |said: &str| said.contains(r#""user_id":"ada@example.com""#);
    // A proxy we trust, behind the balancer.
    let said = claims(&server, b"PROXY TCP4 127.0.0.1 127.0.0.1 5000 443\r\n");
    assert!(believed(&said), "{said}");
    let said = claims(
        &server,
        &second(1, 0x11, &[127, 0, 0, 1, 127, 0, 0, 1, 1, 2, 3, 4]),
    );
    assert!(believed(&said), "{said}");
    // Anybody else who comes through it, and the balancer itself.
    for header in [
        b"PROXY TCP4 203.0.113.9 127.0.0.1 5000 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::9 ::1 5000 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        second(1, 0x11, &[203, 0, 113, 9, 127, 0, 0, 1, 1, 2, 3, 4]),
        second(0, 0x11, &[127, 0, 0, 1, 127, 0, 0, 1, 1, 2, 3, 4]),
        second(1, 0, &[]),
        second(1, 0x31, &[b'x'; 216]),
    ] {
        let said = claims(&server, &header);
        let header = header.escape_ascii().to_string();
        assert!(said.starts_with("HTTP/1.1 "), "{header}: {said}");
        assert!(!believed(&said), "{header}: {said}");
    }
}

#[test]
fn without_a_good_header_nobody_is_heard() {
    let server = start("");
    let long = [&second(1, 0x11, &[])[..14], &[0xff, 0xff]].concat();
    for bytes in [
        b"" as &[u8],
        b"PROXY TCP4 127.0.0.1 ",
        b"PROXY TCP4 300.0.0.1 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2 3\r\n",
        b"PROXY \xff\xfe\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c",
        b"\x16\x03\x01\x02\x00\x01",
        &second(1, 0x11, &[1, 2, 3]),
        &second(9, 0x11, &[127; 12]),
        &long,
        &[b'P'; 4096],
    ] {
        let said = claims(&server, bytes);
        assert_eq!(said, "", "{}", bytes.escape_ascii());
        let said = raw(&server, bytes);
        assert_eq!(said, "", "{}", bytes.escape_ascii());
    }
    let good = claims(&server, b"PROXY TCP4 127.0.0.1 127.0.0.1 5000 443\r\n");
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
}

#[test]
fn who_is_no_balancer_is_not_heard_at_all() {
    let server = start("");
    let me = format!("{}/v1/me", server.url);
    let from = |address: &str, header: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "20", "--interface", address]);
        let output = curl
            .args(header)
            .arg(&me)
            .output()
            .expect("curl is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(from("127.0.0.1", &["--haproxy-protocol"]).contains("user_id"));
    assert_eq!(from("127.0.0.2", &["--haproxy-protocol"]), "");
    assert_eq!(from("127.0.0.2", &[]), "");
}

#[test]
fn it_is_refused_without_anybody_to_trust() {
    let refused = ServerBuilder::no_auth()
        .config("[server]\nproxy_protocol = true\n")
        .try_start();
    let said = refused.err().expect("it does not start");
    assert!(said.contains("server.trusted_proxies"), "{said}");
}

/// A balancer that passes connections on, and says from whom.
struct Balancer {
    child: Child,
    port: u16,
    _dir: TempDir,
}

fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    free.expect("a free port").port()
}

impl Balancer {
    #[track_caller]
    fn haproxy(server: &Server, option: &str) -> Self {
        let port = free_port();
        let upstream = server.url.rsplit('/').next().expect("an address");
        let config = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n\
             backend b\n  server s {upstream} {option}\n"
        );
        let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];
        let program = program
            .iter()
            .find(|path| std::path::Path::new(path).exists());
        let mut command = Command::new(program.expect("haproxy is installed"));
        command.arg("-f");
        Self::start(command, &config, TempDir::new().expect("a folder"), port)
    }

    /// nginx as `ngx_stream_proxy_module` has it. `via`: behind another one that tells it the client's address
    /// in the same way.
    #[track_caller]
    fn nginx(server: &Server, via: bool) -> Self {
        let dir = TempDir::new().expect("a folder");
        let (root, port, inner) = (dir.path().display(), free_port(), free_port());
        let upstream = server.url.rsplit('/').next().expect("an address");
        let servers = match via {
            false => format!(
                "server {{ listen 127.0.0.1:{port}; proxy_pass {upstream}; proxy_protocol on; }}"
            ),
            true => format!(
                "server {{ listen 127.0.0.1:{inner} proxy_protocol; set_real_ip_from 127.0.0.1; \
                 proxy_pass {upstream}; proxy_protocol on; }}\n\
                 server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{inner}; proxy_protocol on; }}"
            ),
        };
        let config = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
             daemon off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
             stream {{\n{servers}\n}}\n"
        );
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c");
        Self::start(command, &config, dir, port)
    }

    /// `command` takes the path of its configuration next.
    #[track_caller]
    fn start(mut command: Command, config: &str, dir: TempDir, port: u16) -> Self {
        let file = dir.path().join("balancer.cfg");
        std::fs::write(&file, config).expect("writable");
        let child = command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the balancer is installed");
        let mut balancer = Self {
            child,
            port,
            _dir: dir,
        };
        let is_up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let ended = balancer.child.try_wait().ok().flatten();
        assert!(is_up && ended.is_none(), "the balancer did not start");
        balancer
    }

    /// What `/v1/me` says to somebody who comes from `address` and claims to be ada.
    fn claims(&self, address: &str, scheme: &str, http: &str) -> String {
        let output = Command::new("curl")
            .args(["-sk", "--max-time", "20", "--interface", address, http])
            .args(["-H", "X-Forwarded-Email: ada@example.com"])
            .arg(format!("{scheme}://127.0.0.1:{}/v1/me", self.port))
            .output();
        let output = output.expect("curl is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// ada is believed from 127.0.0.1 only, which is what the balancer says and not where it comes from.
#[track_caller]
fn tells_who_comes(balancer: &Balancer, which: &str) {
    let said = balancer.claims("127.0.0.1", "http", "--http1.1");
    assert!(
        said.contains(r#""user_id":"ada@example.com""#),
        "{which}: {said}"
    );
    let said = balancer.claims("127.0.0.2", "http", "--http1.1");
    assert!(said.contains(r#""user_id":null"#), "{which}: {said}");
}

#[test]
fn haproxy_speaks_it_in_both_versions() {
    let server = start("");
    for option in ["send-proxy", "send-proxy-v2"] {
        tells_who_comes(&Balancer::haproxy(&server, option), option);
    }
}

#[test]
fn nginx_speaks_it_and_passes_on_what_it_was_told() {
    let server = start("");
    tells_who_comes(&Balancer::nginx(&server, false), "alone");
    tells_who_comes(&Balancer::nginx(&server, true), "behind another");
}

#[test]
fn it_comes_before_tls() {
    let dir = TempDir::new().expect("a folder");
    let certificate = Certificate::make(dir.path(), "first");
    let server = start(&certificate.toml());
    let balancer = Balancer::haproxy(&server, "send-proxy-v2");
    for http in ["--http1.1", "--http2"] {
        let said = balancer.claims("127.0.0.1", "https", http);
        assert!(
            said.contains(r#""user_id":"ada@example.com""#),
            "{http}: {said}"
        );
        let said = balancer.claims("127.0.0.2", "https", http);
        assert!(said.contains(r#""user_id":null"#), "{http}: {said}");
    }
}
