//! `omnigent restore`: a backup becomes a data directory.

use std::path::PathBuf;

use omnigent_server::{
    archive::{self, About, How, Kind, Restored},
    clock::Clock,
};

use crate::{
    backup::{
        age, describe,
        seal::{self, Passphrase},
    },
    failure::Failure,
    output,
    settings::Settings,
};

/// Makes a data directory from a backup
///
/// Into an empty directory. The backup is checked to its last record before anything is moved into
/// place, and a server refuses a directory in which a restore was interrupted.
///
/// An old backup does not know what was ended since it was made: those logins and tokens work again
/// until they end by themselves. --end-all-logins ends every login and API token, those made since
/// included, so that everybody signs in anew.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent restore /backup/omnigent-2026-11-27 --data-dir /var/lib/omnigent
  omnigent restore ./today --config /etc/omnigent.toml --passphrase-file /root/backup-passphrase
  omnigent restore ./last-week --data-dir /var/lib/omnigent --force --end-all-logins

Exit codes: 0 restored · 1 failed, nothing changed · 2 wrong command line, configuration or \
passphrase · 3 a server uses the directory · 4 the backup is damaged, nothing changed")]
pub(crate) struct Args {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Move what is in the directory aside, into a folder inside it
    #[arg(long)]
    force: bool,
    /// End every login and API token, and forget invites, links and codes
    #[arg(long)]
    end_all_logins: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    let data_dir = &config.server.data_dir;
    let passphrase = args.passphrase.given()?;
    let (input, is_encrypted) = seal::open(&args.file, passphrase.as_ref())?;
    let how = How {
        kind: Kind::Backup,
        replace: args.force,
        end_logins: args.end_all_logins,
        now: Clock::system().now(),
    };
    let restored = archive::restore(input, data_dir, &how)?;
    let Restored {
        summary,
        aside,
        ended,
        ..
    } = restored;
    output::say(describe(&summary, is_encrypted));
    if let Some(aside) = &aside {
        output::say(format_args!(
            "what was there is in {}; delete it once you need it no more, it holds keys too",
            aside.display()
        ));
    }
    match ended {
        Some(ended) => {
            output::say(format_args!(
                "ended {} logins and {} API tokens; everybody signs in anew",
                ended.logins, ended.api_tokens
            ));
            if summary.head.configured_key {
                output::hint(
                    "warning: tokens are signed with tokens.secret of the configuration. Change it, or tokens made \
                     after the backup go on working",
                );
            }
        }
        None => output::hint(format_args!(
            "note: this is the state of {}. What was ended or revoked since works again until it ends by itself; \
             API tokens made since work without being listed. To rule that out, restore again with --end-all-logins",
            age(&summary.head)
        )),
    }
    let here = About::new(&config, how.now);
    if args.settings.config.is_some() && here.config_sha256() != summary.head.config_sha256 {
        output::hint("note: the backup was made under another configuration than this one");
    }
    output::say(format_args!("restored into {}", data_dir.display()));
    Ok(())
}
