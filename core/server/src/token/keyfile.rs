//! The keyring's file: `keyring.json`, mode 0600, in the data directory.
//!
//! **Invariants:** a file that anybody but its owner could read or write, that is not a regular
//! file, or that does not say exactly what we write, is refused and never replaced: a new one would
//! end every login. A reader sees the old file or the new one, whole, also after a power cut. What
//! a killed writer left beside it is removed at the next start, for it holds secrets.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{algorithm::Algorithm, keyerror::KeyringError, signing};
use crate::{clock::Timestamp, id::random_bytes, secret::Secret};

/// Name of the file within the data directory.
pub(super) const NAME: &str = "keyring.json";
const VERSION: u32 = 2;
const MAX_BYTES: u64 = 256 * 1024;

/// Retired keys that are remembered by name.
const REMEMBERED: usize = 32;

/// What the file says.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    version: u32,
    /// 32 bytes in hexadecimal: keys [`super::hash`].
    pub(super) hash_key: String,
    /// What this server calls itself in `iss`, and what it did before: the newest first.
    pub(super) issuers: Vec<String>,
    /// Signing keys, the newest first.
    pub(super) keys: Vec<StoredKey>,
}

/// A signing key as stored. The algorithm stands with the key (RFC 8725 section 3.1).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKey {
    pub(super) kid: String,
    pub(super) alg: Algorithm,
    /// When it was made; absent for keys older than this format. In milliseconds, as all times here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<Timestamp>,
    pub(super) state: State,
    /// Seconds the longest-lived token could have that it signed, API tokens aside.
    pub(super) longest: u64,
    /// In hexadecimal: the bytes of HS256, PKCS#8 of the others. Gone once it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

/// What a stored key is for.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum State {
    /// It signs, unless a configured secret does.
    Signing,
    /// It signed until then, and verifies.
    Verifying { since: Timestamp },
    /// It has done nothing since then.
    Retired { at: Timestamp },
}

impl Contents {
    /// A new hash key and no signing keys.
    pub(super) fn new() -> Self {
        Self {
            version: VERSION,
            hash_key: hex::encode(random_bytes::<32>()),
            issuers: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// The key that signs, if one of the file does.
    pub(super) fn signing(&mut self) -> Option<&mut StoredKey> {
        let mut keys = self.keys.iter_mut();
        keys.find(|key| key.state == State::Signing)
    }

    /// From now on a new key signs; the one that did verifies.
    pub(super) fn renew(&mut self, alg: Algorithm, longest: u64, now: Timestamp) {
        self.stop_signing(now);
        let new = StoredKey {
            kid: hex::encode(random_bytes::<8>()),
            alg,
            created: Some(now),
            state: State::Signing,
            longest,
            secret: Some(hex::encode(signing::generate(alg))),
        };
        self.keys.insert(0, new);
    }

    /// From now on the key that signed only verifies.
    pub(super) fn stop_signing(&mut self, now: Timestamp) {
        if let Some(old) = self.signing() {
            old.state = State::Verifying { since: now };
        }
    }

    /// Takes the key's secret away and remembers its name. The oldest such names are forgotten.
    pub(super) fn retire(&mut self, kid: &str, now: Timestamp) {
        for key in self.keys.iter_mut().filter(|key| key.kid == kid) {
            key.state = State::Retired { at: now };
            key.secret = None;
        }
        let mut retired = 0;
        self.keys.retain(|key| {
            let is_retired = matches!(key.state, State::Retired { .. });
            retired += usize::from(is_retired);
            !is_retired || retired <= REMEMBERED
        });
    }
}

/// The file before keys had a state: the first one signs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    #[serde(rename = "version")]
    _version: u32,
    hash_key: String,
    keys: Vec<FirstKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstKey {
    kid: String,
    alg: Algorithm,
    secret: String,
}

/// What that server called itself.
const FIRST_ISSUER: &str = "omnigent";

impl First {
    /// `longest` as in [`StoredKey`]: what was configured then is what is configured now.
    fn upgrade(self, longest: u64, now: Timestamp) -> Contents {
        let key = |(at, key): (usize, FirstKey)| StoredKey {
            kid: key.kid,
            alg: key.alg,
            created: None,
            state: match at {
                0 => State::Signing,
                _ => State::Verifying { since: now },
            },
            longest,
            secret: Some(key.secret),
        };
        Contents {
            version: VERSION,
            hash_key: self.hash_key,
            issuers: vec![FIRST_ISSUER.to_owned()],
            keys: self.keys.into_iter().enumerate().map(key).collect(),
        }
    }
}

/// Removes what a killed writer left. The caller holds the store's lock: no other writer lives.
pub(super) fn tidy(dir: &Path) -> Result<(), KeyringError> {
    let tidied = || -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(&format!(".{NAME}.")) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    tidied().map_err(|error| KeyringError::Io(dir.to_owned(), error))
}

/// Reads the file, or nothing when there is none. One of the first format comes as of the newest:
/// `longest` and `now` stand in for what it does not say.
pub(super) fn read(
    dir: &Path,
    longest: u64,
    now: Timestamp,
) -> Result<Option<Contents>, KeyringError> {
    let Some(bytes) = read_bytes(dir)? else {
        return Ok(None);
    };
    parse(bytes.expose(), longest, now)
        .map(Some)
        .ok_or_else(|| KeyringError::Damaged(dir.join(NAME)))
}

/// The file's bytes, unread, or nothing when there is none.
pub(super) fn read_bytes(dir: &Path) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    let path = dir.join(NAME);
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // With O_NOFOLLOW a symbolic link is ELOOP.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(KeyringError::NotRegular(path));
        }
        Err(error) => return Err(KeyringError::Io(path, error)),
    };
    check(&file, &path)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| KeyringError::Io(path.clone(), error))?;
    if length as u64 > MAX_BYTES {
        return Err(KeyringError::Damaged(path));
    }
    Ok(Some(Secret::new(bytes)))
}

/// What the bytes say. Nothing else is told: the parser's own message could quote a secret.
pub(super) fn parse(bytes: &[u8], longest: u64, now: Timestamp) -> Option<Contents> {
    #[derive(Deserialize)]
    struct Any {
        version: u32,
    }
    let any: Any = serde_json::from_slice(bytes).ok()?;
    match any.version {
        1 => {
            let first: First = serde_json::from_slice(bytes).ok()?;
            Some(first.upgrade(longest, now))
        }
        VERSION => serde_json::from_slice(bytes).ok(),
        _ => None,
    }
}

/// Checks what was opened, not what the path names by now.
fn check(file: &File, path: &Path) -> Result<(), KeyringError> {
    let found = file.metadata();
    let found = found.map_err(|error| KeyringError::Io(path.into(), error))?;
    let me = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err(KeyringError::NotRegular(path.into()));
    }
    if found.mode() & 0o077 != 0 {
        return Err(KeyringError::Exposed(path.into()));
    }
    if found.uid() != me && found.uid() != 0 {
        return Err(KeyringError::Foreign(path.into()));
    }
    Ok(())
}

/// Replaces the file: a new one beside it, synced, renamed over it, the directory synced.
pub(super) fn write(dir: &Path, contents: &Contents) -> Result<(), KeyringError> {
    let mut text = serde_json::to_vec_pretty(contents)
        .map_err(|error| KeyringError::Io(dir.join(NAME), error.into()))?;
    text.push(b'\n');
    write_bytes(dir, &text)
}

/// The same with what the file is to say already in bytes.
pub(super) fn write_bytes(dir: &Path, text: &[u8]) -> Result<(), KeyringError> {
    let temporary = dir.join(format!(".{NAME}.{}", hex::encode(random_bytes::<8>())));
    let written = write_new(&temporary, text).and_then(|()| {
        fs::rename(&temporary, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    });
    written.map_err(|error| {
        // Best effort: the error matters, the left-over does not. After the rename it is gone.
        drop(fs::remove_file(&temporary));
        KeyringError::Io(PathBuf::from(dir).join(NAME), error)
    })
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
