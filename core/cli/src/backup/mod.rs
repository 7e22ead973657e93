//! `omnigent backup`: everything a server needs to be itself again, in one file.
//!
//! `source` reads it from the running server or the data directory, `file` writes it and reads it
//! back, `seal` encrypts; `verify` looks whether one is whole, `drill` whether a server lives on it.

mod drill;
pub(crate) mod file;
pub(crate) mod seal;
pub(crate) mod source;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use omnigent_server::{
    archive::{Head, Kind, Summary},
    clock::Clock,
};

use crate::{failure::Failure, output, settings::Settings, when};

use seal::Passphrase;

/// Writes a backup of everything, while the server runs or with it stopped
///
/// The file holds all data as of one moment, the keys that tokens are signed with, and checksums.
/// It is read back and checked before it gets its name. Without a passphrase whoever reads the file
/// can sign in as anybody; with one it is an age file (age-encryption.org), which the `age` tool
/// opens too. The configuration and the plugins are not in it.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  omnigent backup /backup/omnigent-$(date +%F) --passphrase-file /root/backup-passphrase
  omnigent backup ./today --data-dir /var/lib/omnigent
  omnigent backup verify ./today
  omnigent backup verify ./today --drill

Exit codes: 0 written, and whole · 1 failed · 2 wrong command line or configuration · 3 the data \
directory is in use · 4 the store is damaged"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Make,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Verify),
}

#[derive(clap::Args)]
struct Make {
    /// File to write
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Replace the file when it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: Passphrase,
    #[command(flatten)]
    settings: Settings,
    /// Write JSON: what is in the backup
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Some(Command::Verify(args)) => verify::run(args),
        None => make(&args.make),
    }
}

fn make(args: &Make) -> Result<(), Failure> {
    let Some(path) = &args.file else {
        return Err(Failure::Usage("name the file to write".into()));
    };
    let passphrase = args.passphrase.new_one()?;
    let config = args.settings.load(None)?;
    let target = file::Target::new(path, args.force)?;
    let source = source::open(&config, Kind::Backup)?;
    let summary = target.write(source, passphrase.as_ref())?;
    if passphrase.is_none() {
        output::hint(
            "warning: the backup is not encrypted. It holds the keys: whoever reads it can sign in as anybody. \
             Keep it where nobody else can, or use --passphrase-file",
        );
    }
    if args.json {
        output::json(&verify::report(&summary, passphrase.is_some(), &[]));
    } else {
        output::say(format_args!(
            "{}: {} records of write {}, read back and found whole",
            path.display(),
            summary.records,
            summary.head.sequence,
        ));
    }
    Ok(())
}

/// When it was made, and how long ago that is.
pub(crate) fn age(head: &Head) -> String {
    let now = Clock::system().now().seconds();
    let age = now.saturating_sub(head.made_at);
    #[allow(clippy::cast_precision_loss, reason = "seconds of this era")]
    let (made, age) = (head.made_at as f64, age as f64);
    let ago = if age < 60.0 {
        "just now".to_owned()
    } else {
        when::lasting(-age)
    };
    format!("{} UTC, {ago}", when::at(made))
}

/// What a backup holds, for a person.
pub(crate) fn describe(summary: &Summary, is_encrypted: bool) -> String {
    let head = &summary.head;
    let claimed = if summary.initialised {
        "somebody has claimed the server"
    } else {
        "nobody had claimed the server"
    };
    let keyring = match (summary.has_keyring, head.configured_key) {
        (false, _) => "none: an export",
        (true, false) => "in it",
        (true, true) => {
            "in it; tokens are signed with tokens.secret of the configuration, which is not"
        }
    };
    let encrypted = match (is_encrypted, summary.has_keyring) {
        (true, _) => "yes, with a passphrase",
        (false, true) => "no: whoever reads it can sign in as anybody",
        (false, false) => "no",
    };
    format!(
        "made       {}, by omnigent {}\nstate      write {}; {claimed}\nrecords    {} in {} tables\n\
         keyring    {keyring}\nencrypted  {encrypted}",
        age(head),
        output::plain(&head.server),
        head.sequence,
        summary.records,
        summary.by_table.len(),
    )
}
