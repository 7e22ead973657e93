//! `omnigent token`: the stored token for scripts, and API tokens.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Bearer, Body, Target, Which, now},
    failure::Failure,
    output::{self, hint, plain},
    when,
};

/// Prints a token for scripts, renewed if need be; makes and manages API tokens
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  curl -H \"Authorization: Bearer $(omnigent token)\" https://auth.example.com/v1/sessions
  omnigent token create ci --scope sessions --expires-in-days 30
  omnigent token list
  omnigent token rotate ci --overlap-seconds 3600
  omnigent token revoke ci

Exit codes: 0 done · 5 not signed in · 6 the server refused · 7 it cannot be reached")]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an API token and shows it, this once
    Create {
        /// What it is for
        name: String,
        /// When it ends; without it as the server is configured
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u16>,
        /// What it may reach: sessions, sessions:read, account, admin; several apart by spaces, or said
        /// again. Without one everything you may
        #[arg(long)]
        scope: Vec<String>,
    },
    /// Shows your API tokens
    List,
    /// Makes a successor of a token and shows it, this once
    Rotate {
        /// Id or name of the token
        token: String,
        /// How long the old one goes on
        #[arg(long, value_name = "SECONDS")]
        overlap_seconds: Option<u32>,
    },
    /// Ends a token: it is refused from now on
    Revoke {
        /// Id or name of the token
        token: String,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let target = args.which.target()?;
    match &args.command {
        None => print(&target, args.json),
        Some(Command::Create {
            name,
            expires_in_days,
            scope,
        }) => {
            let mut body = json!({"name": name});
            if let Some(days) = expires_in_days {
                body["expires_in_days"] = (*days).into();
            }
            if !scope.is_empty() {
                body["scope"] = scope.join(" ").into();
            }
            let answer = target.ask(Method::POST, "/auth/tokens", Body::Json(&body));
            let answer = answer.map_err(|failure| with_remedy(failure, &target))?;
            show(&answer.json()?, args.json)
        }
        Some(Command::List) => list(&target, args.json),
        Some(Command::Rotate {
            token,
            overlap_seconds,
        }) => {
            let path = format!("/auth/tokens/{}/rotate", find(&target, token)?);
            let body = overlap_seconds.map_or(json!({}), |s| json!({"overlap_seconds": s}));
            let answer = target.ask(Method::POST, &path, Body::Json(&body));
            let answer = answer.map_err(|failure| with_remedy(failure, &target))?;
            show(&answer.json()?, args.json)
        }
        Some(Command::Revoke { token }) => {
            let id = find(&target, token)?;
            target.ask(Method::DELETE, &format!("/auth/tokens/{id}"), Body::None)?;
            if args.json {
                output::json(&json!({"id": id, "revoked": true}));
            } else {
                output::say(format_args!("{id}: revoked"));
            }
            Ok(())
        }
    }
}

fn print(target: &Target, json: bool) -> Result<(), Failure> {
    let Some(bearer) = target.bearer() else {
        let server = target.wire().server();
        return Err(Failure::SignedOut(format!(
            "not signed in to {server}. Sign in: omnigent login {server}"
        )));
    };
    if json {
        output::json(&json!({"server": target.wire().server().key(), "token": bearer.expose()}));
    } else {
        output::say(bearer.expose());
    }
    Ok(())
}

/// The token alone as the result, all about it beside.
fn show(row: &Value, json: bool) -> Result<(), Failure> {
    if json {
        output::json(row);
        return Ok(());
    }
    let token = row["token"].as_str().map(str::to_owned);
    let token = token
        .and_then(Bearer::parse)
        .ok_or_else(|| Failure::Failed("the server gave no token".into()))?;
    hint(format_args!(
        "{} ({}), scope: {}, ends: {}. It is shown this once:",
        cell(&row["name"]),
        cell(&row["id"]),
        row["scope"]
            .as_str()
            .map_or("everything you may".to_owned(), plain),
        row["expires_at"]
            .as_f64()
            .map_or("never".to_owned(), when::at),
    ));
    output::say(token.expose());
    Ok(())
}

fn list(target: &Target, json: bool) -> Result<(), Failure> {
    let answer = target.fetch("/auth/tokens")?;
    let tokens = answer["tokens"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&tokens);
        return Ok(());
    }
    let row = |token: &Value| {
        let time = |name: &str, none: &str| token[name].as_f64().map_or(none.to_owned(), when::at);
        let ends = token["expires_at"].as_f64();
        let soon = ends.is_some_and(|at| at - now() < 7.0 * 86_400.0);
        vec![
            cell(&token["id"]),
            cell(&token["name"]),
            token["scope"]
                .as_str()
                .map_or("everything".to_owned(), plain),
            time("expires_at", "never") + if soon { " (soon)" } else { "" },
            time("last_used_at", "never"),
            token["last_used_ip"].as_str().map_or("-".to_owned(), plain),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    let head = ["id", "name", "scope", "ends", "last used", "from"];
    output::say(output::table(&head, &rows));
    Ok(())
}

/// The id of a token given by id, or by a name only one has.
fn find(target: &Target, token: &str) -> Result<String, Failure> {
    let answer = target.fetch("/auth/tokens")?;
    let tokens = answer["tokens"].as_array().cloned().unwrap_or_default();
    let with = |member: &str| {
        let found = tokens.iter().filter(|row| row[member] == token);
        found
            .filter_map(|row| row["id"].as_str())
            .collect::<Vec<_>>()
    };
    let found = Some(with("id"))
        .filter(|ids| !ids.is_empty())
        .unwrap_or_else(|| with("name"));
    match found[..] {
        [id] => Ok(output::escape(id)),
        [] => Err(Failure::Refused(format!("you have no token {token}"))),
        _ => Err(Failure::Usage(format!(
            "several tokens are named {token}; give the id"
        ))),
    }
}

fn with_remedy(failure: Failure, target: &Target) -> Failure {
    let server = target.wire().server();
    match failure {
        Failure::Refused(why) if why.contains("sign in again") => {
            Failure::Refused(format!("{why}: omnigent login {server}"))
        }
        other => other,
    }
}

/// A value in a cell of a table.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => plain(&other.to_string()),
    }
}
