//! `omnigent audit`: the trail of who did what, with the server up or down.

use std::{
    io::Write,
    time::{Duration, UNIX_EPOCH},
};

use clap::{Subcommand, ValueEnum};
use omnigent_server::{audit::Event, clock::Clock};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    admin::{self, Admin},
    failure::Failure,
    output::{self, escape, plain},
    settings::Settings,
};

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

/// An entry, as far as it is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    seq: u64,
    at: String,
    event: String,
    result: String,
    actor: String,
    by: String,
    by_uid: String,
    by_login: String,
    account: String,
    account_uid: String,
    target: String,
    backend: String,
    address: String,
    agent: String,
    request_id: String,
    reason: String,
    detail: String,
    count: Option<u64>,
    prev: String,
    hash: String,
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
        Command::Verify { expect, json } => verify(&admin, expect.as_deref(), *json),
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
    while *follow {
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
    Ok(())
}

/// An entry for a person, on one line.
fn line(entry: &Entry) -> String {
    let by = match entry.actor.as_str() {
        "account" if entry.by == entry.account => String::new(),
        "account" => entry.by.clone(),
        "backend" => format!("backend {}", entry.by),
        "nobody" => String::new(),
        kind => kind.to_owned(),
    };
    let count = entry.count.map(|count| count.to_string());
    let facts = [
        ("by", by.as_str()),
        ("from", &entry.address),
        ("backend", &entry.backend),
        ("reason", &entry.reason),
        ("count", count.as_deref().unwrap_or_default()),
        ("what", &entry.detail),
        ("target", &entry.target),
        ("request", &entry.request_id),
        ("client", &entry.agent),
    ];
    let mut line = format!("{} {} {}", entry.seq, entry.at, entry.event);
    if !entry.account.is_empty() {
        line += &format!(" {}", entry.account);
    }
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let is_word = value.chars().all(|c| !c.is_whitespace() && c != '"');
        line += &match is_word {
            true => format!(" {name}={value}"),
            false => format!(" {name}={value:?}"),
        };
    }
    plain(&line)
}

fn verify(admin: &Admin, expect: Option<&str>, json: bool) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Fault {
        seq: u64,
        what: String,
    }
    #[derive(Deserialize)]
    struct Checked {
        first: u64,
        last: u64,
        hash: String,
        next: Option<u64>,
        fault: Option<Fault>,
    }
    let expected = expect.map(expected).transpose()?;
    let (mut first, mut last, mut from) = (None, 0, String::new());
    let hash = loop {
        let path = format!("/auth/operator/audit/verify{from}");
        let checked: Checked = admin.get(&path)?;
        if let Some(Fault { seq, what }) = checked.fault {
            if json {
                output::json(&json!({"sound": false, "seq": seq, "what": what}));
            }
            let why = format!("the trail is broken at entry {seq}: {}", plain(&what));
            return Err(Failure::Failed(why));
        }
        first = first.or(Some(checked.first));
        last = checked.last.max(last);
        match checked.next {
            Some(next) => from = format!("?from={next}"),
            None => break checked.hash,
        }
    };
    let first = first.unwrap_or(1);
    if let Some((seq, hash)) = expected {
        let found = page(admin, 1, &format!("&before={}", seq.saturating_add(1)), "")?;
        let entry = found.entries.first().map(|raw| read(raw)).transpose()?;
        let entry = entry.filter(|entry| entry.seq == seq);
        let why = match entry {
            Some(entry) if entry.hash == hash => None,
            Some(_) => Some("is another one than was noted: the trail was rewritten"),
            None if seq < first => Some("is not kept any more: nothing can be said about it"),
            None => Some("is gone: the trail was cut off or rewritten"),
        };
        if let Some(why) = why {
            return Err(Failure::Failed(format!("entry {seq} {why}")));
        }
    }
    let count = (last + 1).saturating_sub(first);
    if json {
        output::json(&json!({
            "sound": true, "entries": count, "first": first, "last": last, "hash": hash,
        }));
    } else {
        output::say(format_args!("sound: {count} entries, {first} to {last}"));
        output::say(format_args!("newest: {last}:{}", plain(&hash)));
    }
    Ok(())
}

fn expected(text: &str) -> Result<(u64, String), Failure> {
    let parts = text.split_once(':');
    let both = parts.and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
    match both {
        Some((seq, hash)) if hash.len() == 64 => Ok((seq, hash.to_ascii_lowercase())),
        _ => Err(Failure::Usage(
            "--expect takes what `audit verify` printed as newest: NUMBER:HASH".into(),
        )),
    }
}

const COLUMNS: [&str; 20] = [
    "seq",
    "at",
    "event",
    "result",
    "actor",
    "by",
    "by_uid",
    "by_login",
    "account",
    "account_uid",
    "target",
    "backend",
    "address",
    "agent",
    "request_id",
    "reason",
    "detail",
    "count",
    "prev",
    "hash",
];

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

/// An entry as a row (RFC 4180).
fn csv(entry: Entry) -> String {
    let count = entry.count.map(|count| count.to_string());
    let cells = [
        entry.seq.to_string(),
        entry.at,
        entry.event,
        entry.result,
        entry.actor,
        entry.by,
        entry.by_uid,
        entry.by_login,
        entry.account,
        entry.account_uid,
        entry.target,
        entry.backend,
        entry.address,
        entry.agent,
        entry.request_id,
        entry.reason,
        entry.detail,
        count.unwrap_or_default(),
        entry.prev,
        entry.hash,
    ];
    cells.map(|cell| quoted(&cell)).join(",")
}

/// A cell that is one cell, and no formula to whoever opens it.
fn quoted(cell: &str) -> String {
    let text = plain(cell);
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    if is_formula {
        return format!("\"'{}\"", text.replace('"', "\"\""));
    }
    if text.contains(['"', ',']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_strangers_send_steers_nothing() {
        let entry = Entry {
            seq: 7,
            at: "2026-11-27T09:00:00.000Z".into(),
            event: "login.denied".into(),
            agent: "curl\u{1b}[2J\r\n8 forged \"x\"".into(),
            reason: "denied".into(),
            ..Entry::default()
        };
        let shown = line(&entry);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.contains(" reason=denied "), "{shown}");
        let row = csv(Entry {
            by: "=cmd|' /C calc'!A0".into(),
            ..entry
        });
        assert!(row.contains(",\"'=cmd|' /C calc'!A0\","), "{row}");
        assert_eq!(row.lines().count(), 1);
    }

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
