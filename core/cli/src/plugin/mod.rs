//! `omnigent plugin`: what plugins there are, whether a file is one, and how to begin one.

mod check;
mod new;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use omnigent_server::backend::{self, Manifest};
use serde_json::json;

use crate::{
    failure::Failure,
    output::{self, plain},
    settings::Settings,
};

/// Lists, inspects, checks and begins plugins
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
    Check(check::Args),
    New(new::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List => list(&args.settings.load(None)?.server.plugin_dir, args.json),
        Command::Inspect { file } => inspect(file, args.json),
        Command::Check(check) => check::run(check, args.settings.config.as_deref(), args.json),
        Command::New(new) => new::run(new),
    }
}

fn list(directory: &Path, json: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for file in files(directory)? {
        rows.push((inspect_file(&file), file));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(found, file)| match found {
                Ok(manifest) => {
                    json!({"file": file, "name": manifest.name, "version": manifest.version,
                    "title": manifest.title, "capabilities": manifest.capabilities})
                }
                Err(why) => json!({"file": file, "error": why}),
            })
            .collect();
        output::json(&rows);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(found, file)| {
            let file = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            match found {
                Ok(m) => vec![
                    plain(&m.name),
                    plain(&m.version),
                    m.capabilities.join(" "),
                    file,
                ],
                Err(why) => vec!["-".into(), "-".into(), plain(&why), file],
            }
        })
        .collect();
    output::say(output::table(
        &["name", "version", "capabilities", "file"],
        &rows,
    ));
    Ok(())
}

fn inspect_file(file: &Path) -> Result<Manifest, String> {
    backend::inspect(file).map_err(|error| error.to_string())
}

fn inspect(file: &Path, json: bool) -> Result<(), Failure> {
    let manifest =
        inspect_file(file).map_err(|why| Failure::Failed(format!("{}: {why}", file.display())))?;
    let sha256 = backend::sha256_of(file)
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    if json {
        output::json(&json!({
            "name": manifest.name,
            "title": manifest.title,
            "version": manifest.version,
            "contract": format!("{}.{}", manifest.contract.0, manifest.contract.1),
            "sdk": manifest.sdk,
            "capabilities": manifest.capabilities,
            "config_schema": manifest.config_schema,
            "sha256": sha256,
        }));
        return Ok(());
    }
    let keys = manifest.config_schema["properties"].as_object();
    let keys: Vec<_> = keys
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let contract = format!(
        "{}.{} (SDK {})",
        manifest.contract.0, manifest.contract.1, manifest.sdk
    );
    for (label, text) in [
        ("name", manifest.name.as_str()),
        ("title", &manifest.title),
        ("version", &manifest.version),
        ("contract", &contract),
        ("can", &manifest.capabilities.join(", ")),
        ("keys", &keys.join(", ")),
        ("sha256", &sha256),
    ] {
        output::say(format!("{label:<9}{}", plain(text)));
    }
    Ok(())
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
