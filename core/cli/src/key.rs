//! `omnigent key`: the keys tokens are signed with, with the server up or down.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;
use omnigent_server::token::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{admin, failure::Failure, output, settings::Settings, when};

/// Shows, rotates and retires the keys tokens are signed with
///
/// Nothing here shows a private key or a secret. Everything takes effect at once, without a restart.
#[derive(clap::Args)]
#[command(after_help = "\
Give the same --config or --data-dir as to `omnigent server`.

Rotating logs nobody out: what the old key signed goes on counting until it ends by itself. The
server then retires the key, or you do. A secret of the configuration (tokens.secret) is rotated
there: move it to tokens.previous_secret, configure a new one, and `omnigent config reload`.

Examples:
  omnigent key list
  omnigent key rotate                       a new key of the same algorithm signs
  omnigent key rotate --algorithm EdDSA     others can verify tokens offline from now on
  omnigent key retire 5f0c9a7d31e2b846      once nothing rests on it
  omnigent key retire 5f0c9a7d31e2b846 --now --yes     the key has leaked: end what it signed")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows all keys, and what rests on each
    List,
    /// Signs with a new key from now on; the old one still verifies
    Rotate {
        /// HS256, EdDSA or ES256; by default that of the key before
        #[arg(long)]
        algorithm: Option<Algorithm>,
    },
    /// Ends a key that does not sign any more
    Retire {
        /// Its name, from `omnigent key list`
        kid: String,
        /// Also when tokens that it signed still live: they all end
        #[arg(long)]
        now: bool,
        /// Do not ask
        #[arg(long, requires = "now")]
        yes: bool,
    },
}

/// A key as the server tells it. Times are seconds since the epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    kid: String,
    algorithm: String,
    state: String,
    source: String,
    created_at: Option<u64>,
    replaced_at: Option<u64>,
    retired_at: Option<u64>,
    tokens_until: Option<u64>,
    endless_tokens: bool,
    api_tokens: u64,
    /// Of one that was just made: whether the audit trail has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noted: Option<bool>,
}

impl Row {
    /// Whether this key signs, by this algorithm.
    pub(crate) fn signs_with(&self, algorithm: Algorithm) -> bool {
        self.state == "signing" && self.algorithm == algorithm.as_str()
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let admin = admin::reach(args.settings.load(None)?)?;
    match &args.command {
        Command::List => {
            let rows = admin.keys()?;
            match args.json {
                true => output::json(&rows),
                false => output::say(table(&rows)),
            }
        }
        Command::Rotate { algorithm } => {
            let row = admin.rotate_keys(&json!({"algorithm": algorithm}))?;
            owed(row.noted);
            match args.json {
                true => output::json(&row),
                false => output::say(format_args!(
                    "{} ({}) signs from now on; nobody is logged out",
                    output::plain(&row.kid),
                    output::plain(&row.algorithm)
                )),
            }
        }
        Command::Retire { kid, now, yes } => {
            if *now {
                let rows = admin.keys()?;
                let found = rows.iter().find(|row| row.kid == *kid);
                let found = found.ok_or_else(|| Failure::Failed("no such key".into()))?;
                if found.state == "verifying" {
                    warn(found, *yes)?;
                }
            }
            let done = admin.retire_key(kid, *now)?;
            owed(done["noted"].as_bool());
            match args.json {
                true => output::json(&done),
                false => output::say(format_args!("{}: retired", output::plain(kid))),
            }
        }
    }
    Ok(())
}

/// Says when what was done is not in the audit trail.
fn owed(noted: Option<bool>) {
    if noted == Some(false) {
        output::hint(
            "warning: it is done, and not in the audit trail, because the store takes no writes; the server notes it \
             by itself as soon as it does",
        );
    }
}

/// Says what ends, and asks. The name has to be typed: it cannot be undone.
fn warn(row: &Row, is_sure: bool) -> Result<(), Failure> {
    let kid = output::plain(&row.kid);
    let needed = match (needed_until(row), row.api_tokens) {
        (until, 0) => format!("tokens that may live until: {until}"),
        (until, count) => {
            format!("tokens that may live until: {until}; API tokens among them: {count}")
        }
    };
    eprintln!("Every token that {kid} signed ends at once. It cannot be undone.");
    eprintln!("It signed {needed}.");
    if is_sure {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("retiring now asks first; say --yes".into()));
    }
    eprint!("Type its name to go on: ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == row.kid {
        Ok(())
    } else {
        Err(Failure::Failed("nothing was retired".into()))
    }
}

/// Until when what the key signed may live.
fn needed_until(row: &Row) -> String {
    match (row.state.as_str(), row.tokens_until) {
        (_, Some(until)) => minute(until),
        (_, None) if row.endless_tokens => "for ever".to_owned(),
        ("signing", None) => "it signs".to_owned(),
        ("verifying", None) if row.source == "configuration" => "not known".to_owned(),
        _ => "nothing".to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a time within four-digit years")]
fn minute(seconds: u64) -> String {
    when::at(seconds as f64)
}

fn table(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let state = match (row.state.as_str(), row.retired_at) {
            ("retired", Some(at)) => format!("retired {}", minute(at)),
            (state, _) => output::plain(state),
        };
        let created = match row.created_at {
            Some(at) => minute(at),
            None if row.source == "configuration" => "configured".to_owned(),
            None => "not known".to_owned(),
        };
        let is_over = row.state == "retired";
        vec![
            output::plain(&row.kid),
            output::plain(&row.algorithm),
            state,
            created,
            if is_over {
                String::new()
            } else {
                needed_until(row)
            },
            if is_over {
                String::new()
            } else {
                row.api_tokens.to_string()
            },
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let head = [
        "kid",
        "algorithm",
        "state",
        "created",
        "tokens until",
        "API tokens",
    ];
    output::table(&head, &rows)
}
