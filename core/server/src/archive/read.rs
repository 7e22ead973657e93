//! Reading an archive: one pass, bounded memory, every line checked.
//!
//! **Invariant:** whoever gets `Ok` has seen a whole, unaltered archive whose every record this
//! server can read; whoever gets an error throws away what was seen.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{ArchiveError, FORMAT, FileLine, Head, Kind, write::tail};
use crate::{
    secret::Secret,
    store::{Item, KnownTable, MAX_LINE, Parser, Portable, StoreError},
    tables,
    token::keycopy,
};

/// The longest line there can be: that of a keyring.
const LONGEST: usize = 1 << 20;

/// What is done with what is read.
pub trait Visitor {
    /// The first line.
    ///
    /// # Errors
    /// Ends the reading.
    fn head(&mut self, _: &Head) -> Result<(), ArchiveError> {
        Ok(())
    }

    /// The keyring, sound.
    ///
    /// # Errors
    /// Ends the reading.
    fn keyring(&mut self, _: &Secret<Vec<u8>>) -> Result<(), ArchiveError> {
        Ok(())
    }

    /// A record, sound.
    ///
    /// # Errors
    /// Ends the reading.
    fn record(&mut self, _: Portable) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Looks at everything and keeps nothing.
impl Visitor for () {}

/// What a whole archive holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its first line.
    pub head: Head,
    /// Whether somebody had claimed the server.
    pub initialised: bool,
    /// How many records there are in all.
    pub records: u64,
    /// How many by table id.
    pub by_table: BTreeMap<u8, u64>,
    /// Whether a keyring is in it.
    pub has_keyring: bool,
}

/// Reads a whole archive and shows it to `visitor`.
///
/// # Errors
/// [`ArchiveError`]; those of `visitor`.
pub fn read(input: impl BufRead, visitor: &mut impl Visitor) -> Result<Summary, ArchiveError> {
    let mut lines = Lines::new(input);
    let head = head(lines.next(LONGEST)?)?;
    visitor.head(&head)?;
    lines.absorb();
    let has_keyring = head.omnigent == Kind::Backup;
    if has_keyring {
        let keyring = keyring(lines.next(LONGEST)?).ok_or_else(|| lines.damaged("no keyring"))?;
        visitor.keyring(&keyring)?;
        lines.absorb();
    }
    let tables: BTreeMap<u8, KnownTable> = tables::all()
        .into_iter()
        .map(|table| (table.id, table))
        .collect();
    let mut summary = Summary {
        head,
        initialised: false,
        records: 0,
        by_table: BTreeMap::new(),
        has_keyring,
    };
    let mut parser = Parser::default();
    while !parser.is_over() {
        let item = match parser.line(lines.next(MAX_LINE)?) {
            Ok(item) => item,
            Err(StoreError::Import(what)) => return Err(lines.damaged(&what)),
            Err(error) => return Err(error.into()),
        };
        match item {
            Item::Begin { initialised } => summary.initialised = initialised,
            Item::End { records } => summary.records = records,
            Item::Record(record) => {
                let id = record.table();
                let table = tables
                    .get(&id)
                    .ok_or_else(|| lines.damaged(&format!("table {id} is not known here")))?;
                if !record.is_of(table) {
                    let what = format!("a record of table {} cannot be read", table.name);
                    return Err(lines.damaged(&what));
                }
                *summary.by_table.entry(id).or_default() += 1;
                visitor.record(record)?;
            }
        }
        lines.absorb();
    }
    lines.end()?;
    Ok(summary)
}

fn head(line: &[u8]) -> Result<Head, ArchiveError> {
    #[derive(serde::Deserialize)]
    struct Any {
        omnigent: Kind,
        format: u32,
    }
    // Whatever else a newer one says.
    let any: Any = serde_json::from_slice(line).map_err(|_| ArchiveError::NotOurs)?;
    let _ = any.omnigent;
    if any.format > FORMAT {
        return Err(ArchiveError::Newer { found: any.format });
    }
    serde_json::from_slice(line).map_err(|_| ArchiveError::NotOurs)
}

fn keyring(line: &[u8]) -> Option<Secret<Vec<u8>>> {
    // No message of a parser: it could quote a key.
    let line: FileLine = serde_json::from_slice(line).ok()?;
    let content = STANDARD.decode(line.content).ok().map(Secret::new)?;
    (line.file == keycopy::NAME && keycopy::is_sound(content.expose())).then_some(content)
}

/// Lines of bounded length, counted and summed up.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    digest: digest::Context,
    count: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            digest: digest::Context::new(&digest::SHA256),
            count: 0,
        }
    }

    /// The next line, without its end.
    fn next(&mut self, longest: usize) -> Result<&[u8], ArchiveError> {
        self.line.clear();
        let most = u64::try_from(longest).unwrap_or(u64::MAX);
        let mut some = (&mut self.input).take(most);
        let read = some.read_until(b'\n', &mut self.line);
        if let Err(error) = read {
            return Err(self.input_error(error));
        }
        if self.line.last() != Some(&b'\n') {
            let what = if self.line.len() == longest {
                "it is too long"
            } else {
                "it ends here"
            };
            return Err(self.damaged(what));
        }
        Ok(&self.line[..self.line.len() - 1])
    }

    /// Counts the line and sums it up.
    fn absorb(&mut self) {
        self.digest.update(&self.line);
        self.count += 1;
    }

    /// The last line, and nothing after it.
    fn end(mut self) -> Result<(), ArchiveError> {
        let expected = tail(self.count, self.digest.clone());
        if self.next(LONGEST)? != expected {
            return Err(self.damaged("the checksum does not match"));
        }
        match self.input.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("there is more after its end")),
            Err(error) => Err(self.input_error(error)),
        }
    }

    /// What a reader that decrypts finds altered is damage as well.
    fn input_error(&self, error: io::Error) -> ArchiveError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                self.damaged("it was altered or cut")
            }
            _ => ArchiveError::Input(error),
        }
    }

    fn damaged(&self, what: &str) -> ArchiveError {
        ArchiveError::Damaged {
            line: self.count + 1,
            what: what.to_owned(),
        }
    }
}
