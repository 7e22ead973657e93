//! The keyring's file: `keyring.json`, mode 0600, in the data directory.
//!
//! **Invariants:** a file that anybody but its owner could read or write, that is not a regular
//! file, or that does not say exactly what we write, is refused and never replaced: a new one would
//! end every login. A reader sees the old file or the new one, whole, also after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::keyring::KeyringError;
use crate::id::random_bytes;

/// Name of the file within the data directory.
pub(super) const NAME: &str = "keyring.json";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 256 * 1024;

/// What the file says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    version: u32,
    /// 32 bytes in hexadecimal: keys [`super::hash`].
    pub(super) hash_key: String,
    /// Signing keys, the one that signs first.
    pub(super) keys: Vec<StoredKey>,
}

/// A signing key as stored. The algorithm stands with the key (RFC 8725 section 3.1).
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKey {
    pub(super) kid: String,
    pub(super) alg: String,
    /// In hexadecimal.
    pub(super) secret: String,
}

impl Contents {
    /// A new hash key and no signing keys.
    pub(super) fn new() -> Self {
        Self {
            version: VERSION,
            hash_key: hex::encode(random_bytes::<32>()),
            keys: Vec::new(),
        }
    }
}

impl StoredKey {
    /// A new random HS256 key.
    pub(super) fn random() -> Self {
        Self {
            kid: hex::encode(random_bytes::<8>()),
            alg: "HS256".into(),
            secret: hex::encode(random_bytes::<32>()),
        }
    }
}

/// Reads the file, or nothing when there is none.
pub(super) fn read(dir: &Path) -> Result<Option<Contents>, KeyringError> {
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
    parse(&bytes).map(Some).ok_or(KeyringError::Damaged(path))
}

/// Reads what the file says. Nothing else is told: the parser's own message could quote a secret.
pub(super) fn parse(bytes: &[u8]) -> Option<Contents> {
    let contents = serde_json::from_slice::<Contents>(bytes).ok()?;
    (contents.version == VERSION).then_some(contents)
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
    let temporary = dir.join(format!(".{NAME}.{}", hex::encode(random_bytes::<8>())));
    let written = write_new(&temporary, contents).and_then(|()| {
        fs::rename(&temporary, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    });
    written.map_err(|error| {
        // Best effort: the error matters, the left-over does not. After the rename it is gone.
        drop(fs::remove_file(&temporary));
        KeyringError::Io(PathBuf::from(dir).join(NAME), error)
    })
}

fn write_new(path: &Path, contents: &Contents) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut text = serde_json::to_vec_pretty(contents)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()
}
