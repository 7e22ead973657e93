//! How the server is reached: who is believed, how many may come, whether it is claimed, what its
//! public address shows.

use std::{fs, net::IpAddr, os::unix::net::UnixStream, time::Duration};

use omnigent_server::{
    clock::Timestamp,
    config::{Cidr, Config},
};
use reqwest::{Client, redirect::Policy, tls::TlsInfo};
use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use super::{certificate, finding::Findings};
use crate::admin::Admin;

/// Descriptors besides those of connections: the store, plugins, providers, upstreams.
const BESIDES: u64 = 256;

pub(super) fn examine(
    findings: &mut Findings,
    config: &Config,
    running: Option<&Admin>,
    now: Timestamp,
) {
    proxies(findings, &config.server.trusted_proxies);
    descriptors(findings, config, running.is_some());
    claimed(findings, config, running);
    if let Some(pair) = config.tls.pair() {
        certificate::of_file(findings, &pair.certificate_file, now);
    }
}

/// Refuses nothing that the configuration does not: a block may be wide and right.
fn proxies(findings: &mut Findings, trusted: &[Cidr]) {
    let is_wide = |block: &&Cidr| block.prefix() < if block.is_ipv4() { 8 } else { 16 };
    for block in trusted.iter().filter(is_wide) {
        findings.warn(
            "proxies",
            format!(
                "trusted_proxies holds {block}: whoever is in it may say who and where they are"
            ),
            "name the proxies' own addresses",
        );
    }
    if !trusted.iter().any(|block| is_wide(&block)) {
        let message = match trusted.len() {
            0 => "no proxy is believed".to_owned(),
            1 => "one block of proxies is believed".to_owned(),
            count => format!("{count} blocks of proxies are believed"),
        };
        findings.ok("proxies", message);
    }
}

fn descriptors(findings: &mut Findings, config: &Config, is_running: bool) {
    let needed = config.server.max_connections as u64 + BESIDES;
    let of_server = is_running.then(|| limit_of_server(config)).flatten();
    let (most, whose) = match of_server {
        Some(most) => (most, "the server"),
        None => (
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            "a process started from here",
        ),
    };
    let message = format!(
        "{whose} may open {most} files; {needed} are needed for max_connections = {}",
        config.server.max_connections
    );
    if most >= needed {
        findings.ok("descriptors", message);
    } else {
        findings.warn(
            "descriptors",
            message,
            "set LimitNOFILE= in the unit (ulimit -n), or a smaller server.max_connections",
        );
    }
}

/// The soft limit of whoever listens on the operator's socket.
fn limit_of_server(config: &Config) -> Option<u64> {
    let socket = UnixStream::connect(config.server.data_dir.join("admin.sock")).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&socket).ok()?;
    let path = format!("/proc/{}/limits", peer.pid.as_raw_nonzero());
    let limits = fs::read_to_string(path).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A server that nobody owns belongs to whoever comes first.
fn claimed(findings: &mut Findings, config: &Config, running: Option<&Admin>) {
    if config.is_no_auth() {
        return findings.warn(
            "claimed",
            "authentication is off: everybody who reaches the server is an admin",
            "name [auth] backends",
        );
    }
    let has_code = config.server.data_dir.join("setup-code").exists();
    let needs_setup = match running.map(|admin| admin.get::<Value>("/v1/info")) {
        Some(Ok(info)) => info["needs_setup"] == Value::Bool(true),
        _ => has_code,
    };
    if !needs_setup {
        let is_new = !config.server.data_dir.join("store").exists();
        let message = if is_new {
            "no server has run here: its first start says how to claim it"
        } else {
            "somebody owns the server"
        };
        return findings.ok("claimed", message);
    }
    let is_open = !config.server.listen.ip().is_loopback()
        || config
            .server
            .public_url
            .as_ref()
            .is_some_and(|url| !url.is_loopback());
    let guard = match (has_code, is_open) {
        (true, true) => "whoever has the setup code can",
        (true, false) => "whoever is on this machine, or has the setup code, can",
        (false, _) => "whoever reaches it can",
    };
    let message = format!("nobody owns the server yet: {guard} make themselves its admin");
    let advice = "claim it at /setup, or with `omnigent account add NAME --admin`";
    if is_open && !has_code {
        findings.fail("claimed", message, advice);
    } else {
        findings.warn("claimed", message, advice);
    }
}

/// What people meet at the public URL.
pub(super) async fn public_url(findings: &mut Findings, config: &Config, now: Timestamp) {
    let Some(url) = &config.server.public_url else {
        if !config.server.listen.ip().is_loopback() {
            findings.warn(
                "public_url",
                "server.public_url is not set: links, cookies and redirects go by the address listened on",
                "set it to the address people use",
            );
        }
        return;
    };
    let Ok(client) = client() else { return };
    let answer = client.get(format!("{url}/v1/info")).send().await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let why = super::provider::reason(&error);
            return findings.warn(
                "public_url",
                format!("{url} cannot be reached from here: {why}"),
                "start the server, or check name, proxy and certificate from where your users are",
            );
        }
    };
    if let Some(der) = answer
        .extensions()
        .get::<TlsInfo>()
        .and_then(TlsInfo::peer_certificate)
    {
        certificate::judge(findings, &url.to_string(), der, now);
    }
    let status = answer.status();
    let info: Value = json(answer).await;
    if info["server_version"].is_string() {
        findings.ok("public_url", format!("{url} leads to an omnigent server"));
    } else {
        findings.fail(
            "public_url",
            format!("{url} answers {status} and is not this server"),
            "set server.public_url to where the server is, or mend the proxy in front",
        );
    }
}

/// A client as plugins have one: redirects are not followed, and nothing waits for long.
pub(super) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(10))
        .tls_info(true)
        .build()
}

/// Bytes read of an answer.
const MOST: usize = 1 << 20;

/// The answer's body; null when it is no JSON, or too much of it.
pub(super) async fn json(mut answer: reqwest::Response) -> Value {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST {
            return Value::Null;
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Whether plain http to `host` stays on this machine.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
