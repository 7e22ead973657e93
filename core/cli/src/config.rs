//! `omnigent config`: is a configuration good, before a server is bet on it.

use std::path::PathBuf;

use clap::Subcommand;
use omnigent_server::config::{Config, Env, Overrides, Problem};
use serde::Serialize;

use crate::{failure::Failure, output, swap};

/// Checks a configuration, plans a change of it, and puts it in force
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(Check),
    Plan(swap::Plan),
    Reload(swap::Reload),
}

/// Reports every fault of a configuration at once
///
/// Checks the file together with the environment, as `omnigent server` would read them. Keys of a
/// backend that are its plugin's own are checked by the plugin when the server starts.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent config check config/accounts.toml
  omnigent config check --json /etc/omnigent.toml | jq '.problems[].key_path'
  omnigent config check                     the environment alone

Exit codes: 0 good · 2 refused")]
struct Check {
    /// Configuration file; without one, the environment alone
    file: Option<PathBuf>,
    /// Write JSON: {ok, problems, warnings, summary}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Plan(args) => swap::plan(args),
        Command::Reload(args) => swap::reload(args),
    }
}

fn check(check: &Check) -> Result<(), Failure> {
    let file = check.file.as_deref();
    let loaded = Config::load(file, &Env::of_process(), &Overrides::default());
    if check.json {
        output::json(&report(&loaded));
        return loaded.map(drop).map_err(|_| Failure::Told);
    }
    let config = loaded.map_err(Failure::Config)?;
    for warning in &config.warnings {
        output::say(format_args!("warning: {warning}"));
    }
    output::say(format_args!("ok: {}", summary(&config)));
    Ok(())
}

#[derive(Serialize)]
struct Report<'c> {
    ok: bool,
    problems: &'c [Problem],
    warnings: &'c [Problem],
    summary: Option<String>,
}

fn report(loaded: &Result<Config, Vec<Problem>>) -> Report<'_> {
    match loaded {
        Ok(config) => Report {
            ok: true,
            problems: &[],
            warnings: &config.warnings,
            summary: Some(summary(config)),
        },
        Err(problems) => Report {
            ok: false,
            problems,
            warnings: &[],
            summary: None,
        },
    }
}

/// What the server would do, in a line.
fn summary(config: &Config) -> String {
    let backends: Vec<_> = config
        .auth
        .backends
        .iter()
        .map(|b| b.name.as_str())
        .collect();
    let sign_in = match backends.as_slice() {
        [] => "without authentication".to_owned(),
        names => format!("people sign in with {}", names.join(", ")),
    };
    let agents = match config.agents.len() {
        1 => "1 agent".to_owned(),
        count => format!("{count} agents"),
    };
    format!(
        "listens on {}, {sign_in}, {agents}, data in {}",
        config.server.listen,
        config.server.data_dir.display()
    )
}
