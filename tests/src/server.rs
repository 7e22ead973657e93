//! A real server process on a free port and a temporary data directory.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Client, PASSWORD};

/// How a server is to be started.
pub struct ServerBuilder {
    dir: Arc<TempDir>,
    config: Option<String>,
    env: Vec<(String, String)>,
    args: Vec<String>,
    listen: bool,
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it answers.
    pub url: String,
    /// Its temporary folder: `data` inside is the data directory.
    pub dir: Arc<TempDir>,
    log: Arc<Mutex<String>>,
    builder: Option<ServerBuilder>,
}

/// The built command.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("omnigent");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// The operator's command on a server's folder, whether a server runs there, did once, or never: exit code,
/// what it printed, and what it complained about.
pub fn operate(dir: &TempDir, args: &[&str]) -> (i32, String, String) {
    let output = operator_command(dir, args).output();
    ended(&output.expect("the command runs"))
}

/// See [`operate`]. Without a configuration in the folder, the command has none.
pub fn operator_command(dir: &TempDir, args: &[&str]) -> Command {
    let dir = dir.path();
    let mut command = Command::new(binary());
    command.args(args).arg("--data-dir").arg(dir.join("data"));
    let config = dir.join("omnigent.toml");
    if config.exists() {
        command.arg("--config").arg(config);
    }
    command
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("TMPDIR", dir);
    command
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
}

impl ServerBuilder {
    /// A server in accounts mode on a fresh data directory.
    pub fn accounts() -> Self {
        Self::no_auth().config(
            r#"
            [auth]
            backends = ["local"]
            [backend.local]
            plugin = "accounts"
            [passwords]
            memory = "7MiB"
            iterations = 1
            [[agent]]
            name = "reviewer"
            description = "Reads pull requests"
            "#,
        )
    }

    /// A server without a configuration file: no-auth mode.
    pub fn no_auth() -> Self {
        let dir = Arc::new(TempDir::new().expect("a temporary folder"));
        Self {
            dir,
            config: None,
            env: Vec::new(),
            args: Vec::new(),
            listen: true,
        }
    }

    /// Its temporary folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// With this configuration file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// With this text at the end of the configuration file.
    #[must_use]
    pub fn also(mut self, toml: &str) -> Self {
        let config = self.config.get_or_insert_default();
        config.push('\n');
        config.push_str(toml);
        self
    }

    /// With one text in the configuration file in place of another.
    #[must_use]
    pub fn replacing(mut self, old: &str, new: &str) -> Self {
        self.config = self.config.map(|config| config.replace(old, new));
        self
    }

    /// With this environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this command line argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// On the data of another server, which has stopped.
    #[must_use]
    pub fn on(mut self, dir: &Arc<TempDir>) -> Self {
        self.dir = Arc::clone(dir);
        self
    }

    /// Where its configuration says, and not on a free port.
    #[must_use]
    pub fn listening_as_configured(mut self) -> Self {
        self.listen = false;
        self
    }

    /// The command that would be run.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("server")
            .arg("--data-dir")
            .arg(self.dir.path().join("data"));
        if self.listen {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if let Some(config) = &self.config {
            let file = self.dir.path().join("omnigent.toml");
            std::fs::write(&file, config).expect("a writable folder");
            command.arg("--config").arg(file);
        }
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.clone())
            .env("HOME", self.dir.path());
        command
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Server {
        self.try_start()
            .unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// Starts it; what it printed when it does not come up.
    pub fn try_start(self) -> Result<Server, String> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server is a program");
        let log = Arc::new(Mutex::new(String::new()));
        let (say, hear) = mpsc::channel();
        let readers: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for reader in readers {
            let (log, say) = (Arc::clone(&log), say.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    if let Some(url) = listening(&line) {
                        let _ = say.send(url);
                    }
                    let mut log = log.lock().expect("a log");
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        drop(say);
        match hear.recv_timeout(Duration::from_secs(60)) {
            Ok(url) => Ok(Server {
                child,
                url,
                dir: Arc::clone(&self.dir),
                log,
                builder: Some(self),
            }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().expect("a child ends");
                let log = log.lock().expect("a log").clone();
                Err(format!("{log}\n[{status}]"))
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                Err(log.lock().expect("a log").clone())
            }
        }
    }
}

/// The address in a line such as `listening on http://127.0.0.1:6767`.
fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let (scheme, rest) = rest.split_once("://127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{scheme}://127.0.0.1:{port}"))
}

impl Server {
    /// A client without credentials.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Claims the server for `admin`; a client that acts as them.
    #[track_caller]
    pub fn claim(&self) -> Client {
        let answer = self.client().post(
            "/auth/setup",
            json!({"username": "admin", "password": PASSWORD}),
        );
        self.client().bearer(token(&answer.expect(200).json()))
    }

    /// Invites and registers `name` as `admin`; a client that acts as them.
    #[track_caller]
    pub fn join(&self, admin: &Client, name: &str) -> Client {
        let invite = admin.post("/auth/invite", json!({})).expect(200).json();
        let body = json!({"invite": invite["token"], "username": name, "password": PASSWORD});
        let answer = self.client().post("/auth/register", body);
        self.client().bearer(token(&answer.expect(200).json()))
    }

    /// Signs in; a client that acts as `name`.
    #[track_caller]
    pub fn login(&self, name: &str, password: &str) -> Client {
        let answer = self.client().post(
            "/auth/login",
            json!({"username": name, "password": password}),
        );
        self.client().bearer(token(&answer.expect(200).json()))
    }

    /// Writes another configuration into its file, for a reload.
    pub fn reconfigure(&self, toml: &str) {
        std::fs::write(self.dir.path().join("omnigent.toml"), toml).expect("a writable folder");
    }

    /// What is in its configuration file.
    pub fn configuration(&self) -> String {
        let file = self.dir.path().join("omnigent.toml");
        std::fs::read_to_string(file).expect("a configuration")
    }

    /// Runs `omnigent` with these arguments on its configuration: exit code, what it printed, and what
    /// it complained about.
    pub fn operator(&self, args: &[&str]) -> (i32, String, String) {
        operate(&self.dir, args)
    }

    /// Runs `omnigent` with these arguments and nothing else.
    pub fn operator_free(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(binary()).args(args).env_clear().output();
        ended(&output.expect("the command runs"))
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// Whether it prints `text`, now or within a few seconds: what it prints comes through a pipe.
    pub fn says(&self, text: &str) -> bool {
        (0..500).any(|_| {
            let said = self.log().contains(text);
            if !said {
                std::thread::sleep(Duration::from_millis(10));
            }
            said
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a size");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }

    /// Ends it with SIGKILL and starts another on the same data.
    #[track_caller]
    pub fn kill_and_restart(self) -> Self {
        self.kill().start()
    }

    /// Ends it with SIGKILL; how to start another on the same data.
    pub fn kill(mut self) -> ServerBuilder {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child ends");
        self.builder.take().expect("it was built")
    }

    /// Asks it to stop with SIGTERM and waits: how it ended, and how to start another.
    pub fn stop(mut self) -> (std::process::ExitStatus, ServerBuilder) {
        let sent = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .expect("kill is there");
        assert!(sent.success());
        let status = self.child.wait().expect("a child ends");
        (status, self.builder.take().expect("it was built"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server said:\n{}", self.log());
        }
    }
}

#[track_caller]
fn token(answer: &Value) -> &str {
    answer["token"].as_str().expect("an answer with a token")
}
