//! An entry of the audit trail, as a line for people and as a row for spreadsheets.
//!
//! **Invariant:** whatever is in it, it stays on one line and steers no terminal and no spreadsheet.

use serde::Deserialize;

use crate::output::plain;

/// An entry, as far as it is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) event: String,
    pub(super) result: String,
    pub(super) actor: String,
    pub(super) by: String,
    pub(super) by_uid: String,
    pub(super) by_login: String,
    pub(super) account: String,
    pub(super) account_uid: String,
    pub(super) target: String,
    pub(super) backend: String,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) request_id: String,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) count: Option<u64>,
    pub(super) prev: String,
    pub(super) hash: String,
}

/// An entry for a person, on one line.
pub(super) fn line(entry: &Entry) -> String {
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

/// What the columns of [`csv`] are called.
pub(super) const COLUMNS: [&str; 20] = [
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

/// An entry as a row (RFC 4180).
pub(super) fn csv(entry: Entry) -> String {
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
}
