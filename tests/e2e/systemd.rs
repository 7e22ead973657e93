//! What systemd hands in and is told (`sd_listen_fds(3)`, `sd_notify(3)`).

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use omnigent_tests::{ServerBuilder, binary, repository};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &process.0.id().to_string()])
        .status();
    assert!(sent.expect("kill is there").success());
}

/// Reads what is said until it says `text`: the message that does.
#[track_caller]
fn hear(socket: &UnixDatagram, text: &str) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length) = socket.recv(&mut buffer) {
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let is_it = message.lines().any(|line| line.starts_with(text));
        if is_it {
            return message;
        }
        said.push(message);
    }
    panic!("{text} was not said: {said:?}");
}

#[test]
fn systemd_hears_of_start_reload_life_and_stop() {
    let builder = ServerBuilder::accounts();
    let path = builder.dir().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let timeout = Some(Duration::from_secs(30));
    socket.set_read_timeout(timeout).expect("a timeout");
    let builder = builder
        .env("NOTIFY_SOCKET", path.to_str().expect("a path"))
        .env("WATCHDOG_USEC", "300000");
    let child = builder
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Process(child.expect("it starts"));
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");
    signal(&server, "HUP");
    hear(&socket, "RELOADING=1");
    hear(&socket, "READY=1");
    signal(&server, "TERM");
    let said = hear(&socket, "STOPPING=1");
    // Ten seconds for server.shutdown_timeout, and ten more.
    assert!(said.contains("EXTEND_TIMEOUT_USEC=20000000"), "{said}");
    assert!(server.0.wait().expect("it ends").success());
}

fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    free.expect("a free port").port()
}

/// Starts the server as systemd does a socket's service: when somebody connects.
fn activated(dir: &Path, config: &str, sockets: &[&str], names: &str) -> Process {
    let file = dir.join("omnigent.toml");
    std::fs::write(&file, config).expect("writable");
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg(format!("--listen={socket}"));
    }
    let child = command
        .arg(format!("--fdname={names}"))
        .arg(binary())
        .args(["server", "--data-dir"])
        .arg(dir.join("data"))
        .arg("--config")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Process(child.expect("systemd is installed"))
}

#[track_caller]
fn ask(port: u16) -> String {
    let mut stream = (0..500)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .expect("systemd listens");
    let timeout = Some(Duration::from_secs(30));
    stream.set_read_timeout(timeout).expect("a timeout");
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn a_socket_that_is_handed_in_is_served() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let (port, other) = (free_port(), free_port());
    let unix = dir.path().join("proxy.sock");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{other}\"\nunix_socket_uids = [{}]\n{ACCOUNTS}",
        std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().expect("it is there"))
    );
    let sockets = [format!("127.0.0.1:{port}"), unix.display().to_string()];
    let _server = activated(
        dir.path(),
        &config,
        &[&sockets[0], &sockets[1]],
        "public:proxy",
    );
    let said = ask(port);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(
        TcpStream::connect(("127.0.0.1", other)).is_err(),
        "it takes the place of the configured one"
    );
    let through = Command::new("curl")
        .args(["-s", "--max-time", "20", "--unix-socket"])
        .arg(&unix)
        .arg("http://x/health")
        .output()
        .expect("curl is installed");
    assert!(String::from_utf8_lossy(&through.stdout).contains("ok"));
}

const ACCOUNTS: &str = "[auth]\nbackends = [\"local\"]\n[backend.local]\nplugin = \"accounts\"\n";

#[test]
fn sockets_nobody_knows_what_to_do_with_are_refused() {
    for (sockets, names, config, message) in [
        (
            &["127.0.0.1:0", "127.0.0.1:0"] as &[_],
            "public:more",
            ACCOUNTS,
            "one such is served",
        ),
        (&["127.0.0.1:0"], "proxy", ACCOUNTS, "one such is served"),
        (&["0.0.0.0:0"], "public", "", "without authentication"),
    ] {
        let dir = tempfile::TempDir::new().expect("a folder");
        // The first of a free port of their own.
        let ports: Vec<_> = sockets.iter().map(|_| free_port()).collect();
        let sockets: Vec<_> = sockets
            .iter()
            .zip(&ports)
            .map(|(socket, port)| socket.replace(":0", &format!(":{port}")))
            .collect();
        let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
        let mut server = activated(dir.path(), config, &sockets, names);
        let _ = ask(ports[0]);
        let status = server.0.wait().expect("it ends");
        let mut said = String::new();
        let stderr = server.0.stderr.as_mut().expect("piped");
        let _ = stderr.read_to_string(&mut said);
        assert_eq!(status.code(), Some(2), "{names}: {said}");
        assert!(said.contains(message), "{names}: {said}");
    }
}

#[test]
fn the_units_are_what_systemd_takes_them_for() {
    let folder = repository().join("config/systemd");
    let dir = tempfile::TempDir::new().expect("a folder");
    for name in ["omnigent.service", "omnigent.socket"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("a unit");
        for line in text
            .lines()
            .filter(|line| line.starts_with("ExecStart=") || line.starts_with("ExecReload="))
        {
            let (_, command) = line.split_once('=').unwrap_or_default();
            assert!(
                command.starts_with("/usr/bin/omnigent "),
                "not in the package: {line}"
            );
        }
        // The command is not installed on the machine of the test.
        let command = binary().display().to_string();
        let text = text.replace("/usr/bin/omnigent", &command);
        std::fs::write(dir.path().join(name), text).expect("writable");
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(dir.path().join("omnigent.service"))
        .arg(dir.path().join("omnigent.socket"))
        .output()
        .expect("systemd is installed");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let of_ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("omnigent"))
        .collect();
    assert!(verified.status.success() && of_ours.is_empty(), "{said}");
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(dir.path().join("omnigent.service"))
        .output()
        .expect("systemd is installed");
    let said = String::from_utf8_lossy(&security.stdout).into_owned();
    assert!(security.status.success(), "exposed: {said}");
}
