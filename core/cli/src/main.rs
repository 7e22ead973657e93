//! The `omnigent` command: runs and manages the authentication server.
//!
//! One file per subcommand; what they share is in `settings` (which configuration), `admin`
//! (reaching the accounts), `failure` (exit codes) and `output`.

mod account;
mod admin;
mod config;
mod doctor;
mod failure;
mod logging;
mod output;
mod password;
mod plugin;
mod server;
mod settings;
mod swap;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::EXIT_CODES;

/// Runs and manages omnigent's authentication server.
#[derive(Parser)]
#[command(name = "omnigent", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Server(server::Args),
    Config(config::Args),
    Plugin(plugin::Args),
    Account(account::Args),
    Doctor(doctor::Args),
    Version(version::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            let asked_for = !help.use_stderr();
            let _ = help.print();
            return ExitCode::from(if asked_for { 0 } else { failure::USAGE });
        }
    };
    let outcome = match cli.command {
        Command::Server(args) => server::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Plugin(args) => plugin::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Version(args) => version::run(&args),
    };
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
