//! `[server]`: where it listens, where its files are, what it logs.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tracing::level_filters::LevelFilter;

use super::{Cidr, Env, Origin, sheet::Section};

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Origin people reach the server at; see [`super::Config::base_url`] when there is none.
    pub public_url: Option<Origin>,
    /// Directory of everything that must survive. Absolute.
    pub data_dir: PathBuf,
    /// Directory plugins are loaded from. Absolute.
    pub plugin_dir: PathBuf,
    /// Connections served at once.
    pub max_connections: usize,
    /// Connections served at once for one address (IPv6: one /64) that is no trusted proxy's.
    pub max_connections_per_address: usize,
    /// Requests under way on one HTTP/2 connection.
    pub max_streams: u32,
    /// Time a client has to send its request's header, from its first byte.
    pub header_timeout: Duration,
    /// Time a connection is kept for the next request.
    pub idle_timeout: Duration,
    /// Time a client has to take the next 16 KiB of an answer.
    pub write_timeout: Duration,
    /// Time a client has to send its request's body.
    pub body_timeout: Duration,
    /// Time a request may take to be answered.
    pub request_timeout: Duration,
    /// Time the server says that it stops before it takes no more connections.
    pub drain_delay: Duration,
    /// Time requests under way have to finish at shutdown.
    pub shutdown_timeout: Duration,
    /// Largest request body, in bytes.
    pub max_body: u64,
    /// Peers whose identity and forwarding headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether every connection comes from one of them and begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Unix socket to listen on as well, for proxies on this machine. Absolute.
    pub unix_socket: Option<PathBuf>,
    /// Users (numeric) who may connect to it, and whose word on identities and addresses counts.
    pub unix_socket_uids: Vec<u32>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Least severe lines written.
    pub log_level: LogLevel,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Least severe log lines written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what may become one.
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// And every step.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

pub(super) fn server(mut section: Section<'_>, env: &Env) -> Server {
    let seconds = Duration::from_secs;
    let timeout = seconds(1)..=seconds(3600);
    let server = Server {
        listen: section.parsed("listen", listen).unwrap_or(DEFAULT_LISTEN),
        public_url: public_url(&mut section),
        data_dir: data_dir(&mut section, env),
        plugin_dir: section
            .path("plugin_dir")
            .map_or_else(default_plugin_dir, |(_, path)| path),
        max_connections: section.integer("max_connections", 4096, 1..=1_000_000) as usize,
        max_connections_per_address: section.integer(
            "max_connections_per_address",
            512,
            1..=1_000_000,
        ) as usize,
        max_streams: section.integer("max_streams", 32, 1..=1000) as u32,
        header_timeout: section.duration("header_timeout", seconds(10), timeout.clone()),
        idle_timeout: section.duration("idle_timeout", seconds(60), timeout.clone()),
        write_timeout: section.duration("write_timeout", seconds(30), timeout.clone()),
        body_timeout: section.duration("body_timeout", seconds(10), timeout.clone()),
        request_timeout: section.duration("request_timeout", seconds(60), timeout.clone()),
        drain_delay: section.duration("drain_delay", seconds(0), seconds(0)..=seconds(300)),
        shutdown_timeout: section.duration("shutdown_timeout", seconds(10), timeout),
        max_body: section.size("max_body", 64 << 10, 4 << 10..=64 << 20),
        trusted_proxies: trusted_proxies(&mut section),
        proxy_protocol: section.boolean("proxy_protocol", false),
        unix_socket: section.path("unix_socket").map(|(_, path)| path),
        unix_socket_uids: section.integers("unix_socket_uids"),
        log_format: section.word(
            "log_format",
            LogFormat::Text,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        ),
        log_level: section.word(
            "log_level",
            LogLevel::Info,
            &[
                ("error", LogLevel::Error),
                ("warn", LogLevel::Warn),
                ("info", LogLevel::Info),
                ("debug", LogLevel::Debug),
                ("trace", LogLevel::Trace),
            ],
        ),
    };
    section.finish();
    server
}

/// The port of the original; only this machine.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6767);

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "is not an address and port such as \"127.0.0.1:6767\" or \"[::]:6767\"".into()
    })
}

/// A password in it is not shown to whoever reads the message.
fn public_url(section: &mut Section<'_>) -> Option<Origin> {
    let (place, text) = section.text("public_url")?;
    if text.contains('@') {
        let message = "must not contain a user name or password";
        section.sheet.fault(&place, message);
        return None;
    }
    section.sheet.accept(&place, &text, text.parse())
}

fn data_dir(section: &mut Section<'_>, env: &Env) -> PathBuf {
    if let Some((_, path)) = section.path("data_dir") {
        return path;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/omnigent");
    }
    match env.home() {
        Some(home) => home.join(".omnigent/server"),
        None => {
            let place = section.place("data_dir");
            let message = "is needed: there is no HOME to find a default in";
            section.sheet.fault(&place, message);
            PathBuf::new()
        }
    }
}

/// Plugins lie beside the executable in a build tree, in `../lib/omnigent` when installed.
fn default_plugin_dir() -> PathBuf {
    let executable = std::env::current_exe().and_then(|path| path.canonicalize());
    let directory = executable
        .ok()
        .and_then(|path| path.parent().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/usr/lib/omnigent"));
    let installed = directory.parent().map(|prefix| prefix.join("lib/omnigent"));
    installed
        .filter(|installed| installed.is_dir())
        .unwrap_or(directory)
}

fn trusted_proxies(section: &mut Section<'_>) -> Vec<Cidr> {
    let parse = |text: &str| {
        let block: Cidr = text.parse()?;
        if block.is_everything() {
            return Err("is every address there is: name the proxies".to_owned());
        }
        Ok(block)
    };
    let blocks = section
        .parsed_list("trusted_proxies", parse)
        .unwrap_or_default();
    if Cidr::are_everything(&blocks) {
        let place = section.place("trusted_proxies");
        let message = "is every address there is, in parts: name the proxies";
        section.sheet.fault(&place, message);
    }
    blocks
}
