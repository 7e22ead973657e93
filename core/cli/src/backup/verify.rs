//! `omnigent backup verify`: is this file a backup that could be restored?

use std::path::PathBuf;

use omnigent_server::{
    archive::{self, Summary},
    tables,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    describe,
    drill::{self, Step},
    seal::{self, Passphrase},
};
use crate::{failure::Failure, output, settings::Settings};

/// Checks that a backup is whole, unaltered and readable to the last record
///
/// With --drill it is restored into a temporary directory, and a real server is started on it, on a
/// loopback port of its own, without your configuration and without telling anybody: somebody signs
/// in, what was revoked stays refused, also after a restart. Then all of it is deleted.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent backup verify /backup/omnigent-2026-11-27 --passphrase-file /root/backup-passphrase
  omnigent backup verify ./today --drill
  TMPDIR=/run/user/0 omnigent backup verify ./today --drill     keeps the keys off the disk

Exit codes: 0 good · 1 the drill failed, or the file cannot be read · 2 wrong command line or \
passphrase · 4 the file is damaged")]
pub(crate) struct Verify {
    /// The backup
    file: PathBuf,
    /// Start a server on a restored copy and sign in
    #[arg(long)]
    drill: bool,
    #[command(flatten)]
    passphrase: Passphrase,
    #[command(flatten)]
    settings: Settings,
    /// Write JSON: {ok, made_at, sequence, records, tables, drill, …}
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Verify) -> Result<(), Failure> {
    let passphrase = args.passphrase.given()?;
    let (input, is_encrypted) = seal::open(&args.file, passphrase.as_ref())?;
    let summary = archive::read(input, &mut ())?;
    if !args.json {
        output::say(describe(&summary, is_encrypted));
    }
    let steps = if args.drill {
        let (input, _) = seal::open(&args.file, passphrase.as_ref())?;
        drill::run(input, &args.settings)?
    } else {
        Vec::new()
    };
    let failed = steps.iter().filter(|step| !step.is_good).count();
    if args.json {
        output::json(&report(&summary, is_encrypted, &steps));
    } else {
        for step in &steps {
            let verdict = if step.is_good { "ok  " } else { "FAIL" };
            output::say(format_args!(
                "{verdict}       {}",
                output::plain(&step.what)
            ));
        }
        if failed == 0 {
            output::say("ok: whole, unaltered, and every record can be read");
        }
    }
    match failed {
        0 => Ok(()),
        _ if args.json => Err(Failure::Failed("the drill failed".into())),
        _ => Err(Failure::Failed(
            "the drill failed: do not count on this backup".into(),
        )),
    }
}

/// The same for a script.
pub(super) fn report(summary: &Summary, is_encrypted: bool, steps: &[Step]) -> Value {
    #[derive(Serialize)]
    struct Table {
        name: &'static str,
        records: u64,
    }
    let rows = summary.by_table.iter().map(|(id, records)| Table {
        name: tables::name(*id),
        records: *records,
    });
    let rows: Vec<_> = rows.collect();
    let drill: Vec<_> = steps
        .iter()
        .map(|step| json!({"what": step.what, "ok": step.is_good}))
        .collect();
    json!({
        "ok": steps.iter().all(|step| step.is_good),
        "made_at": summary.head.made_at,
        "server": summary.head.server,
        "format": summary.head.format,
        "sequence": summary.head.sequence,
        "records": summary.records,
        "initialised": summary.initialised,
        "config_sha256": summary.head.config_sha256,
        "configured_key": summary.head.configured_key,
        "encrypted": is_encrypted,
        "tables": rows,
        "drill": drill,
    })
}
