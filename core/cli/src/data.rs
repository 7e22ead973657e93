//! `omnigent data`: the data as a whole, without the keys.

use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use omnigent_server::{
    archive::{self, How, Kind},
    clock::Clock,
    store::{Stats, Writing},
    tables,
};
use serde_json::{Value, json};

use crate::{
    admin,
    backup::{file, seal, source},
    failure::Failure,
    output,
    settings::Settings,
};

/// Exports, imports, measures and tidies up the data
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Status(Status),
    Export(Export),
    Import(Import),
    Compact(Compact),
}

/// Shows how large the store is, what is in it, and whether it takes writes
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent data status
  omnigent data status --json | jq .disk_bytes")]
struct Status {
    #[command(flatten)]
    settings: Settings,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Writes all data as lines of JSON, without any key
///
/// The way out of this storage engine and of this installation: what it is imported into has keys of
/// its own, so accounts, passwords and sessions live on, and everybody signs in anew. The audit trail
/// stays behind (`omnigent audit export`). To go on as the same server, use `omnigent backup`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent data export all.jsonl
  omnigent data export - | gzip > all.jsonl.gz")]
struct Export {
    /// File to write; - for standard output
    file: PathBuf,
    /// Replace the file when it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Makes a data directory from an export
///
/// Into an empty directory, or one with nothing but a keyring.json, which is then kept.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent data import all.jsonl --data-dir ./new
  zcat all.jsonl.gz | omnigent data import - --data-dir ./new")]
struct Import {
    /// File to read; - for standard input
    file: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

/// Writes the store's files anew, with nothing in them but what counts
///
/// The files do not shrink by themselves when much is deleted; the space is used again. This needs
/// the server stopped, and as much free disk as the data takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example: omnigent data compact --data-dir /var/lib/omnigent

Exit codes: 0 done · 1 failed, nothing changed · 3 a server uses the directory")]
struct Compact {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Status(args) => status(args),
        Command::Export(args) => export(args),
        Command::Import(args) => import(args),
        Command::Compact(args) => compact(args),
    }
}

fn status(args: &Status) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    let status = match admin::running(&config)? {
        Some(admin) => admin.store_status()?,
        None => {
            let store = source::open_store(&config)?;
            let status = of(&store.stats());
            store.close();
            status
        }
    };
    if args.json {
        output::json(&status);
        return Ok(());
    }
    let text = |key: &str| output::plain(status[key].as_str().unwrap_or("?"));
    let size = |key: &str| bytes(status[key].as_u64().unwrap_or(0));
    output::say(format_args!(
        "writing   {}\ndisk      {}, {} free\nstate     write {}\nrecords   {}",
        text("writing"),
        size("disk_bytes"),
        size("free_bytes"),
        status["sequence"],
        status["records"],
    ));
    if let Some(ago) = status["last_flush_seconds_ago"].as_f64() {
        output::say(format_args!("flushed   {ago:.0} seconds ago"));
    }
    let rows = status["tables"].as_array().cloned().unwrap_or_default();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let name = output::plain(row["name"].as_str().unwrap_or("?"));
            vec![name, row["records"].to_string()]
        })
        .collect();
    if !rows.is_empty() {
        output::say(output::table(&["table", "records"], &rows));
    }
    Ok(())
}

/// What a running server says, of a store that none runs on.
fn of(stats: &Stats) -> Value {
    let tables: Vec<_> = stats
        .by_table
        .iter()
        .map(|(id, records)| json!({"name": tables::name(*id), "records": records}))
        .collect();
    let writing = match stats.writing {
        Writing::Open => "no server runs",
        _ => "no server runs; the disk is nearly full",
    };
    json!({
        "writing": writing,
        "disk_bytes": stats.disk,
        "free_bytes": stats.free,
        "has_reserve": stats.has_reserve,
        "sequence": stats.sequence,
        "records": stats.records,
        "tables": tables,
    })
}

fn export(args: &Export) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    if args.file == Path::new("-") {
        return file::to_stdout(source::open(&config, Kind::Export)?);
    }
    let target = file::Target::new(&args.file, args.force)?;
    let summary = target.write(source::open(&config, Kind::Export)?, None)?;
    output::say(format_args!(
        "{}: {} records of write {}, read back and found whole",
        args.file.display(),
        summary.records,
        summary.head.sequence,
    ));
    Ok(())
}

fn import(args: &Import) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    let how = How {
        kind: Kind::Export,
        replace: false,
        end_logins: false,
        now: Clock::system().now(),
    };
    let (input, _) = if args.file == Path::new("-") {
        seal::read(BufReader::new(std::io::stdin()), None)?
    } else {
        seal::open(&args.file, None)?
    };
    let restored = archive::restore(input, &config.server.data_dir, &how)?;
    let keys = if restored.new_keyring {
        "with new keys: everybody signs in anew, and open invites are void"
    } else {
        "with the keyring that was there"
    };
    output::say(format_args!(
        "{} records in {}, {keys}",
        restored.summary.records - restored.left_out,
        config.server.data_dir.display()
    ));
    if restored.left_out > 0 {
        output::say(format_args!(
            "{} records were not taken: they are of the installation the export is from",
            restored.left_out
        ));
    }
    Ok(())
}

fn compact(args: &Compact) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    let data_dir = &config.server.data_dir;
    if !data_dir.join("store").exists() {
        let why = format!("there is no store in {}", data_dir.display());
        return Err(Failure::Failed(why));
    }
    let done = archive::compact(data_dir)?;
    output::say(format_args!(
        "{} records; {} before, {} now",
        done.records,
        bytes(done.before),
        bytes(done.after)
    ));
    Ok(())
}

/// `1234567` as `1.2 MB`.
fn bytes(count: u64) -> String {
    let (unit, name) = match count {
        0..1_000_000 => (1000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = count.saturating_mul(10) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}
