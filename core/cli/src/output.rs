//! Writing to standard output, whose reader may have gone (`omnigent account list | head`).

use std::io::Write;

use serde::Serialize;

/// Writes a line for a person. Control characters from elsewhere must be [`plain`] by now.
pub(crate) fn say(text: impl std::fmt::Display) {
    // A reader that has gone away wants no more: not a failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a value for a script: indented JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(escaped(&text)),
        Err(error) => eprintln!("omnigent: {error}"),
    }
}

/// JSON says the same with what could steer the terminal escaped; the line ends are between its values.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && steers(c) {
            // All of them are in the first plane.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Text from a server or a plugin without what could steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    let visible = |c: char| if steers(c) { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// As [`plain`], for text of several lines.
pub(crate) fn plain_lines(text: &str) -> String {
    let visible = |c: char| {
        if c != '\n' && c != '\t' && steers(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(visible).collect()
}

/// Control characters, and what turns the direction of writing or is not seen.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes a question or a hint for a person, apart from the results.
pub(crate) fn hint(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Rows in columns as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head.get(column).map_or(0, |name| name.chars().count()))
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths);
        let padded = padded.map(|(cell, width)| format!("{cell:width$}", width = *width));
        let line = padded.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// Percent-encodes a path segment (RFC 3986 section 2.3 leaves these alone).
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(plain("\u{9b}2J\u{202e}x"), "\u{fffd}2J\u{fffd}x");
        assert_eq!(
            plain_lines("a\n\u{1b}]0;x\u{7}\tb"),
            "a\n\u{fffd}]0;x\u{fffd}\tb"
        );
    }

    #[test]
    fn json_steers_no_terminal_and_says_the_same() {
        let said = serde_json::json!({"a": "\u{1b}[2J\u{7f}\u{9b}2J\u{202e}\u{feff}\nö"});
        let text = escaped(&serde_json::to_string_pretty(&said).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && steers(c)), "{text:?}");
        assert!(text.contains("\\u009b2J\\u202e\\ufeff\\nö"), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            said
        );
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["alice".to_owned(), "yes".to_owned()]];
        assert_eq!(table(&["id", "admin"], &rows), "id     admin\nalice  yes");
    }
}
