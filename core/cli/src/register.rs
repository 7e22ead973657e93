//! `omnigent register`: makes an account with an invite, and signs in.

use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::{
    client::{Address, Body, Wire},
    failure::Failure,
    login::{self, keep},
    output::hint,
    password,
};

/// Makes an account with an invite and signs in
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent register 'https://auth.example.com/register?invite=…'   the link as it was sent
  omnigent register auth.example.com --invite TOKEN
  omnigent register auth.example.com --invite -                    reads it from standard input")]
pub(crate) struct Args {
    /// Address of the server, or the link of the invite
    url: String,
    /// The invite; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN")]
    invite: Option<String>,
    /// User name; asked for without it
    #[arg(long)]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Write JSON: {server, user_id, expires_at}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (server, from_link) = parse(&args.url)?;
    let invite = match args.invite.as_deref() {
        Some("-") if args.password_stdin => {
            return Err(Failure::Usage(
                "standard input holds one secret, not two".into(),
            ));
        }
        Some("-") => password::piped(std::io::stdin())?.trim().to_owned(),
        Some(invite) => invite.to_owned(),
        None => {
            from_link.ok_or_else(|| Failure::Usage("an invite is needed: --invite TOKEN".into()))?
        }
    };
    let wire = Wire::new(&server)?;
    if !args.password_stdin {
        hint(format_args!("Registering at {server}"));
    }
    let username = match &args.username {
        Some(username) => username.clone(),
        None => login::ask("Username", None)?,
    };
    let password = password::new(args.password_stdin)?;
    let body = json!({
        "invite": invite,
        "username": username,
        "password": password.expose(),
        "client_id": login::CLIENT,
    });
    let answer = wire.send(Method::POST, "/auth/register", None, Body::Json(&body))?;
    keep(&wire, login::go_on(&wire, answer)?, args.json)
}

/// The server, and the invite if a whole link was given.
fn parse(text: &str) -> Result<(Address, Option<String>), Failure> {
    if let Ok(mut url) = Url::parse(text)
        && let Some((_, invite)) = url.query_pairs().find(|(name, _)| name == "invite")
    {
        let invite = invite.into_owned();
        let path = url.path().to_owned();
        url.set_path(path.strip_suffix("/register").unwrap_or(&path));
        return Ok((Address::parse(url.as_str())?, Some(invite)));
    }
    Ok((Address::parse(text)?, None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_whole_link_is_server_and_invite() {
        let (server, invite) = parse("https://h.example/register?invite=a%2Bb").unwrap();
        assert_eq!(server.key(), "https://h.example");
        assert_eq!(invite.as_deref(), Some("a+b"));
        let (server, invite) = parse("h.example").unwrap();
        assert_eq!((server.key(), invite), ("https://h.example", None));
        assert!(parse("http://h.example/register?invite=x").is_err());
    }
}
