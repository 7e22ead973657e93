//! The logical export: JSON lines that any later store, on any engine, can read back.
//!
//! `{"omnigent":"store","schema":1,"initialised":true}`, one `{"table":1,"key":"<hex>",
//! "version":1,"payload":"<base64>"}` per record, `{"records":2,"digest":"<hex>"}`.
//!
//! **Invariant:** what comes out is a [`Snapshot`]; what goes in is checked line by line and as a
//! whole, and a store that was filled only in part is never opened by a server ([`Filler`]).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    Snapshot, Store, StoreError,
    ledger::{SCHEMA, Tally},
    read::{Order, Read},
    record::{self, MAX_KEY, MAX_RECORD, Sound},
};

/// Records, and bytes of them, imported per transaction.
const CHUNK: usize = 4000;
const CHUNK_BYTES: usize = 4 << 20;

/// The longest line: a record in base64, a key in hexadecimal, and some.
pub const MAX_LINE: usize = 2 * MAX_RECORD + 2 * MAX_KEY + 1024;

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

/// A snapshot as lines of text.
#[derive(Debug)]
pub struct Exporter {
    snapshot: Snapshot,
    without: fn(u8, &[u8]) -> bool,
    tally: Tally,
    stage: Stage,
}

#[derive(Debug, PartialEq)]
enum Stage {
    Header,
    Records,
    Over,
}

impl Exporter {
    /// Of all records but those of which `without` says so, by table and key there.
    pub fn new(snapshot: Snapshot, without: fn(u8, &[u8]) -> bool) -> Self {
        Self {
            snapshot,
            without,
            tally: Tally::default(),
            stage: Stage::Header,
        }
    }

    /// The snapshot it is made of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The next lines, nothing after the last. Blocks.
    ///
    /// # Errors
    /// [`StoreError::SnapshotLost`], [`StoreError::Corrupt`].
    pub fn lines(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut out = Vec::new();
        match self.stage {
            Stage::Over => return Ok(None),
            Stage::Header => {
                let header = Header {
                    omnigent: "store".into(),
                    schema: SCHEMA,
                    initialised: self.snapshot.initialised(),
                };
                write_line(&mut out, &header)?;
                self.stage = Stage::Records;
            }
            Stage::Records => match self.snapshot.next()? {
                Some(records) => {
                    for (key, bytes) in records {
                        self.record(&mut out, &key, &bytes)?;
                    }
                }
                None => {
                    let trailer = Trailer {
                        records: self.tally.count,
                        digest: format!("{:016x}", self.tally.digest),
                    };
                    write_line(&mut out, &trailer)?;
                    self.stage = Stage::Over;
                }
            },
        }
        Ok(Some(out))
    }

    fn record(&mut self, out: &mut Vec<u8>, key: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let (Some((&table, rest)), Some(sound)) = (key.split_first(), Sound::check(key, bytes))
        else {
            return Err(StoreError::Corrupt {
                table: "?".into(),
                key: hex::encode(key),
            });
        };
        if (self.without)(table, rest) {
            return Ok(());
        }
        self.tally.add(sound.sum);
        let line = Line {
            table,
            key: hex::encode(rest),
            version: sound.version,
            payload: STANDARD.encode(sound.payload),
        };
        write_line(out, &line)
    }
}

/// What a line of an export says.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// The first one: whether the store was initialised.
    Begin {
        /// See [`Store::initialised`].
        initialised: bool,
    },
    /// A record.
    Record(Portable),
    /// The last one: everything was there and unaltered.
    End {
        /// How many records there were.
        records: u64,
    },
}

/// A record on its way from one store to another.
#[derive(Debug, PartialEq, Eq)]
pub struct Portable {
    key: Vec<u8>,
    bytes: Vec<u8>,
}

impl Portable {
    /// Its key and its stored bytes.
    #[cfg(any(test, fuzzing))]
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.key, &self.bytes)
    }

    /// The table it is of.
    pub fn table(&self) -> u8 {
        self.key.first().copied().unwrap_or_default()
    }

    /// Its key there.
    pub fn key(&self) -> &[u8] {
        self.key.get(1..).unwrap_or_default()
    }

    /// Whether `table` knows how to read it.
    pub fn is_of(&self, table: &super::KnownTable) -> bool {
        table.id == self.table() && (table.decodes)(&self.key, &self.bytes)
    }
}

/// Reads an export line by line.
#[derive(Debug, Default)]
pub struct Parser {
    tally: Tally,
    has_begun: bool,
    is_over: bool,
}

impl Parser {
    /// What the next line says.
    ///
    /// # Errors
    /// [`StoreError::Import`].
    pub fn line(&mut self, text: &[u8]) -> Result<Item, StoreError> {
        if self.is_over {
            return Err(bad("there is more after its end"));
        }
        if !self.has_begun {
            let header: Header = serde_json::from_slice(text)
                .map_err(|_| bad("it is not an export of an omnigent store"))?;
            if header.omnigent != "store" {
                return Err(bad("it is not an export of an omnigent store"));
            }
            if header.schema > SCHEMA {
                return Err(bad("it was made by a newer server"));
            }
            self.has_begun = true;
            return Ok(Item::Begin {
                initialised: header.initialised,
            });
        }
        // The commoner kind first: a record's line is no trailer, and the reverse.
        if text.starts_with(b"{\"records\"") {
            let trailer: Trailer = serde_json::from_slice(text).map_err(|error| unread(&error))?;
            let digest = format!("{:016x}", self.tally.digest);
            if trailer.records != self.tally.count || trailer.digest != digest {
                return Err(bad("its records do not add up"));
            }
            self.is_over = true;
            return Ok(Item::End {
                records: trailer.records,
            });
        }
        let line: Line = serde_json::from_slice(text).map_err(|error| unread(&error))?;
        let mut key = vec![line.table];
        key.extend(hex::decode(&line.key).map_err(bad)?);
        let payload = STANDARD
            .decode(&line.payload)
            .map_err(|error| bad(&error))?;
        let bytes = record::encode_raw(&key, line.version, &payload);
        if !(1..u8::MAX).contains(&line.table) || key.len() > MAX_KEY || bytes.len() > MAX_RECORD {
            return Err(bad("a record of it is out of bounds"));
        }
        self.tally
            .add(record::stored_sum(&bytes).unwrap_or_default());
        Ok(Item::Record(Portable { key, bytes }))
    }

    /// Whether the last line was the end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

/// Fills an empty store. When anything fails, what is there by then is to be thrown away: no
/// server may open it.
#[derive(Debug)]
pub struct Filler<'s> {
    store: &'s Store,
    chunk: Vec<Portable>,
    bytes: usize,
}

impl<'s> Filler<'s> {
    /// # Errors
    /// [`StoreError::Import`] when the store is not empty.
    pub fn new(store: &'s Store) -> Result<Self, StoreError> {
        let reader = store.reader();
        let mut records = reader.range(vec![1]..vec![u8::MAX], Order::Ascending);
        if records.next().is_some() {
            return Err(bad("the store to import into is not empty"));
        }
        drop(records);
        Ok(Self {
            store,
            chunk: Vec::new(),
            bytes: 0,
        })
    }

    /// Puts a record in, by and by.
    ///
    /// # Errors
    /// Those of writing.
    pub fn put(&mut self, record: Portable) -> Result<(), StoreError> {
        self.bytes += record.bytes.len();
        self.chunk.push(record);
        if self.chunk.len() >= CHUNK || self.bytes >= CHUNK_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Puts in what is left, and the mark.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self, initialised: bool) -> Result<(), StoreError> {
        self.write()?;
        if initialised {
            self.store.write_blocking(|tx| {
                tx.mark_initialised();
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        self.store.write_blocking(|tx| {
            let mut put = |record: Portable| tx.set(record.key, Some(record.bytes)).map(drop);
            chunk.into_iter().try_for_each(&mut put)
        })
    }
}

/// Copies everything of one store into another one that is empty: the way out of a data file that
/// has grown. Says how many records.
///
/// # Errors
/// Those of reading and writing.
pub fn copy(from: &Store, to: &Store) -> Result<u64, StoreError> {
    let mut snapshot = from.snapshot_blocking()?;
    let mut filler = Filler::new(to)?;
    let mut records = 0;
    while let Some(found) = snapshot.next()? {
        for (key, bytes) in found {
            records += 1;
            filler.put(Portable { key, bytes })?;
        }
    }
    filler.finish(snapshot.initialised())?;
    Ok(records)
}

fn write_line(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *out, line)
        .map_err(|error| StoreError::Engine(error.to_string()))?;
    out.push(b'\n');
    Ok(())
}

/// The parser's own message would repeat what is in the line: a hash, or a key that got there.
fn unread(error: &serde_json::Error) -> StoreError {
    bad(format!("it is no record (column {})", error.column()))
}

fn bad(why: impl ToString) -> StoreError {
    StoreError::Import(why.to_string())
}
