//! `omnigent version`.

use serde_json::json;

use crate::{failure::Failure, output};

/// Shows the version
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write JSON: {version}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        output::json(&json!({"version": version}));
    } else {
        output::say(format_args!("omnigent {version}"));
    }
    Ok(())
}
