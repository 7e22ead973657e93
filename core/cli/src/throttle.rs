//! `omnigent throttle`: who has to wait after failed sign-ins, and letting them go.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{admin, failure::Failure, output, settings::Settings, token::cell};

/// Shows who has to wait after failed sign-ins, and lets them go
#[derive(clap::Args)]
#[command(after_help = "\
Give the same --config or --data-dir as to `omnigent server`.

Examples:
  omnigent throttle list
  omnigent throttle clear --account alice
  omnigent throttle clear --network 203.0.113.9     its /24 too; IPv6: its /64 and /48")]
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
    /// Shows who has to wait, the longest first
    List,
    /// Lets go of who has to wait
    Clear {
        #[command(flatten)]
        which: Which,
    },
}

/// Whom to let go.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Everybody at this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// This address or network, at every account
    #[arg(long, value_name = "ADDRESS")]
    network: Option<String>,
    /// Everybody
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let admin = admin::reach(args.settings.load(None)?)?;
    match &args.command {
        Command::List => list(&admin.throttled()?, args.json),
        Command::Clear { which } => {
            let Which {
                account,
                network,
                all,
            } = which;
            let what = json!({"account": account, "network": network, "all": all});
            let answer = admin.clear_throttled(&what)?;
            if args.json {
                output::json(&answer);
            } else {
                output::say(format_args!("cleared: {}", cell(&answer["cleared"])));
            }
        }
    }
    Ok(())
}

fn list(answer: &Value, json: bool) {
    if json {
        return output::json(answer);
    }
    let held = answer["held"].as_array().cloned().unwrap_or_default();
    if held.is_empty() {
        return output::say("nobody has to wait");
    }
    let row = |key: &Value| {
        [
            "class",
            "scope",
            "account",
            "network",
            "failures",
            "retry_after_seconds",
        ]
        .map(|name| cell(&key[name]))
        .to_vec()
    };
    let rows: Vec<_> = held.iter().map(row).collect();
    let head = ["what", "who", "account", "network", "failures", "seconds"];
    output::say(output::table(&head, &rows));
}
