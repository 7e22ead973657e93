//! `omnigent explain`: why a token or a request is refused, or what it may do.
//!
//! **Invariant:** the token is never shown, and what it says of itself is shown as its own word; only
//! the server's answer decides.

use omnigent_server::token::Scopes;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    claims,
    client::{Answer, Bearer, Body, Which, Wire, credential, now, refusal, vault::Vault},
    failure::Failure,
    me,
    output::{self, plain},
    when,
};

/// Says why a token is refused, or what it may do; with a method and a path, why that request is
///
/// The token is the one a command would use; `--token-stdin` takes another. It is never shown. What it
/// says of itself is decoded here; whether that holds is asked of the server. A GET is tried, anything
/// else is judged by the token's scope, so that explaining changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent explain
  omnigent explain GET /auth/users
  omnigent explain --token-stdin < token.txt

Exit codes: 0 the token is good, and would do for the request · 5 no token, or a refused one · 6 good, but not \
for that request · 7 the server cannot be reached")]
pub(crate) struct Args {
    /// A method
    #[arg(requires = "path")]
    method: Option<String>,
    /// A path of the server
    path: Option<String>,
    /// Read the token from standard input
    #[arg(long)]
    token_stdin: bool,
    /// Write JSON: {server, source, token, accepted, user_id, reason, request}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Default, Serialize)]
struct Report {
    server: String,
    source: &'static str,
    token: Option<Facts>,
    accepted: bool,
    user_id: Option<String>,
    is_admin: Option<bool>,
    reason: Option<String>,
    remedy: Option<String>,
    request: Option<Judged>,
}

/// What a token says of itself.
#[derive(Serialize)]
struct Facts {
    kind: String,
    account: Option<String>,
    issuer: Option<String>,
    provider: Option<String>,
    login: Option<String>,
    client: Option<String>,
    scope: Option<String>,
    issued_at: Option<f64>,
    expires_at: Option<f64>,
    algorithm: Option<String>,
}

#[derive(Serialize)]
struct Judged {
    method: String,
    path: String,
    allowed: Option<bool>,
    status: Option<u16>,
    why: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let method = args.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Failure::Usage(format!("{method} is no method")))?;
    if args
        .path
        .as_deref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        return Err(Failure::Usage("the path begins with a slash".into()));
    }
    let server = args.which.address()?;
    let wire = Wire::new(&server)?;
    let mut report = Report {
        server: server.key().to_owned(),
        ..Report::default()
    };
    let bearer = token(args, &wire, &mut report)?;
    report.token = bearer.as_ref().and_then(|bearer| facts(bearer.expose()));
    let outcome = examine(&wire, bearer.as_ref(), args, &method, &mut report);
    if args.json {
        output::json(&report);
    } else {
        show(&report);
    }
    outcome
}

fn token(args: &Args, wire: &Wire, report: &mut Report) -> Result<Option<Bearer>, Failure> {
    if args.token_stdin {
        report.source = "standard input";
        return Bearer::from_input().map(Some);
    }
    report.source = if credential::is_from_environment() {
        "OMNIGENT_REMOTE_AUTH_TOKEN"
    } else {
        "the stored login"
    };
    match credential::fresh(wire) {
        // It has ended; the token itself may still say why.
        Err(Failure::SignedOut(why)) => {
            report.remedy = Some(why);
            let stored = Vault::open()?.map_or(Ok(None), |vault| vault.get(wire.server()))?;
            Ok(stored.map(|login| login.token))
        }
        other => other,
    }
}

fn examine(
    wire: &Wire,
    bearer: Option<&Bearer>,
    args: &Args,
    method: &Method,
    report: &mut Report,
) -> Result<(), Failure> {
    let server = wire.server();
    let claims = bearer.and_then(|bearer| claims::read(bearer.expose()));
    let answer = wire.send(
        Method::GET,
        me::path_for(claims.as_ref()),
        bearer,
        Body::None,
    )?;
    let me: Value = answer.json().unwrap_or_default();
    report.user_id = me["user_id"].as_str().map(plain);
    report.is_admin = me["is_admin"].as_bool();
    let is_known =
        report.user_id.is_some() || claims.as_ref().is_some_and(|c| !c["scope"].is_null());
    report.accepted = answer.status.is_success() && is_known;
    if !report.accepted {
        report.reason = Some(why_refused(&answer, report.token.as_ref(), bearer));
        if report.remedy.is_none() {
            report.remedy = Some(format!("sign in: omnigent login {server}"));
        }
        if let Some(path) = &args.path {
            report.request = Some(Judged {
                method: method.to_string(),
                path: path.clone(),
                allowed: Some(false),
                status: None,
                why: "the token itself is refused".to_owned(),
            });
        }
        return Err(Failure::SignedOut(format!(
            "{server} accepts no such token"
        )));
    }
    let Some(path) = &args.path else {
        return Ok(());
    };
    let judged = judge(wire, bearer, method, path, claims.as_ref())?;
    let is_allowed = judged.allowed != Some(false);
    let why = judged.why.clone();
    report.request = Some(judged);
    if is_allowed {
        Ok(())
    } else {
        Err(Failure::Refused(why))
    }
}

/// Whether the token would do for a request. Only what changes nothing is tried.
fn judge(
    wire: &Wire,
    bearer: Option<&Bearer>,
    method: &Method,
    path: &str,
    claims: Option<&Value>,
) -> Result<Judged, Failure> {
    let judged = |allowed, status: Option<StatusCode>, why: String| Judged {
        method: method.to_string(),
        path: path.to_owned(),
        allowed,
        status: status.map(|status| status.as_u16()),
        why,
    };
    let bare = path.split('?').next().unwrap_or_default();
    let scope = claims.and_then(|claims| claims["scope"].as_str());
    if let Some(text) = scope {
        let permits = text
            .parse::<Scopes>()
            .is_ok_and(|scopes| scopes.permits(method.as_str(), bare));
        if !permits {
            let why = format!(
                "the token's scope is {}, which does not reach it",
                plain(text)
            );
            return Ok(judged(Some(false), None, why));
        }
    }
    if *method != Method::GET {
        let why = "nothing in the token's scope forbids it; not tried, for it may change something";
        return Ok(judged(None, None, why.to_owned()));
    }
    let answer = wire.send(Method::GET, path, bearer, Body::None)?;
    let status = Some(answer.status);
    let reason = refusal::reason(&answer.body).unwrap_or_else(|| answer.status.to_string());
    let verdict = match answer.status {
        status if status.is_success() => (Some(true), "it is allowed".to_owned()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (Some(false), reason),
        StatusCode::NOT_FOUND => (
            Some(false),
            format!("{reason}: there is no such thing, or it is not shared with you"),
        ),
        _ => (Some(false), reason),
    };
    Ok(judged(verdict.0, status, verdict.1))
}

fn why_refused(answer: &Answer, facts: Option<&Facts>, bearer: Option<&Bearer>) -> String {
    if bearer.is_none() {
        return "there is no token for this server".to_owned();
    }
    let Some(facts) = facts else {
        return "it is not a token of an omnigent server at all".to_owned();
    };
    if let Some(at) = facts.expires_at.filter(|at| *at < now()) {
        return format!("it expired {}", when::lasting(at - now()));
    }
    if facts.issued_at.is_some_and(|at| at > now() + 60.0) {
        return "it is from the future: this machine's clock or the server's is wrong".to_owned();
    }
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let described = challenge.split("error_description=\"").nth(1);
    if let Some(text) = described.and_then(|rest| rest.split('"').next()) {
        return text.to_owned();
    }
    format!(
        "the server answers {}: it was revoked, its account is gone or disabled, or another server made it",
        answer.status
    )
}

fn facts(token: &str) -> Option<Facts> {
    let claims = claims::read(token)?;
    let header = claims::header(token).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(plain);
    let kind = match claims["token_use"].as_str() {
        Some("api") => "API token",
        _ if !claims["grant_id"].is_null() => "login, renewed or granted to a client",
        _ => "login",
    };
    Some(Facts {
        kind: kind.to_owned(),
        account: text(&claims["sub"]),
        issuer: text(&claims["iss"]),
        provider: text(&claims["provider"]),
        login: text(&claims["sid"]),
        client: text(&claims["act"]["client_id"]),
        scope: text(&claims["scope"]),
        issued_at: claims["iat"].as_f64(),
        expires_at: claims["exp"].as_f64(),
        algorithm: text(&header["alg"]),
    })
}

/// What a scope is for, in words. Which requests that are is the server's [`Scopes`].
fn reach(scope: Option<&str>) -> String {
    let Some(scope) = scope else {
        return "everything its account may".to_owned();
    };
    let words = scope.split_whitespace().map(|scope| match scope {
        "sessions" => "agents and sessions",
        "sessions:read" => "agents and sessions, to read",
        "account" => "one's own tokens and logins",
        "admin" => "other people's accounts, if its account is an admin",
        _ => "something this version does not know",
    });
    words.collect::<Vec<_>>().join("; ")
}

fn show(report: &Report) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("server", Some(report.server.clone()));
    row("token from", Some(report.source.to_owned()));
    if let Some(facts) = &report.token {
        row("it says: kind", Some(facts.kind.clone()));
        row("account", facts.account.clone());
        row("made by", facts.issuer.clone());
        row("signed in with", facts.provider.clone());
        row("client", facts.client.clone());
        row("login", facts.login.clone());
        let scope = facts.scope.as_deref();
        row("scope", scope.map(str::to_owned));
        row("which reaches", Some(reach(scope)));
        let ends = |at: f64| format!("{} ({})", when::at(at), when::lasting(at - now()));
        row("issued", facts.issued_at.map(when::at));
        row(
            "ends",
            Some(facts.expires_at.map_or("never".to_owned(), ends)),
        );
    }
    let verdict = if report.accepted {
        "accepted"
    } else {
        "refused"
    };
    row("the server says", Some(verdict.to_owned()));
    row("you are", report.user_id.clone());
    row(
        "admin",
        report
            .is_admin
            .map(|is| if is { "yes" } else { "no" }.to_owned()),
    );
    row("why", report.reason.clone());
    row("do", report.remedy.clone().filter(|_| !report.accepted));
    if let Some(request) = &report.request {
        row(
            "request",
            Some(plain(&format!("{} {}", request.method, request.path))),
        );
        row(
            "allowed",
            Some(match request.allowed {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => "perhaps".to_owned(),
            }),
        );
        row("because", Some(request.why.clone()));
    }
    let width = rows
        .iter()
        .map(|row| row[0].chars().count())
        .max()
        .unwrap_or(0);
    for row in rows {
        output::say(format_args!("{:width$}  {}", row[0], row[1]));
    }
}
