//! Somebody at a terminal: a home of their own, an environment, and the command.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;
use tempfile::TempDir;

use crate::{PASSWORD, Server, binary};

/// How long a pseudo-terminal waits for what is expected, in milliseconds.
const PATIENCE: u64 = 60_000;

/// Somebody at a terminal.
pub struct Terminal {
    /// Their home.
    pub home: TempDir,
    env: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// One without a display, with an empty home.
    pub fn new() -> Self {
        Self {
            home: TempDir::new().expect("a temporary folder"),
            env: Vec::new(),
        }
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a browser that writes down what it is to open, in `opened` in the home.
    #[must_use]
    pub fn browser(self) -> Self {
        let (script, opened) = (self.home.path().join("browser"), self.opened());
        let text = format!("#!/bin/sh\necho \"$1\" >> {}\n", opened.display());
        fs::write(&script, text).expect("a writable folder");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
        let script = script.display().to_string();
        self.env("BROWSER", &script)
    }

    /// What the browser was to open.
    pub fn opened(&self) -> PathBuf {
        self.home.path().join("opened")
    }

    /// The file with the logins.
    pub fn vault(&self) -> PathBuf {
        self.home.path().join(".omnigent/auth_tokens.json")
    }

    /// What is in it.
    pub fn stored(&self) -> Value {
        let text = fs::read_to_string(self.vault()).expect("logins");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Writes the file with the logins, for the owner only.
    pub fn plant(&self, text: &str) {
        let path = self.vault();
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable home");
        fs::write(&path, text).expect("a writable home");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    }

    /// The command as this person would run it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.args(args).env_clear().env("PATH", path);
        command.env("HOME", self.home.path()).envs(self.env.clone());
        command
    }

    /// Starts it, its output piped.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().expect("a program")
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.feed(args, "")
    }

    /// Runs it with this on its standard input.
    pub fn feed(&self, args: &[&str], input: &str) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("a program");
        let mut stdin = child.stdin.take().expect("piped");
        // One that asks nothing may have ended already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Ended::of(child)
    }

    /// Runs it, having asserted that it succeeds: what it printed, without the line's end.
    #[track_caller]
    pub fn get(&self, args: &[&str]) -> String {
        let ended = self.run(args).expect(0);
        ended.out.trim_end().to_owned()
    }

    /// As [`Terminal::get`], as JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.get(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs it in a pseudo-terminal.
    pub fn pty(&self, args: &[&str]) -> PtySession {
        spawn_command(self.command(args), Some(PATIENCE)).expect("a pseudo-terminal")
    }

    /// Signs in as `admin` with the password.
    #[track_caller]
    pub fn sign_in(&self, server: &Server) {
        let args = [
            "login",
            &server.url,
            "--username",
            "admin",
            "--password-stdin",
        ];
        self.feed(&args, PASSWORD).expect(0);
    }
}

impl Ended {
    /// How a child ends.
    pub fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("a child ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The same, having asserted the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}
