//! Identity providers: whether they can be reached, are who they say, publish keys, and have the
//! same time.
//!
//! Looks at what any OpenID Connect provider publishes, without credentials. Whether the backend
//! itself can work with it is asked of the plugin.

use std::error::Error;

use omnigent_server::{
    clock::Timestamp,
    config::{Backend, Config},
};
use reqwest::{Client, header::DATE, tls::TlsInfo};
use serde_json::Value;
use url::Url;

use super::{certificate, finding::Findings, reach};

/// Clocks this far apart make tokens end early or begin late.
const APART: u64 = 60;

/// Further apart, and nobody signs in.
const FAR_APART: u64 = 300;

pub(super) async fn examine(findings: &mut Findings, config: &Config, now: Timestamp) {
    let Ok(client) = reach::client() else { return };
    for backend in &config.auth.backends {
        if let Some(Value::String(issuer)) = backend.config.expose().get("issuer") {
            one(findings, &client, backend, issuer, now).await;
        }
    }
}

async fn one(
    findings: &mut Findings,
    client: &Client,
    backend: &Backend,
    issuer: &str,
    now: Timestamp,
) {
    let name = &backend.name;
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    let url = format!("{bare}/.well-known/openid-configuration");
    let Ok(parsed) = Url::parse(&url) else {
        return findings.fail(
            "provider",
            format!("{name}: issuer {issuer:?} is not a URL"),
            "set issuer to the provider's",
        );
    };
    if parsed.scheme() != "https" && !parsed.host_str().is_some_and(reach::is_local) {
        findings.fail(
            "provider",
            format!("{name}: {issuer} is not https: anybody in between could sign in as anybody"),
            "use the provider's https address",
        );
    }
    let answer = match client.get(parsed).send().await {
        Ok(answer) => answer,
        Err(error) => {
            return findings.fail(
                "provider",
                format!("{name}: {url} cannot be reached: {}", reason(&error)),
                "check name, route, firewall and certificate; HTTPS_PROXY if there is one",
            );
        }
    };
    if let Some(der) = answer
        .extensions()
        .get::<TlsInfo>()
        .and_then(TlsInfo::peer_certificate)
    {
        certificate::judge(findings, issuer, der, now);
    }
    time(findings, name, &answer, now);
    let status = answer.status();
    let metadata: Value = reach::json(answer).await;
    if metadata["issuer"] != issuer {
        let theirs = metadata["issuer"].as_str();
        let message = match theirs {
            Some(theirs) => {
                format!("{name}: the provider calls itself {theirs:?}, and issuer is {issuer:?}")
            }
            None => format!("{name}: {url} answers {status} and is no provider's metadata"),
        };
        return findings.fail(
            "provider",
            message,
            "set issuer to what the provider calls itself, to the letter",
        );
    }
    keys(findings, client, name, &metadata).await;
}

async fn keys(findings: &mut Findings, client: &Client, name: &str, metadata: &Value) {
    let place = metadata["jwks_uri"].as_str().unwrap_or_default();
    let answer = match client.get(place).send().await {
        Ok(answer) => answer,
        Err(error) => {
            return findings.fail(
                "provider",
                format!(
                    "{name}: the provider's keys at {place:?} cannot be had: {}",
                    reason(&error)
                ),
                "check that this machine reaches them too",
            );
        }
    };
    let set: Value = reach::json(answer).await;
    let count = set["keys"].as_array().map_or(0, Vec::len);
    if count == 0 {
        findings.fail(
            "provider",
            format!("{name}: the provider publishes no keys at {place}"),
            "no signature can be checked: ask who runs the provider",
        );
    } else {
        let s = if count == 1 { "" } else { "s" };
        findings.ok(
            "provider",
            format!("{name}: reached, is who it says, publishes {count} key{s}"),
        );
    }
}

fn time(findings: &mut Findings, name: &str, answer: &reqwest::Response, now: Timestamp) {
    let theirs = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
    let Some(theirs) = theirs else { return };
    let apart = theirs.as_secs().abs_diff(now.seconds());
    let message = format!("{apart} s apart from the provider of {name}");
    let advice = "keep this machine's clock right with NTP";
    if apart > FAR_APART {
        findings.fail("clock", message, advice);
    } else if apart > APART {
        findings.warn("clock", message, advice);
    } else {
        findings.ok("clock", message);
    }
}

/// The last cause of a failure: the first ones only say that a request failed.
pub(super) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within 10 s".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
