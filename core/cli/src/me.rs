//! `omnigent whoami` and `omnigent status`: as whom, and where.

use omnigent_server::token::Scopes;
use serde_json::{Value, json};

use crate::{
    claims,
    client::{
        Address, Target, Which, credential, default_server, now,
        vault::{Login, Vault},
    },
    failure::Failure,
    output::{self, plain},
    when,
};

/// Shows as whom the server knows you
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 signed in · 5 not signed in · 7 the server cannot be reached")]
pub(crate) struct Whoami {
    #[command(flatten)]
    which: Which,
    /// Write JSON: {server, user_id, is_admin}
    #[arg(long)]
    json: bool,
}

pub(crate) fn whoami(args: &Whoami) -> Result<(), Failure> {
    let target = args.which.target()?;
    let me = identify(&target)?;
    let user_id = me["user_id"].as_str();
    let server = target.wire().server();
    let Some(user_id) = user_id else {
        return Err(Failure::SignedOut(format!(
            "{server} does not know who you are; sign in: omnigent login {server}"
        )));
    };
    if args.json {
        output::json(&json!({
            "server": server.key(), "user_id": user_id, "is_admin": me["is_admin"],
        }));
    } else {
        output::say(plain(user_id));
    }
    Ok(())
}

/// Whom the server says the credential is of. A token whose scope does not reach that question is
/// tried at one it reaches, and then taken at its word for the name.
pub(crate) fn identify(target: &Target) -> Result<Value, Failure> {
    let claims = target
        .bearer()
        .and_then(|bearer| claims::read(bearer.expose()));
    let path = path_for(claims.as_ref());
    let me = target.fetch(path)?;
    if path == ME {
        return Ok(me);
    }
    Ok(json!({"user_id": claims.unwrap_or_default()["sub"], "is_admin": null}))
}

const ME: &str = "/v1/me";

/// Where a token with these claims can ask whether it is good.
pub(crate) fn path_for(claims: Option<&Value>) -> &'static str {
    let scope = claims.and_then(|claims| claims["scope"].as_str());
    let scopes = scope.and_then(|text| text.parse::<Scopes>().ok());
    let paths = [ME, "/v1/sessions?limit=1", "/auth/users?limit=1"];
    let reaches = |path: &&str| {
        let path = path.split('?').next().unwrap_or_default();
        scopes.is_none_or(|scopes| scopes.permits("GET", path))
    };
    paths.into_iter().find(reaches).unwrap_or(ME)
}

/// Shows to which servers you are signed in, and whether they still know you
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 signed in to the default server, or to the one named · 5 not signed in there")]
pub(crate) struct Status {
    #[command(flatten)]
    which: Which,
    /// Write JSON: a list of {server, default, user_id, expires_at, renews, state}
    #[arg(long)]
    json: bool,
    /// Ask no server
    #[arg(long)]
    offline: bool,
}

struct Row {
    server: Address,
    is_default: bool,
    login: Option<Login>,
    state: &'static str,
}

pub(crate) fn status(args: &Status) -> Result<(), Failure> {
    let mut rows = rows(args)?;
    for row in &mut rows {
        row.state = state(row, args.offline);
    }
    if args.json {
        let all: Vec<_> = rows.iter().map(as_json).collect();
        output::json(&all);
    } else if !rows.is_empty() {
        let lines: Vec<_> = rows.iter().map(as_line).collect();
        let head = ["", "server", "account", "token ends", "state"];
        output::say(output::table(&head, &lines));
    }
    if credential::is_from_environment() {
        output::hint("OMNIGENT_REMOTE_AUTH_TOKEN is set and beats every stored login.");
    }
    let named = args
        .which
        .server
        .as_deref()
        .map(Address::parse)
        .transpose()?;
    let is_meant = |row: &&Row| match &named {
        Some(named) => row.server == *named,
        None => row.is_default || rows.len() == 1,
    };
    match rows.iter().find(is_meant) {
        Some(row) if matches!(row.state, GOOD | UNASKED) => Ok(()),
        Some(row) => Err(Failure::SignedOut(format!("{}: {}", row.server, row.state))),
        None => Err(Failure::SignedOut(
            "not signed in; omnigent login URL signs in".into(),
        )),
    }
}

const GOOD: &str = "signed in";
const UNASKED: &str = "stored";

fn rows(args: &Status) -> Result<Vec<Row>, Failure> {
    let default = default_server::get();
    let named = args
        .which
        .server
        .as_deref()
        .map(Address::parse)
        .transpose()?;
    let mut rows = Vec::new();
    let vault = Vault::open()?;
    let keys = vault.as_ref().map_or(Ok(Vec::new()), Vault::servers)?;
    // Addresses we would not speak to (http elsewhere, other programs' entries) are not ours to show.
    let mut servers: Vec<_> = keys
        .iter()
        .filter_map(|key| Address::parse(key).ok())
        .collect();
    for extra in [default.clone(), named.clone()].into_iter().flatten() {
        if !servers.contains(&extra) {
            servers.push(extra);
        }
    }
    for server in servers {
        if named.as_ref().is_some_and(|named| *named != server) {
            continue;
        }
        let login = vault
            .as_ref()
            .map_or(Ok(None), |vault| vault.get(&server))?;
        rows.push(Row {
            is_default: default.as_ref() == Some(&server),
            login,
            state: UNASKED,
            server,
        });
    }
    Ok(rows)
}

fn state(row: &Row, is_offline: bool) -> &'static str {
    if is_offline {
        return match &row.login {
            None => "not signed in",
            Some(login) if login.lasts(now(), 0.0) || login.refresh_token.is_some() => UNASKED,
            Some(_) => "expired",
        };
    }
    let which = Which {
        server: Some(row.server.key().to_owned()),
    };
    let asked = which.target().and_then(|target| identify(&target));
    match asked {
        Ok(me) if me["user_id"].is_string() => GOOD,
        Ok(_) | Err(Failure::SignedOut(_)) => "not signed in",
        Err(Failure::Unreachable(_)) => "cannot be reached",
        Err(_) => "refused",
    }
}

fn as_json(row: &Row) -> Value {
    let login = row.login.as_ref();
    json!({
        "server": row.server.key(),
        "default": row.is_default,
        "user_id": login.and_then(|login| login.user_id.as_ref()),
        "expires_at": login.and_then(|login| login.expires_at),
        "renews": login.is_some_and(|login| login.refresh_token.is_some()),
        "state": row.state,
    })
}

fn as_line(row: &Row) -> Vec<String> {
    let login = row.login.as_ref();
    let account = login
        .and_then(|login| login.user_id.as_deref())
        .unwrap_or("-");
    let ends = match login {
        None => "-".to_owned(),
        Some(login) if login.refresh_token.is_some() => "renews itself".to_owned(),
        Some(login) => login
            .expires_at
            .map_or("never".to_owned(), |at| when::lasting(at - now())),
    };
    vec![
        if row.is_default { "*" } else { "" }.to_owned(),
        plain(row.server.key()),
        plain(account),
        ends,
        row.state.to_owned(),
    ]
}
