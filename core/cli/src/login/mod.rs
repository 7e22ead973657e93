//! `omnigent login`: from an address to a stored login, by whichever way the server and this
//! terminal have (CONTRACT section 10).

mod browser;
mod device;
mod keep;
mod password;
mod paste;
mod qr;
mod surroundings;

pub(crate) use keep::{SignedIn, keep};
pub(crate) use password::{ask, go_on};

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    client::{Address, Wire, default_server},
    failure::Failure,
    output::{self, hint},
};

/// The client that logins with a name and a password are granted to.
pub(crate) const CLIENT: &str = "omnigent-cli";

/// Signs in to a server and remembers it
///
/// Asks the server how people sign in there. With a password it asks for it here; otherwise it opens a
/// page in the browser and waits, or, without a display or over SSH, shows a code to enter on another
/// device. The login is stored in ~/.omnigent/auth_tokens.json and renewed by itself; the server becomes
/// the default one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent login https://auth.example.com
  omnigent login --device                        on a machine without a browser
  omnigent login --no-browser auth.example.com   prints the link instead of opening it
  omnigent login --with-token < token.txt        an API token made in Settings → API Tokens
  printf %s \"$PASSWORD\" | omnigent login --username ada --password-stdin

Exit codes: 0 signed in, or no sign-in is needed · 5 not signed in · 6 refused, denied or expired · 7 the \
server cannot be reached")]
pub(crate) struct Args {
    /// Address of the server; without it the default one. https:// is assumed, http:// for this machine
    url: Option<String>,
    /// Show a code to enter on another device
    #[arg(long, conflicts_with_all = ["no_browser", "with_token"])]
    device: bool,
    /// Print the link instead of opening it
    #[arg(long, conflicts_with = "with_token")]
    no_browser: bool,
    /// Read an API token from standard input
    #[arg(long)]
    with_token: bool,
    /// Show the link as a QR code too
    #[arg(long, conflicts_with = "with_token")]
    qr: bool,
    /// User name, where people sign in with a password
    #[arg(long, conflicts_with_all = ["device", "no_browser", "with_token"])]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Write JSON: {server, user_id, expires_at}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let server = address(args.url.as_deref())?;
    let wire = Wire::new(&server)?;
    if args.with_token {
        return keep(&wire, paste::token(&wire)?, args.json);
    }
    let probe = wire.get("/v1/me")?;
    let me: Value = probe.json().unwrap_or_default();
    match probe.status {
        StatusCode::OK if !wants_token(&wire, &me, args) => {
            no_login_needed(&server, &me, args.json)
        }
        StatusCode::OK => keep(&wire, elsewhere(&wire, args)?, args.json),
        StatusCode::UNAUTHORIZED => {
            let is_password = me["login_url"] == "/login";
            if args.username.is_some() && !is_password {
                return Err(Failure::Usage(format!(
                    "people sign in to {server} with a browser, not with a password"
                )));
            }
            let signed_in = if is_password && !args.device && !args.no_browser {
                password::sign_in(&wire, args.username.as_deref(), args.password_stdin)?
            } else {
                elsewhere(&wire, args)?
            };
            keep(&wire, signed_in, args.json)
        }
        _ => Err(probe.failure()),
    }
}

/// The address given, or the default.
pub(crate) fn address(text: Option<&str>) -> Result<Address, Failure> {
    if let Some(text) = text {
        return Address::parse(text);
    }
    let default = default_server::get();
    default.ok_or_else(|| Failure::Usage("which server? omnigent login URL".into()))
}

/// In a browser here, or on another device.
fn elsewhere(wire: &Wire, args: &Args) -> Result<SignedIn, Failure> {
    let shows_results = !args.json;
    if args.device || !args.no_browser && !surroundings::has_browser() {
        if let Some(signed_in) = device::sign_in(wire, args.qr, shows_results)? {
            return Ok(signed_in);
        }
        if args.device {
            let server = wire.server();
            return Err(Failure::Refused(format!(
                "{server} has no device sign-in; try omnigent login --no-browser {server}"
            )));
        }
        return browser::sign_in(wire, false, args.qr, shows_results);
    }
    browser::sign_in(wire, !args.no_browser, args.qr, shows_results)
}

/// Whether a server that answers without a login is still to hand one out: one behind a proxy that does
/// not vouch for us on the way taken, when somebody is there to go through with it.
fn wants_token(wire: &Wire, me: &Value, args: &Args) -> bool {
    if me["user_id"].is_string() {
        return false;
    }
    let info = wire
        .get("/v1/info")
        .and_then(|answer| answer.json::<Value>());
    let flows = |info: &Value| {
        let backends = info["backends"].as_array().cloned().unwrap_or_default();
        backends
            .iter()
            .any(|backend| backend["flows"].as_array().is_some_and(|f| !f.is_empty()))
    };
    info.is_ok_and(|info| flows(&info))
        && (args.device || args.no_browser || args.qr || surroundings::has_person())
}

fn no_login_needed(server: &Address, me: &Value, json: bool) -> Result<(), Failure> {
    default_server::set(server)?;
    let user_id = me["user_id"].as_str();
    if json {
        output::json(&serde_json::json!({
            "server": server.key(), "user_id": user_id, "expires_at": null,
        }));
        return Ok(());
    }
    match user_id {
        Some(user_id) => output::say(format_args!(
            "{server}: no login needed. You are {} there.",
            output::plain(user_id)
        )),
        None => {
            output::say(format_args!(
                "{server} is in header-auth mode: no login needed. The proxy in front of it says who \
                 you are on every request."
            ));
            hint(format_args!(
                "For a token of your own: omnigent login --no-browser {server}"
            ));
        }
    }
    Ok(())
}
