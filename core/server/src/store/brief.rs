//! A table in brief: what a start needs of each record, in a file beside the store, so that it
//! need not read the records.
//!
//! **Invariant:** a bucket is taken from the file only while the books say of it what they said
//! when the file was written; every other bucket is read from the store. The file may hold more
//! than the bucket did, never less: only a table whose entries are never wrong may be kept so.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::ledger::Tally;

const MAGIC: [u8; 8] = *b"omnibrf1";
const BUCKETS: usize = 256;
/// Of a bucket, in the file's head: count and digest of its tally, and how many entries follow.
const ROW: usize = 8 + 8 + 8;
const HEAD: usize = MAGIC.len() + 1 + 1 + BUCKETS * ROW;
const SUM: usize = 16;

/// The books of one table at a moment at which memory held all of it.
#[derive(Debug)]
pub struct Books {
    pub(super) table: u8,
    pub(super) tallies: BTreeMap<u16, Tally>,
    pub(super) dir: PathBuf,
}

/// A table in brief, read from its file.
pub(super) struct Brief {
    table: u8,
    tallies: Vec<Tally>,
    bytes: Vec<u8>,
    /// Where in the bytes the entries of each bucket are.
    entries: Vec<Range<usize>>,
    width: usize,
}

fn path(dir: &Path, table: u8) -> PathBuf {
    dir.join(format!("brief-{table}"))
}

impl Books {
    /// How many records the table had.
    pub fn count(&self) -> u64 {
        self.tallies.values().map(|tally| tally.count).sum()
    }

    /// Writes the table in brief: entries of `W` bytes by the first byte of their key. Blocks.
    ///
    /// # Errors
    /// Those of the file system; the file that was there before is then still there.
    pub fn keep<const W: usize>(
        &self,
        entries: impl Fn(u8, &mut dyn FnMut([u8; W])),
    ) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(&MAGIC);
        head.push(self.table);
        head.push(u8::try_from(W).map_err(io::Error::other)?);
        let mut body = Vec::new();
        for first in 0..=u8::MAX {
            let tally = self.tallies.get(&u16::from_be_bytes([self.table, first]));
            let tally = tally.copied().unwrap_or_default();
            let before = body.len();
            entries(first, &mut |entry| body.extend_from_slice(&entry));
            let many = u64::try_from((body.len() - before) / W.max(1)).map_err(io::Error::other)?;
            for number in [tally.count, tally.digest, many] {
                head.extend_from_slice(&number.to_le_bytes());
            }
        }
        head.append(&mut body);
        let sum = xxh3_128(&head).to_le_bytes();
        head.extend_from_slice(&sum);
        let (path, beside) = (
            path(&self.dir, self.table),
            self.dir.join(format!("brief-{}.new", self.table)),
        );
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&head)?;
        fs::rename(beside, path)
    }
}

impl Brief {
    /// What is kept of `table`; nothing when there is no file, or it is damaged.
    pub(super) fn read(dir: &Path, table: u8, width: usize) -> Option<Self> {
        let bytes = fs::read(path(dir, table)).ok()?;
        let brief = Self::parse(bytes, table, width);
        if brief.is_none() {
            tracing::debug!(table, "a file that speeds up the start cannot be read");
        }
        brief
    }

    fn parse(bytes: Vec<u8>, table: u8, width: usize) -> Option<Self> {
        let (said, sum) = bytes.split_last_chunk::<SUM>()?;
        if xxh3_128(said).to_le_bytes() != *sum || width == 0 {
            return None;
        }
        let rest = said.strip_prefix(&MAGIC)?;
        let (&[of_table, of_width], rest) = rest.split_first_chunk::<2>()?;
        if of_table != table || usize::from(of_width) != width {
            return None;
        }
        let (rows, _) = rest.split_at_checked(BUCKETS * ROW)?;
        let (mut tallies, mut entries) = (Vec::new(), Vec::new());
        let mut at = HEAD;
        for row in rows.chunks_exact(ROW) {
            let number = |at: usize| {
                let bytes = row.get(at..at + 8)?.first_chunk::<8>()?;
                Some(u64::from_le_bytes(*bytes))
            };
            tallies.push(Tally {
                count: number(0)?,
                digest: number(8)?,
            });
            let long = usize::try_from(number(16)?).ok()?.checked_mul(width)?;
            let end = at.checked_add(long)?;
            entries.push(at..end);
            at = end;
        }
        let is_whole = at == said.len();
        is_whole.then_some(Self {
            table,
            tallies,
            bytes,
            entries,
            width,
        })
    }

    /// The entries of a bucket, if it is still what it was.
    pub(super) fn bucket(&self, id: u16, now: Tally) -> Option<impl Iterator<Item = &[u8]>> {
        let [table, first] = id.to_be_bytes();
        let was = *self.tallies.get(usize::from(first))?;
        let entries = self
            .bytes
            .get(self.entries.get(usize::from(first))?.clone())?;
        (table == self.table && was == now).then(|| entries.chunks_exact(self.width))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: u8 = 5;

    fn tally(count: u64, digest: u64) -> Tally {
        Tally { count, digest }
    }

    fn kept(dir: &Path) {
        let books = Books {
            table: TABLE,
            tallies: BTreeMap::from([(0x0500, tally(2, 11)), (0x05ff, tally(1, 22))]),
            dir: dir.into(),
        };
        books
            .keep::<2>(|first, put| match first {
                0 => [[0, 1], [0, 2]].into_iter().for_each(put),
                255 => put([255, 3]),
                _ => {}
            })
            .unwrap();
    }

    fn entries(brief: &Brief, id: u16, now: Tally) -> Option<Vec<Vec<u8>>> {
        Some(brief.bucket(id, now)?.map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn a_bucket_is_given_while_the_books_say_the_same_of_it() {
        let dir = tempfile::tempdir().unwrap();
        kept(dir.path());
        let brief = Brief::read(dir.path(), TABLE, 2).unwrap();
        let first = entries(&brief, 0x0500, tally(2, 11)).unwrap();
        assert_eq!(first, [[0, 1], [0, 2]]);
        assert_eq!(entries(&brief, 0x05ff, tally(1, 22)).unwrap(), [[255, 3]]);
        assert!(entries(&brief, 0x0501, tally(0, 0)).unwrap().is_empty());
        for changed in [tally(3, 11), tally(2, 12), tally(0, 0)] {
            assert_eq!(entries(&brief, 0x0500, changed), None);
        }
        assert_eq!(entries(&brief, 0x0400, tally(2, 11)), None);
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Brief::read(dir.path(), TABLE, 2).is_none());
        kept(dir.path());
        assert!(Brief::read(dir.path(), TABLE, 3).is_none());
        assert!(Brief::read(dir.path(), 6, 2).is_none());
        let file = path(dir.path(), TABLE);
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Brief::parse(bad, TABLE, 2).is_none(), "byte {at}");
            let cut = good[..at].to_vec();
            assert!(Brief::parse(cut, TABLE, 2).is_none(), "cut at {at}");
        }
    }
}
