//! `omnigent plugin check`: attacks a plugin with everything the contract promises to withstand.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use omnigent_server::{
    account::Rules,
    backend::{
        Cost, Hashing, Services, Wanted,
        conformance::{self, Known, Outcome, Report},
        inspect,
    },
    clock::Clock,
    config::{Config, Env, Overrides},
    store::{Options, Store},
};
use serde_json::json;

use crate::{failure::Failure, output, password};

/// Attacks a plugin with everything a backend has to withstand, and reports promise by promise
///
/// Loads the file and opens it as the server would, on a store that is thrown away afterwards. Without --config it is opened without keys.
/// Runs its code: only check what you would also run.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent plugin check target/release/libomnigent_auth_mine.so --config omnigent.toml
  omnigent plugin check mine.so --config omnigent.toml --username alice --password-stdin < secret

Exit codes: 0 every promise that could be tried holds · 1 one does not · 2 wrong command line or \
configuration")]
pub(super) struct Args {
    /// The plugin's file
    file: PathBuf,
    /// Which backend of the --config is opened, when several are of this plugin
    #[arg(long, value_name = "NAME", requires = "config")]
    backend: Option<String>,
    /// Somebody the backend lets in, to try right and nearly right passwords with
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read that somebody's password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// How long a call may take: a check finds hangs, not slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(args: &Args, config: Option<&Path>, json: bool) -> Result<(), Failure> {
    let wanted = wanted(args, config)?;
    let known = match &args.username {
        None => None,
        Some(username) => Some(Known {
            username: username.clone(),
            password: password::given()?,
        }),
    };
    let folder = tempfile::tempdir().map_err(|error| Failure::Failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let report = runtime.block_on(async {
        let services = Services {
            store: Store::open(folder.path(), &Options::default())?,
            hashing: hashing()?,
            clock: Clock::system(),
            runtime: tokio::runtime::Handle::current(),
        };
        Ok::<_, Failure>(conformance::check(&wanted, known.as_ref(), &services).await)
    });
    // A call that never returns is in the report; it must not keep the process.
    runtime.shutdown_background();
    let report = report?;
    tell(&report, json);
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::Failed(
        "the plugin does not keep the contract".into(),
    ))
}

fn hashing() -> Result<Hashing, Failure> {
    // Cheap on purpose: a throw-away store, and many passwords to try.
    let cost = Cost {
        memory_kib: 1024,
        passes: 1,
        lanes: 1,
    };
    Hashing::start(cost, 2, 64).map_err(|error| Failure::Failed(error.to_string()))
}

/// The backend as the configuration has it, of this file.
fn wanted(args: &Args, config: Option<&Path>) -> Result<Wanted, Failure> {
    let plugin = inspect(&args.file)
        .map_err(|error| Failure::Failed(format!("{}: {error}", args.file.display())))?
        .name;
    let defaults = Wanted {
        name: "conformance".into(),
        plugin: plugin.clone(),
        file: args.file.clone(),
        sha256: None,
        title: None,
        required: true,
        rules: Rules::default(),
        session_ttl: None,
        deadline: PATIENCE,
        concurrency: 64,
        config: json!({}),
    };
    let Some(file) = config else {
        return Ok(defaults);
    };
    let config = Config::load(Some(file), &Env::default(), &Overrides::default())
        .map_err(Failure::Config)?;
    let mut fitting = config.auth.backends.iter().filter(|backend| {
        let is_named = args
            .backend
            .as_ref()
            .is_none_or(|name| *name == backend.name);
        is_named && backend.plugin == plugin
    });
    let (Some(backend), None) = (fitting.next(), fitting.next()) else {
        return Err(Failure::Usage(format!(
            "{} has no backend, or several, of the plugin {plugin:?} in auth.backends; name one with --backend",
            file.display()
        )));
    };
    Ok(Wanted {
        name: backend.name.clone(),
        deadline: backend.timeout.max(PATIENCE),
        config: backend.config.expose().clone().into(),
        ..defaults
    })
}

fn tell(report: &Report, json: bool) {
    let told = |outcome: &Outcome| match outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(why) => ("FAILED", Some(output::plain(why))),
        Outcome::Skipped(why) => ("skipped", Some(output::plain(why))),
    };
    if json {
        let cases: Vec<_> = report
            .cases()
            .iter()
            .map(|case| {
                let (outcome, why) = told(&case.outcome);
                json!({"name": case.name, "outcome": outcome.to_lowercase(), "why": why})
            })
            .collect();
        output::json(&json!({"ok": report.is_clean(), "cases": cases}));
        return;
    }
    for case in report.cases() {
        let (outcome, why) = told(&case.outcome);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        output::say(format_args!("{outcome:<9}{}{why}", case.name));
    }
}
