//! A list of breached passwords that the operator keeps: SHA-1 hashes in hexadecimal, one a line in
//! rising order, as Have I Been Pwned gives them out (`HASH:COUNT`). Some 40 GB, so a password is
//! looked up by halving the file on disk, in some 35 reads, and nothing of it is held in memory.
//!
//! **Invariant:** a list that cannot be read, or is none, is an error and never a "not in it".

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use omnigent_plugin::BackendError;
use sha1::{Digest, Sha1};

/// Hexadecimal digits of a hash.
const DIGITS: usize = 40;
/// The longest line, its end included.
const LONGEST: usize = 64;
/// Lines looked at before a list is believed to be in order.
const SAMPLES: u64 = 64;

type Hash = [u8; DIGITS / 2];

/// Where the list is. It is opened for each look: a newer one may take its place at any time.
#[derive(Clone, Debug)]
pub(crate) struct Breached(PathBuf);

impl Breached {
    /// The list in this file.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        let why = |why: &str| format!("breached_file: {}: {why}", path.display());
        if !path.is_absolute() {
            return Err(why("is not an absolute path"));
        }
        let list = List::open(&path).map_err(|error| why(&error.to_string()))?;
        match list.is_in_order() {
            Ok(true) => Ok(Self(path)),
            Ok(false) => Err(why("is empty, or its hashes are not in rising order")),
            Err(error) => Err(why(&error.to_string())),
        }
    }

    /// Whether the password is in it.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] when it cannot be read.
    pub(crate) async fn has(&self, password: &str) -> Result<bool, BackendError> {
        let (path, hash) = (self.0.clone(), hash(password));
        let look = move || List::open(&path)?.has(&hash);
        let found = tokio::task::spawn_blocking(look).await;
        let found = found.map_err(|_| BackendError::internal("reading breached_file panicked"))?;
        found.map_err(|error| BackendError::unavailable(format!("breached_file: {error}")))
    }
}

fn hash(password: &str) -> Hash {
    Sha1::digest(password.as_bytes()).into()
}

struct List {
    file: File,
    length: u64,
}

impl List {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    fn has(&self, wanted: &Hash) -> io::Result<bool> {
        // What begins before `low` is smaller, what begins at `high` or later is larger.
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.from(middle)? {
                Some((_, hash)) if hash == *wanted => return Ok(true),
                Some((start, hash)) if hash < *wanted => low = start + 1,
                _ => high = middle,
            }
        }
        Ok(false)
    }

    fn is_in_order(&self) -> io::Result<bool> {
        let mut last = None;
        for sample in 0..SAMPLES {
            let place = self.length / SAMPLES * sample;
            if let Some((_, hash)) = self.from(place)? {
                if last.is_some_and(|last| last > hash) {
                    return Ok(false);
                }
                last = Some(hash);
            }
        }
        Ok(last.is_some())
    }

    /// The first line that begins at `place` or later: where, and its hash.
    fn from(&self, place: u64) -> io::Result<Option<(u64, Hash)>> {
        let mut buffer = [0; LONGEST + DIGITS + 1];
        // One byte before, for a line that begins just here.
        let before = place.saturating_sub(1);
        let read = self.read(&mut buffer, before)?;
        let skipped = match place {
            0 => 0,
            _ => match read.iter().position(|byte| *byte == b'\n') {
                Some(end) if end < LONGEST => end + 1,
                None if read.len() < buffer.len() => return Ok(None),
                _ => return Err(malformed()),
            },
        };
        let line = &read[skipped..];
        if line.is_empty() {
            return Ok(None);
        }
        let (digits, rest) = line.split_at_checked(DIGITS).ok_or_else(malformed)?;
        if !matches!(rest.first(), None | Some(b':' | b'\r' | b'\n')) {
            return Err(malformed());
        }
        let start = before + skipped as u64;
        Ok(Some((start, parse(digits).ok_or_else(malformed)?)))
    }

    fn read<'b>(&self, buffer: &'b mut [u8], from: u64) -> io::Result<&'b [u8]> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[filled..], from + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&buffer[..filled])
    }
}

fn parse(digits: &[u8]) -> Option<Hash> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut hash = [0; DIGITS / 2];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

fn malformed() -> io::Error {
    let what = "a line is no SHA-1 hash in hexadecimal, with a count or without";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fmt::Write, io::Write as _};

    use super::*;

    /// A list of these passwords, written as `line` has it.
    fn list(passwords: &[String], line: impl Fn(usize, &str) -> String) -> tempfile::NamedTempFile {
        let mut hashes: Vec<_> = passwords.iter().map(|password| hash(password)).collect();
        hashes.sort_unstable();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (i, hash) in hashes.iter().enumerate() {
            let mut digits = String::new();
            for byte in hash {
                write!(digits, "{byte:02X}").unwrap();
            }
            file.write_all(line(i, &digits).as_bytes()).unwrap();
        }
        file
    }

    fn has(file: &tempfile::NamedTempFile, password: &str) -> bool {
        let list = List::open(file.path()).unwrap();
        list.has(&hash(password)).unwrap()
    }

    #[test]
    fn what_is_in_the_list_is_found_and_nothing_else() {
        // A known one: the list in use has it in this form.
        assert_eq!(
            parse(b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8").unwrap(),
            hash("password")
        );
        for count in [1, 2, 3, 10, 1000] {
            let passwords: Vec<_> = (0..count).map(|i| format!("breached-{i}")).collect();
            let forms: [fn(usize, &str) -> String; 4] = [
                |i, digits| format!("{digits}:{}\r\n", i * i),
                |i, digits| format!("{digits}:{}\n", 1_u64 << (i % 30)),
                |_, digits| format!("{}\n", digits.to_lowercase()),
                |i, digits| {
                    if i == 0 {
                        digits.into()
                    } else {
                        format!("\n{digits}:1")
                    }
                },
            ];
            for form in forms {
                let file = list(&passwords, form);
                Breached::open(file.path().to_owned()).unwrap();
                for password in &passwords {
                    assert!(has(&file, password), "{password} of {count}");
                }
                for i in 0..100 {
                    assert!(!has(&file, &format!("other-{i}")));
                }
            }
        }
    }

    #[test]
    fn what_is_no_list_in_order_is_refused() {
        let refused = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            Breached::open(file.path().to_owned()).unwrap_err()
        };
        let (a, f) = ("a".repeat(40), "f".repeat(40));
        for text in [
            "",
            "\n",
            "password\n",
            &format!("{a}0:1\n"),
            &format!("{a}:1\n\n{f}:1\n"),
            &format!("{f}:1\n{a}:1\n"),
            &format!("{}\n", "g".repeat(40)),
            &format!("{}\n", "a".repeat(1000)),
            &"a".repeat(39),
        ] {
            assert!(refused(text).starts_with("breached_file: "), "{text:?}");
        }
        assert!(Breached::open("list".into()).is_err());
        assert!(Breached::open("/nowhere/list".into()).is_err());
        assert!(Breached::open("/".into()).is_err());
    }
}
