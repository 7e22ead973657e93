//! `omnigent logins`: where one is signed in, and ending that.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Body, Target, Which},
    failure::Failure,
    output,
    token::cell,
    when,
};

/// Shows where you are signed in, and ends logins: of a lost laptop, say
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent logins
  omnigent logins end 5c0f…       that one is refused from now on
  omnigent logins end-others      everywhere but here")]
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
    /// Shows your logins
    List,
    /// Ends a login
    End {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Ends all logins but this one
    EndOthers,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let target = args.which.target()?;
    let done = match &args.command {
        None | Some(Command::List) => {
            let logins = fetch(&target)?;
            return list(&logins, args.json);
        }
        Some(Command::End { id }) => {
            let logins = fetch(&target)?;
            let ids = logins.iter().filter_map(|login| login["id"].as_str());
            let found: Vec<&str> = ids.filter(|known| known.starts_with(id.as_str())).collect();
            let id = match found[..] {
                [id] if !id.is_empty() => id,
                [] => return Err(Failure::Refused(format!("you have no login {id}"))),
                _ => return Err(Failure::Usage(format!("several logins begin with {id}"))),
            };
            let path = format!("/auth/logins/{}", output::escape(id));
            target.ask(Method::DELETE, &path, Body::None)?;
            output::plain(id)
        }
        Some(Command::EndOthers) => {
            target.ask(Method::DELETE, "/auth/logins", Body::None)?;
            "all others".to_owned()
        }
    };
    if args.json {
        output::json(&json!({"ended": done}));
    } else {
        output::say(format_args!("{done}: ended"));
    }
    Ok(())
}

fn fetch(target: &Target) -> Result<Vec<Value>, Failure> {
    let answer = target.fetch("/auth/logins")?;
    Ok(answer["logins"].as_array().cloned().unwrap_or_default())
}

fn list(logins: &[Value], json: bool) -> Result<(), Failure> {
    if json {
        output::json(&logins);
        return Ok(());
    }
    let row = |login: &Value| {
        let time = |name: &str| login[name].as_f64().map_or("-".to_owned(), when::at);
        let here = login["current"] == true;
        vec![
            if here { "*" } else { "" }.to_owned(),
            cell(&login["id"]),
            time("created_at"),
            time("expires_at"),
            cell(&login["backend"]),
            cell(&login["address"]),
            cell(&login["client_id"]),
            cell(&login["user_agent"]),
        ]
    };
    let rows: Vec<_> = logins.iter().map(row).collect();
    let head = ["", "id", "since", "until", "by", "from", "client", "with"];
    output::say(output::table(&head, &rows));
    Ok(())
}
