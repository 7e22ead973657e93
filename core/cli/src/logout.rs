//! `omnigent logout`: ends a login on its server, then forgets it.

use reqwest::{Method, StatusCode};

use crate::{
    claims,
    client::{
        Address, Body, Which, Wire, now,
        vault::{Login, Vault},
    },
    failure::Failure,
    output::{self, hint},
};

/// Signs out: the server refuses the login from now on, and it is forgotten here
///
/// An API token given with `login --with-token` is only forgotten: it may be in use elsewhere.
/// `omnigent token revoke` ends it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent logout
  omnigent logout --all
  omnigent logout --forget     when the server is gone for good

Exit codes: 0 signed out · 5 was not signed in · 7 the server cannot be reached; nothing was forgotten")]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Of every server
    #[arg(long, conflicts_with = "server")]
    all: bool,
    /// Only forget the login here; it lives on at the server until it ends
    #[arg(long)]
    forget: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let nothing = || Failure::SignedOut("not signed in".into());
    let vault = Vault::open()?.ok_or_else(nothing)?;
    let servers: Vec<Address> = if args.all {
        let keys = vault.servers()?;
        keys.iter()
            .filter_map(|key| Address::parse(key).ok())
            .collect()
    } else {
        vec![args.which.address()?]
    };
    let mut count = 0;
    let mut failure = None;
    for server in servers {
        match one(&vault, &server, args.forget) {
            Ok(true) => count += 1,
            Ok(false) => {}
            Err(why) if args.all => {
                hint(format_args!("omnigent: {server}: {why}"));
                failure = Some(why);
            }
            Err(why) => return Err(why),
        }
    }
    match failure {
        Some(why) => Err(why),
        None if count == 0 => Err(nothing()),
        None => Ok(()),
    }
}

fn one(vault: &Vault, server: &Address, only_forget: bool) -> Result<bool, Failure> {
    let locked = vault.lock()?;
    let Some(login) = locked.get(server)? else {
        return Ok(false);
    };
    if !only_forget {
        revoke(server, &login)?;
    }
    locked.remove(server)?;
    output::say(format_args!("Logged out of {server}"));
    Ok(true)
}

/// Ends the login on the server. One that has ended already is no fault.
fn revoke(server: &Address, login: &Login) -> Result<(), Failure> {
    let claims = claims::read(login.token.expose()).unwrap_or_default();
    if claims["token_use"] == "api" {
        let id = claims["sid"].as_str().unwrap_or("ID");
        let id = output::plain(id);
        hint(format_args!(
            "The API token itself lives on; omnigent token revoke {id} ends it."
        ));
        return Ok(());
    }
    let wire = Wire::new(server)?;
    let mut is_ended = false;
    if let Some(refresh) = &login.refresh_token {
        let form = [
            ("token", refresh.expose().as_str()),
            ("refresh_token", refresh.expose()),
        ];
        let answer = wire.send(Method::POST, "/oauth/revoke", None, Body::Form(&form))?;
        is_ended |= answer.status.is_success();
        fail_if_unclear(&answer)?;
    }
    if login.lasts(now(), 0.0) {
        let bearer = Some(&login.token);
        let answer = wire.send(Method::POST, "/auth/logout", bearer, Body::None)?;
        is_ended |= answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED;
        fail_if_unclear(&answer)?;
    } else {
        is_ended = true;
    }
    if !is_ended {
        hint("This server ends no logins: the token lives on until it expires.");
    }
    Ok(())
}

fn fail_if_unclear(answer: &crate::client::Answer) -> Result<(), Failure> {
    if answer.status.is_server_error() {
        return Err(answer.failure());
    }
    Ok(())
}
