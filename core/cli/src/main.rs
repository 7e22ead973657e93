//! The `omnigent` command: runs and manages the authentication server.
//!
//! One file per subcommand; what they share is in `settings` (which configuration), `admin`
//! (reaching the accounts), `client` (a server, as whoever is signed in), `failure` (exit codes) and
//! `output`.

mod account;
mod admin;
mod api;
mod audit;
mod backup;
mod claims;
mod client;
mod config;
mod data;
mod doctor;
mod dumps;
mod explain;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod key;
mod listeners;
mod logging;
mod login;
mod logins;
mod logout;
mod me;
mod output;
mod password;
mod plugin;
mod register;
mod restore;
mod server;
mod session;
mod settings;
mod shell;
mod swap;
mod systemd;
mod throttle;
mod token;
mod version;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::EXIT_CODES;

/// Runs and manages omnigent's authentication server, and signs in to one.
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
    Throttle(throttle::Args),
    Key(key::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Data(data::Args),
    Audit(audit::Args),
    Doctor(doctor::Args),
    Login(login::Args),
    Register(register::Args),
    Logout(logout::Args),
    Status(me::Status),
    Whoami(me::Whoami),
    Token(token::Args),
    Logins(logins::Args),
    Session(session::Args),
    Api(api::Args),
    Explain(explain::Args),
    Completions(shell::Completions),
    Man(shell::Man),
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
        Command::Throttle(args) => throttle::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Login(args) => login::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Logout(args) => logout::run(&args),
        Command::Status(args) => me::status(&args),
        Command::Whoami(args) => me::whoami(&args),
        Command::Token(args) => token::run(&args),
        Command::Logins(args) => logins::run(&args),
        Command::Session(args) => session::run(&args),
        Command::Api(args) => api::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::Version(args) => version::run(&args),
    };
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
