//! Real proxies in front of a server: they ask for a password and say in a header who it was.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use crate::Client;

/// Who may pass the proxy.
pub const USER: &str = "ada@example.com";
/// Their password there.
pub const USER_PASSWORD: &str = "proxy-pass-77";

/// A proxy that runs. Dropping it ends it.
pub struct Proxy {
    child: Child,
    /// Where it answers.
    pub url: String,
    dir: TempDir,
}

impl Proxy {
    /// nginx in front of the server at `upstream`.
    #[track_caller]
    pub fn nginx(upstream: &str) -> Self {
        let (dir, port) = place();
        let root = dir.path().display();
        write(
            &dir,
            "passwords",
            &format!("{USER}:{{PLAIN}}{USER_PASSWORD}\n"),
        );
        write(
            &dir,
            "nginx.conf",
            &format!(
                "daemon off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
                 http {{ access_log off; client_body_temp_path {root}/body; \
                 proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi; \
                 uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
                 server {{ listen 127.0.0.1:{port}; location / {{\n{}\nproxy_pass {upstream};\n\
                 auth_basic omnigent; auth_basic_user_file {root}/passwords; }} }} }}\n",
                NGINX
            ),
        );
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(dir.path().join("nginx.conf"));
        Self::start(command, dir, port)
    }

    /// nginx with TLS for `localhost` in front of the server at `upstream`. It asks nobody. Its
    /// certificate is its own, in [`Proxy::certificate`].
    #[track_caller]
    pub fn tls(upstream: &str) -> Self {
        let (dir, port) = place();
        let root = dir.path().display();
        // A leaf that is its own root, which is no authority: the system's default would make it one.
        let settings = "[req]\ndistinguished_name=name\nx509_extensions=leaf\n[name]\n[leaf]\n\
                        basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n";
        write(&dir, "openssl.cnf", settings);
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", "/CN=localhost", "-config", "openssl.cnf"])
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(dir.path())
            .output();
        assert!(made.expect("openssl is installed").status.success());
        write(
            &dir,
            "nginx.conf",
            &format!(
                "daemon off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
                 http {{ access_log off; client_body_temp_path {root}/body; \
                 proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi; \
                 uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
                 server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {root}/certificate.pem; \
                 ssl_certificate_key {root}/key.pem; location / {{ proxy_pass {upstream}; }} }} }}\n",
            ),
        );
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(dir.path().join("nginx.conf"));
        let mut proxy = Self::start(command, dir, port);
        proxy.url = format!("https://localhost:{port}");
        proxy
    }

    /// The certificate of [`Proxy::tls`].
    pub fn certificate(&self) -> std::path::PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// Caddy in front of the server at `upstream`.
    #[track_caller]
    pub fn caddy(upstream: &str) -> Self {
        let (dir, port) = place();
        let hashed = Command::new("caddy")
            .args(["hash-password", "--plaintext", USER_PASSWORD])
            .output()
            .expect("caddy is installed");
        let hash = String::from_utf8_lossy(&hashed.stdout).trim().to_owned();
        let upstream = upstream.trim_start_matches("http://");
        write(
            &dir,
            "Caddyfile",
            &format!(
                "{{\nadmin off\nauto_https off\n}}\nhttp://127.0.0.1:{port} {{\n\
                 basicauth {{\n{USER} {hash}\n}}\nreverse_proxy {upstream} {{\n{CADDY}\n}}\n}}\n"
            ),
        );
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(dir.path().join("Caddyfile"))
            .env("HOME", dir.path());
        Self::start(command, dir, port)
    }

    #[track_caller]
    fn start(mut command: Command, dir: TempDir, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy is installed");
        let mut proxy = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            dir,
        };
        let is_up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let ended = proxy.child.try_wait().ok().flatten();
        assert!(
            is_up && ended.is_none(),
            "the proxy did not start: {}",
            proxy.dir.path().display()
        );
        proxy
    }

    /// Somebody with the right password, through the proxy.
    pub fn client(&self) -> Client {
        let pair = format!("{USER}:{USER_PASSWORD}");
        Client::new(&self.url).with("authorization", &format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Somebody without.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What nginx needs to say who it is; in docs/backends.md.
pub const NGINX: &str = "\
    proxy_set_header Host $http_host;
    proxy_set_header Authorization \"\";
    proxy_set_header X-Forwarded-Email $remote_user;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

/// What Caddy needs to say who it is; in docs/backends.md.
pub const CADDY: &str = "\
    header_up -Authorization
    header_up X-Forwarded-Email {http.auth.user.id}";

fn place() -> (TempDir, u16) {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let port = free.expect("a free port").port();
    (TempDir::new().expect("a folder"), port)
}

fn write(dir: &TempDir, name: &str, text: &str) {
    let path: &Path = dir.path();
    std::fs::write(path.join(name), text).expect("a writable folder");
    // nginx drops its privileges before it reads the passwords.
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(path.to_owned(), 0o755), (path.join(name), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    }
}
