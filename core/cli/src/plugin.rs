//! `omnigent plugin`: what plugins there are, and whether a file is one.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::{failure::Failure, output, settings::Settings};

/// Lists and inspects plugins
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent plugin list --config /etc/omnigent.toml
  omnigent plugin inspect --json ./libomnigent_auth_mine.so | jq -r .sha256")]
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
    /// Shows the plugins in the plugin directory, and what is wrong with those that do not load
    List,
    /// Shows a plugin's name, versions, capabilities, configuration keys and SHA-256
    ///
    /// Loads the file, which runs its code: only inspect what you would also run.
    Inspect {
        /// The plugin's file
        file: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List => list(&args.settings.load(None)?.server.plugin_dir, args.json),
        Command::Inspect { file } => inspect(file),
    }
}

fn list(directory: &Path, json: bool) -> Result<(), Failure> {
    let files = files(directory)?;
    if json {
        output::json(&files);
    } else {
        for file in files {
            output::say(file.display());
        }
    }
    Ok(())
}

fn inspect(file: &Path) -> Result<(), Failure> {
    Err(Failure::Failed(format!(
        "this build cannot load {} yet",
        file.display()
    )))
}

/// The files in a directory that are named like plugins, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(directory).map_err(|error| {
        Failure::Failed(format!("cannot read {}: {error}", directory.display()))
    })?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("libomnigent_auth_") && name.ends_with(".so")
        })
        .collect();
    files.sort();
    Ok(files)
}
