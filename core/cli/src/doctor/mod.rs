//! `omnigent doctor`: looks for what is wrong, or will be, before it hurts.
//!
//! Owns: the findings and what to do about each. Does not: change anything; open the store, which
//! belongs to the server that runs. One file for each kind of thing that is looked at.
//!
//! **Invariant:** no secret is in a finding, and nothing of a backend or provider reaches the
//! terminal untamed.

mod backends;
mod certificate;
mod files;
mod finding;
mod machine;
mod provider;
mod proxy;
mod reach;
mod traces;

use std::path::Path;

use clap::Subcommand;
use omnigent_server::{
    clock::Clock,
    config::{Config, Problem},
};

use crate::{admin, failure::Failure, settings::Settings};

use finding::Findings;

/// Looks for what is wrong with a server's configuration, files, backends and surroundings
///
/// Checks the configuration, the clock, who may read and write which files, the plugins (loads them
/// and opens every backend, on a store that is thrown away), the identity providers (reachable,
/// certificate, metadata, keys, redirect URI), the collector of traces, the public URL, certificates, free disk space, file
/// descriptors, trusted proxies, and whether the server is claimed. Changes nothing. Run it as the
/// server's own user, on its machine, with its environment; the server may run meanwhile.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  omnigent doctor --config /etc/omnigent/omnigent.toml
  omnigent doctor --config omnigent.toml --json | jq '.findings[] | select(.state != \"ok\")'
  omnigent doctor proxy https://auth.example.com

Exit codes: 0 nothing failed, there may be warnings · 1 something failed"
)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Write JSON: {ok, findings: [{check, state, message, advice}]}
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Proxy(proxy::Proxy),
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(Command::Proxy(proxy)) = &args.command {
        return proxy::run(proxy);
    }
    let mut findings = Findings::default();
    match args.settings.read(None) {
        Ok(config) => examine(&mut findings, &config, args.settings.config.as_deref())?,
        Err(problems) => {
            for problem in problems {
                let advice = problem.suggestion.as_deref().unwrap_or("mend it");
                findings.fail("config", at(&problem), advice);
            }
        }
    }
    findings.tell(args.json);
    match findings.failed() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one check failed".into())),
        count => Err(Failure::Failed(format!("{count} checks failed"))),
    }
}

/// Where the fault is and what it is, without what to do.
fn at(problem: &Problem) -> String {
    let bare = Problem {
        suggestion: None,
        ..problem.clone()
    };
    bare.to_string()
}

fn examine(findings: &mut Findings, config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let now = Clock::system().now();
    let shown = file.map_or("defaults and environment".into(), |file| {
        file.display().to_string()
    });
    if config.warnings.is_empty() {
        findings.ok("config", format!("{shown}: every key is good"));
    }
    for warning in &config.warnings {
        let advice = warning.suggestion.as_deref();
        let advice = advice.unwrap_or("see config/omnigent.toml about this key");
        findings.warn("config", at(warning), advice);
    }
    let running = match admin::running(config) {
        Ok(running) => running,
        Err(error) => {
            let advice = "run this as the server's own user";
            findings.warn("server", error.to_string(), advice);
            None
        }
    };
    let shown = if running.is_some() {
        "a server runs"
    } else {
        "no server runs"
    };
    findings.ok("server", format!("{shown} on this data directory"));
    files::examine(findings, config, file);
    machine::examine(findings, config, running.as_ref(), now);
    reach::examine(findings, config, running.as_ref(), now);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let outcome = runtime.block_on(async {
        reach::public_url(findings, config, now).await;
        provider::examine(findings, config, now).await;
        traces::examine(findings, config).await;
        backends::examine(findings, config).await
    });
    // A call into a plugin that never returns must not keep the process.
    runtime.shutdown_background();
    outcome
}
