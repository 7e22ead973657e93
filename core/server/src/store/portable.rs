//! The logical backup: JSON lines that any later store, on any engine, can read back.
//!
//! `{"omnigent":"store","schema":1,"initialised":true}`, one `{"table":1,"key":"<hex>",
//! "version":1,"payload":"<base64>"}` per record, `{"records":2,"digest":"<hex>"}`.

use std::io::{self, BufRead, Seek, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    highwater::Mark,
    ledger::{META, SCHEMA, Tally},
    read::{Order, Read},
    record::{self, MAX_KEY, MAX_RECORD, Sound},
};

/// Records imported per transaction.
const CHUNK: usize = 500;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    omnigent: String,
    schema: u32,
    initialised: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    table: u8,
    key: String,
    version: u8,
    payload: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    records: u64,
    digest: String,
}

/// Writes every record to `out` and returns how many. Consistent when `from` is a transaction
/// (writes wait meanwhile) or nobody else writes.
///
/// # Errors
/// Those of reading; [`StoreError::Engine`] when `out` fails.
pub fn export(from: &impl Read, out: &mut impl Write) -> Result<u64, StoreError> {
    let meta = from.get(&META)?.unwrap_or_default();
    let mark: Option<Mark> =
        Sound::check(&META, &meta).and_then(|sound| postcard::from_bytes(sound.payload).ok());
    let initialised = mark.is_some_and(|mark| mark.initialised);
    write_line(
        out,
        &Header {
            omnigent: "store".into(),
            schema: SCHEMA,
            initialised,
        },
    )?;
    let mut tally = Tally::default();
    for entry in from.range(vec![1]..vec![u8::MAX], Order::Ascending) {
        let (key, bytes) = entry?;
        let (Some((&table, rest)), Some(sound)) = (key.split_first(), Sound::check(&key, &bytes))
        else {
            return Err(StoreError::Corrupt {
                table: "?".into(),
                key: hex::encode(key),
            });
        };
        tally.add(sound.sum);
        let (key, payload) = (hex::encode(rest), STANDARD.encode(sound.payload));
        write_line(
            out,
            &Line {
                table,
                key,
                version: sound.version,
                payload,
            },
        )?;
    }
    write_line(
        out,
        &Trailer {
            records: tally.count,
            digest: format!("{:016x}", tally.digest),
        },
    )?;
    out.flush()
        .map_err(|error| StoreError::Engine(error.to_string()))?;
    Ok(tally.count)
}

/// Reads an export into an empty store and returns the number of records. The whole of `input` is
/// checked before the first record is written.
///
/// # Errors
/// [`StoreError::Import`], and those of writing.
pub fn import(store: &Store, input: &mut (impl BufRead + Seek)) -> Result<u64, StoreError> {
    if store
        .reader()
        .range(vec![1]..vec![u8::MAX], Order::Ascending)
        .next()
        .is_some()
    {
        return Err(StoreError::Import(
            "the store to import into is not empty".into(),
        ));
    }
    let start = input.stream_position().map_err(|error| bad(&error))?;
    let (_, records) = walk(input, |_, _| Ok(()))?;
    input
        .seek(io::SeekFrom::Start(start))
        .map_err(|error| bad(&error))?;
    let mut chunk = Vec::with_capacity(CHUNK);
    let (initialised, _) = walk(input, |key, bytes| {
        chunk.push((key, bytes));
        if chunk.len() < CHUNK {
            Ok(())
        } else {
            put(store, std::mem::take(&mut chunk))
        }
    })?;
    put(store, chunk)?;
    if initialised {
        store.write_blocking(|tx| {
            tx.mark_initialised();
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(records)
}

fn put(store: &Store, chunk: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
    store.write_blocking(|tx| {
        chunk
            .into_iter()
            .try_for_each(|(key, bytes)| tx.set(key, Some(bytes)).map(|_| ()))
    })
}

/// Shows every record to `take`; returns the header's flag and the number of records.
pub(super) fn walk(
    input: &mut impl BufRead,
    mut take: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(bool, u64), StoreError> {
    let mut lines = input.lines();
    let mut next = || {
        lines
            .next()
            .ok_or_else(|| bad("it is cut short"))?
            .map_err(|error| bad(&error))
    };
    let header: Header = serde_json::from_str(&next()?)
        .map_err(|_| bad("it is not an export of an omnigent store"))?;
    if header.schema > SCHEMA {
        return Err(bad("it was made by a newer server"));
    }
    let mut tally = Tally::default();
    loop {
        let text = next()?;
        if let Ok(trailer) = serde_json::from_str::<Trailer>(&text) {
            let digest = format!("{:016x}", tally.digest);
            let whole = trailer.records == tally.count && trailer.digest == digest;
            return if whole {
                Ok((header.initialised, tally.count))
            } else {
                Err(bad("its records do not add up"))
            };
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        let mut key = vec![line.table];
        key.extend(hex::decode(&line.key).map_err(bad)?);
        let payload = STANDARD
            .decode(&line.payload)
            .map_err(|error| bad(&error))?;
        let bytes = record::encode_raw(&key, line.version, &payload);
        if !(1..u8::MAX).contains(&line.table) || key.len() > MAX_KEY || bytes.len() > MAX_RECORD {
            return Err(bad("a record of it is out of bounds"));
        }
        tally.add(record::stored_sum(&bytes).unwrap_or_default());
        take(key, bytes)?;
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<(), StoreError> {
    let mut text =
        serde_json::to_vec(line).map_err(|error| StoreError::Engine(error.to_string()))?;
    text.push(b'\n');
    out.write_all(&text)
        .map_err(|error| StoreError::Engine(error.to_string()))
}

fn bad(why: impl ToString) -> StoreError {
    StoreError::Import(why.to_string())
}
