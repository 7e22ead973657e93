//! Records and exports under fuzzing.

#![allow(clippy::panic, reason = "a broken promise is a panic")]

use super::{
    Item, Parser,
    ledger::{SCHEMA, Tally},
    record::{self, MAX_KEY, MAX_RECORD},
};
use crate::tables;

const KEY: &[u8] = b"\x01a key";

/// Two bytes choose the table and the version, the rest is the record. What can be read is written
/// as what is read again; what was damaged is not read.
pub fn record(data: &[u8]) {
    let &[table, version, ref payload @ ..] = data else {
        return;
    };
    let tables = tables::all();
    let table = tables[usize::from(table) % tables.len()];
    let rewritten = table.rewritten;
    // As it came: no checksum, no record.
    assert!(!(table.decodes)(KEY, payload));
    for version in [version, table.version] {
        let sealed = record::encode_raw(KEY, version, payload);
        let Some(written) = rewritten(KEY, &sealed) else {
            continue;
        };
        assert!(rewritten(b"\x01another", &sealed).is_none());
        assert!(rewritten(KEY, &sealed[..sealed.len() - 1]).is_none());
        assert_eq!(rewritten(KEY, &written), Some(written), "{table:?}");
    }
}

/// The records of an export, a line each. What is taken is within bounds, and adds up.
pub fn export(data: &[u8]) {
    let mut parser = begun();
    let mut tally = Tally::default();
    let mut taken = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        match parser.line(line) {
            Ok(Item::Record(record)) => {
                let (key, bytes) = record.parts();
                assert!(key.len() <= MAX_KEY && bytes.len() <= MAX_RECORD);
                assert!((1..u8::MAX).contains(&record.table()));
                let sound = record::Sound::check(key, bytes);
                tally.add(sound.map(|sound| sound.sum).unwrap_or_default());
                taken.push((line, record));
            }
            Ok(Item::End { records }) => {
                assert_eq!(records, tally.count);
                assert!(
                    parser.is_over() && parser.line(line).is_err(),
                    "there is more"
                );
                break;
            }
            Ok(Item::Begin { .. }) => panic!("it begins twice"),
            Err(_) => break,
        }
    }
    // With the right end, everything in front of the fault is an export.
    let mut parser = begun();
    for (line, record) in taken {
        assert_eq!(parser.line(line).ok(), Some(Item::Record(record)));
    }
    let end = |count| {
        format!(
            "{{\"records\":{count},\"digest\":\"{:016x}\"}}",
            tally.digest
        )
    };
    assert!(begun().line(end(tally.count + 1).as_bytes()).is_err());
    let ended = parser.line(end(tally.count).as_bytes());
    assert_eq!(
        ended.ok(),
        Some(Item::End {
            records: tally.count
        })
    );
}

fn begun() -> Parser {
    let mut parser = Parser::default();
    let header = format!("{{\"omnigent\":\"store\",\"schema\":{SCHEMA},\"initialised\":true}}");
    let begun = parser.line(header.as_bytes());
    assert_eq!(begun.ok(), Some(Item::Begin { initialised: true }));
    parser
}
