//! `omnigent doctor proxy`: tries to be somebody by a header, from outside.

use std::time::Duration;

use reqwest::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde::Serialize;
use serde_json::Value;

use crate::{failure::Failure, output};

/// Tries the known ways to forge the identity a proxy vouches for
///
/// Run it from where your users are, against the address they use, without signing in: each attempt
/// claims to be somebody, and must not be believed. Run it also against the server's own address,
/// which nobody but the proxy should reach.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent doctor proxy https://auth.example.com
  omnigent doctor proxy http://10.0.0.5:6767 --header x-forwarded-email

Exit codes: 0 nothing was believed · 1 something was, or the server cannot be reached")]
pub(super) struct Proxy {
    /// Address to try
    url: String,
    /// The header the proxy sets
    #[arg(long, default_value = "x-forwarded-email")]
    header: String,
    /// Write JSON: a list of {attempt, status, believed}
    #[arg(long)]
    json: bool,
}

/// Whom every attempt claims to be: nobody real.
const FORGED: &str = "omnigent-doctor@invalid.example";

#[derive(Serialize)]
struct Attempt {
    attempt: &'static str,
    status: u16,
    believed: bool,
}

pub(super) fn run(proxy: &Proxy) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let attempts = runtime.block_on(try_all(proxy))?;
    let believed = attempts.iter().filter(|attempt| attempt.believed).count();
    if proxy.json {
        output::json(&attempts);
    } else {
        let row = |attempt: &Attempt| {
            let verdict = if attempt.believed {
                "BELIEVED"
            } else {
                "not believed"
            };
            vec![
                attempt.attempt.to_owned(),
                attempt.status.to_string(),
                verdict.to_owned(),
            ]
        };
        let rows: Vec<_> = attempts.iter().map(row).collect();
        output::say(output::table(&["attempt", "status", "verdict"], &rows));
    }
    if believed == 0 {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{believed} forged identities were believed: make the proxy drop {} from clients, and let \
         nobody but the proxy reach the server",
        proxy.header
    )))
}

async fn try_all(proxy: &Proxy) -> Result<Vec<Attempt>, Failure> {
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let name = proxy.header.to_ascii_lowercase();
    let snake = name.replace('-', "_");
    let mixed = name.replacen('-', "_", 1);
    let cgi = format!("http_{snake}");
    let attempts: Vec<(&'static str, Vec<(&str, &str)>)> = vec![
        ("the header itself", vec![(&name, FORGED)]),
        ("twice", vec![(&name, FORGED), (&name, FORGED)]),
        ("with underscores", vec![(&snake, FORGED)]),
        ("with one underscore", vec![(&mixed, FORGED)]),
        ("as a CGI variable", vec![(&cgi, FORGED)]),
        (
            "named in Connection",
            vec![(&name, FORGED), ("connection", &name)],
        ),
        (
            "with a forged address",
            vec![(&name, FORGED), ("x-forwarded-for", "127.0.0.1")],
        ),
        (
            "with X-Real-IP",
            vec![(&name, FORGED), ("x-real-ip", "127.0.0.1")],
        ),
        (
            "with Forwarded",
            vec![(&name, FORGED), ("forwarded", "for=127.0.0.1")],
        ),
        ("as X-Forwarded-User", vec![("x-forwarded-user", FORGED)]),
        ("as X-Remote-User", vec![("x-remote-user", FORGED)]),
        ("as Remote-User", vec![("remote-user", FORGED)]),
    ];
    let mut outcomes = Vec::new();
    for (attempt, headers) in attempts {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::Usage(format!("{name} is not the name of a header")))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::Usage(format!("{value} cannot be a header's value")))?;
            map.append(name, value);
        }
        let url = format!("{}/v1/me", proxy.url.trim_end_matches('/'));
        let answer = client.get(url).headers(map).send().await;
        let answer = answer.map_err(|error| {
            Failure::Failed(format!("{} cannot be reached: {error}", proxy.url))
        })?;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        let me: Value = serde_json::from_str(&text).unwrap_or_default();
        outcomes.push(Attempt {
            attempt,
            status,
            believed: me["user_id"].is_string() && status == 200,
        });
    }
    Ok(outcomes)
}
