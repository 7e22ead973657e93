//! `omnigent audit`: the trail of who did what, with the server up or down.

mod entry;
mod verify;

use std::{
    io::Write,
    time::{Duration, UNIX_EPOCH},
};

use clap::{Subcommand, ValueEnum};
use omnigent_server::{audit::Event, clock::Clock};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    admin::{self, Admin},
    failure::Failure,
    output::escape,
    settings::Settings,
};
use entry::{COLUMNS, Entry, csv, line};

/// Shows, proves and exports the audit trail: who did what, from where, and how it came out
#[derive(clap::Args)]
#[command(after_help = "\
Give the same --config or --data-dir as to `omnigent server`; it is asked when it runs. Every entry
is chained to the one before it by its hash: `verify` names the first one that does not fit. Note
the number and hash it prints on another machine, and give them to --expect later: that finds a
trail that somebody with all of the server's keys has rewritten.

Examples:
  omnigent audit tail -n 50 --account alice
  omnigent audit tail -f --event login.denied
  omnigent audit verify || alert
  omnigent audit export --since 24h | jq -r 'select(.result == \"denied\") | .address'
  omnigent audit export --since 2026-11-01 --until 2026-12-01 --format csv > november.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the newest entries, oldest of them first
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Go on as entries come; the server must run
        #[arg(short, long)]
        follow: bool,
        /// Write JSON, an entry a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        only: Only,
    },
    /// Proves that no entry is missing, altered, added or moved
    Verify {
        /// An entry noted earlier, which must still be there: its number and hash
        #[arg(long, value_name = "NUMBER:HASH")]
        expect: Option<String>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Writes entries to standard output, oldest first
    Export {
        /// From when: a date, a time (RFC 3339), or how long ago (`24h`)
        #[arg(long)]
        since: Option<String>,
        /// Until when, exclusive
        #[arg(long)]
        until: Option<String>,
        /// As what
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        #[command(flatten)]
        only: Only,
    },
}

/// Which entries.
#[derive(clap::Args)]
struct Only {
    /// Only of this event
    #[arg(long)]
    event: Option<String>,
    /// Only those that concern this account, or that it did
    #[arg(long)]
    account: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line, to the letter as it was hashed
    Jsonl,
    /// For spreadsheets
    Csv,
}

/// Entries asked for at once.
const PAGE: usize = 1000;

/// How long between two looks of `tail -f`.
const PAUSE: Duration = Duration::from_secs(1);

/// A page of entries as the server gives it.
#[derive(Deserialize)]
struct Page {
    entries: Vec<Box<RawValue>>,
    next: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // Before anything is opened: what is wrong with the command line is said first.
    let query = query(&args.command)?;
    let config = args.settings.load(None)?;
    if let Command::Tail { follow: true, .. } = args.command {
        let data_dir = config.server.data_dir.display().to_string();
        let running = admin::running(&config)?;
        let nobody = || Failure::Failed(format!("no server runs on {data_dir}: nothing comes"));
        return tail(&running.ok_or_else(nobody)?, &args.command, &query);
    }
    let admin = admin::reach(config)?;
    match &args.command {
        Command::Tail { .. } => tail(&admin, &args.command, &query),
        Command::Verify { expect, json } => verify::verify(&admin, expect.as_deref(), *json),
        Command::Export { format, .. } => export(&admin, &query, *format),
    }
}

/// What the command line asks for, as the query has it.
fn query(command: &Command) -> Result<String, Failure> {
    let (only, times) = match command {
        Command::Verify { .. } => return Ok(String::new()),
        Command::Tail { only, .. } => (only, [("since", &None), ("until", &None)]),
        Command::Export {
            only, since, until, ..
        } => (only, [("since", since), ("until", until)]),
    };
    let mut query = String::new();
    if let Some(event) = &only.event {
        event.parse::<Event>().map_err(|_| {
            let all: Vec<_> = Event::ALL.iter().map(|event| event.name()).collect();
            Failure::Usage(format!(
                "there is no event {event:?}; there are {}",
                all.join(", ")
            ))
        })?;
        query += &format!("&event={event}");
    }
    if let Some(account) = &only.account {
        query += &format!("&account={}", escape(account));
    }
    for (name, text) in times {
        if let Some(text) = text {
            query += &format!("&{name}={}", moment(text)?);
        }
    }
    Ok(query)
}

/// Seconds since 1970 of a moment as people write it.
fn moment(text: &str) -> Result<u64, Failure> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Clock::system()
            .now()
            .seconds()
            .saturating_sub(ago.as_secs()));
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let at = humantime::parse_rfc3339_weak(&whole);
    let since = at.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_secs()).ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is no moment such as 2026-11-27, 2026-11-27T09:00:00Z or 24h"
        ))
    })
}

fn page(admin: &Admin, limit: usize, from: &str, query: &str) -> Result<Page, Failure> {
    admin.get(&format!("/auth/audit?limit={limit}{from}{query}"))
}

fn read(raw: &RawValue) -> Result<Entry, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|error| Failure::Failed(format!("an entry makes no sense: {error}")))
}

/// Writes a line; false when nobody reads any more.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

fn tail(admin: &Admin, command: &Command, query: &str) -> Result<(), Failure> {
    let Command::Tail {
        lines,
        follow,
        json,
        ..
    } = command
    else {
        return Ok(());
    };
    let show = |raw: &RawValue| -> Result<bool, Failure> {
        Ok(say(&match json {
            true => raw.get().to_owned(),
            false => line(&read(raw)?),
        }))
    };
    // Where to go on from, whatever the filter lets through.
    let newest = page(admin, 1, "", "")?;
    let mut last = match newest.entries.first() {
        Some(raw) => read(raw)?.seq,
        None => 0,
    };
    let (mut found, mut from) = (Vec::new(), format!("&before={}", last + 1));
    while found.len() < *lines {
        let page = page(admin, (*lines - found.len()).min(PAGE), &from, query)?;
        found.extend(page.entries);
        match page.next {
            Some(next) => from = format!("&before={next}"),
            None => break,
        }
    }
    for raw in found.iter().rev() {
        if !show(raw)? {
            return Ok(());
        }
    }
    if !*follow {
        return Ok(());
    }
    loop {
        let page = page(admin, PAGE, &format!("&after={last}"), query)?;
        for raw in &page.entries {
            if !show(raw)? {
                return Ok(());
            }
            last = last.max(read(raw)?.seq);
        }
        match page.next {
            Some(next) => last = last.max(next),
            None => std::thread::sleep(PAUSE),
        }
    }
}

fn export(admin: &Admin, query: &str, format: Format) -> Result<(), Failure> {
    if format == Format::Csv && !say(&COLUMNS.join(",")) {
        return Ok(());
    }
    let mut last = 0;
    loop {
        let page = page(admin, PAGE, &format!("&after={last}"), query)?;
        for raw in &page.entries {
            let text = match format {
                Format::Jsonl => raw.get().to_owned(),
                Format::Csv => csv(read(raw)?),
            };
            if !say(&text) {
                return Ok(());
            }
        }
        match page.next {
            Some(next) => last = next,
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn moments_are_dates_times_or_how_long_ago() {
        assert_eq!(moment("1970-01-02").unwrap(), 86_400);
        assert_eq!(moment("1970-01-01T00:01:00Z").unwrap(), 60);
        let now = Clock::system().now().seconds();
        assert!((now - 3700..now - 3500).contains(&moment("1h").unwrap()));
        for text in ["", "yesterday", "2026-13-01", "1969-12-31"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
