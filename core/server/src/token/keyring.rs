//! The keys: what tokens are signed with, and what secrets are hashed with.
//!
//! Owns: `<data_dir>/keyring.json`, mode 0600. Does not: decide how long a token lasts.
//!
//! **Invariants:** a key has one algorithm for ever, and a token does not get to name another; a
//! key is at least 32 bytes and none that is printed in some tutorial; the file is written whole
//! (temporary file, fsync, rename) or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use super::hash::Hasher;
use crate::{id::random_bytes, secret::Secret};

/// The one algorithm there is so far.
pub(super) const HS256: &str = "HS256";

/// The shortest secret, in bytes (RFC 7518 section 3.2).
pub const MIN_SECRET: usize = 32;

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read or have put the file there.
    #[error(
        "{path} must be a regular file of this user that nobody else can read: chmod 600 it, or restore it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a keyring.
    #[error(
        "{path} is not a keyring this version understands: restore it from a backup of the data directory"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The configured secret is too short or well known.
    #[error(
        "the configured token secret is too weak: use 32 random bytes, e.g. `openssl rand -hex 32`"
    )]
    Weak,
}

/// A signing key.
pub struct SigningKey {
    /// Its id (`kid` header member).
    pub kid: Box<str>,
    secret: Secret<Vec<u8>>,
    hmac: hmac::Key,
}

impl SigningKey {
    /// # Errors
    /// [`KeyringError::Weak`].
    fn new(secret: Vec<u8>) -> Result<Self, KeyringError> {
        if is_weak(&secret) {
            return Err(KeyringError::Weak);
        }
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let kid = hex::encode(&hmac::sign(&hmac, b"omnigent kid v1").as_ref()[..8]);
        Ok(Self {
            kid: kid.into(),
            secret: Secret::new(secret),
            hmac,
        })
    }

    /// Whether `signature` is this key's over `signed`.
    pub(super) fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        signature.len() == 32 && hmac::verify(&self.hmac, signed, signature).is_ok()
    }

    pub(super) fn encoding(&self) -> jsonwebtoken::EncodingKey {
        jsonwebtoken::EncodingKey::from_secret(self.secret.expose())
    }
}

/// All keys; the first one signs, all verify.
pub struct Keyring {
    keys: Vec<SigningKey>,
    hash_key: Secret<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    hash_key: String,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    alg: String,
    secret: String,
}

impl Keyring {
    /// The keyring in `dir`, made when there is none. A `configured` secret signs in place of the
    /// stored key, which goes on verifying what it signed.
    ///
    /// # Errors
    /// See [`KeyringError`]; each says what to do.
    pub fn load_or_create(
        dir: &Path,
        configured: Option<&Secret<Vec<u8>>>,
    ) -> Result<Self, KeyringError> {
        let path = dir.join("keyring.json");
        let io = |source| KeyringError::Io {
            path: path.clone(),
            source,
        };
        let malformed = || KeyringError::Malformed { path: path.clone() };
        let stored = match read(&path) {
            Ok(Some(bytes)) => serde_json::from_slice::<Stored>(&bytes).map_err(|_| malformed())?,
            Ok(None) => return Err(KeyringError::Exposed { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let stored = Stored::generate();
                write(
                    &path,
                    &serde_json::to_vec_pretty(&stored).map_err(|_| malformed())?,
                )
                .map_err(io)?;
                stored
            }
            Err(error) => return Err(io(error)),
        };
        if stored.version != 1 || stored.keys.iter().any(|key| key.alg != HS256) {
            return Err(malformed());
        }
        let mut hash_key = [0; 32];
        hex::decode_to_slice(&stored.hash_key, &mut hash_key).map_err(|_| malformed())?;
        let mut keys = Vec::new();
        if let Some(secret) = configured {
            keys.push(SigningKey::new(secret.expose().clone())?);
        }
        for key in &stored.keys {
            keys.push(SigningKey::new(
                hex::decode(&key.secret).map_err(|_| malformed())?,
            )?);
        }
        if keys.is_empty() {
            return Err(malformed());
        }
        Ok(Self {
            keys,
            hash_key: Secret::new(hash_key),
        })
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        // Not empty: `load_or_create` sees to it.
        &self.keys[0]
    }

    /// The key with this id.
    pub fn get(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| &*key.kid == kid)
    }

    /// The hasher of what must not be stored in the clear.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.hash_key.expose())
    }
}

impl Stored {
    fn generate() -> Self {
        let key = StoredKey {
            alg: HS256.into(),
            secret: hex::encode(random_bytes::<32>()),
        };
        Self {
            version: 1,
            hash_key: hex::encode(random_bytes::<32>()),
            keys: vec![key],
        }
    }
}

/// The file's bytes; `None` when it is not ours alone.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits();
    let flags = i32::try_from(nofollow).map_err(io::Error::other)?;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(None);
        }
        file => file?,
    };
    let about = file.metadata()?;
    let is_ours = about.uid() == rustix::process::geteuid().as_raw() || about.uid() == 0;
    if !about.is_file() || about.mode() & 0o077 != 0 || !is_ours {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Too short, known from tutorials, or with hardly any different bytes.
fn is_weak(secret: &[u8]) -> bool {
    const KNOWN: [&[u8]; 4] = [
        b"your-256-bit-secret",
        b"a-string-secret-at-least-256-bits-long",
        b"your-secret-key-at-least-32-bytes-long",
        b"supersecretsupersecretsupersecret",
    ];
    let mut seen = [false; 256];
    secret
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    secret.len() < MIN_SECRET || different < 8 || KNOWN.contains(&secret)
}
