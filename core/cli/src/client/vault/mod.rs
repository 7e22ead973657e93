//! The stored logins: `auth_tokens.json`, the original's file, read and written as it does.
//!
//! Owns: where the file is, and what is in it by server. `format` knows its text, `disk` what may
//! be trusted of the file system.
//!
//! **Invariants:** nothing is read from a file that others could have written or read; every change
//! is made under the lock, to what the file says then; what we do not know in it stays.

pub(super) mod disk;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::path::PathBuf;

use disk::Dir;
use format::{Members, number, text};

use super::{Address, Bearer, default_server::set_variable};
use crate::failure::Failure;

const FILE: &str = "auth_tokens.json";
const LOCK: &str = "auth_tokens.lock";

/// A stored login.
pub(crate) struct Login {
    /// The access token.
    pub(crate) token: Bearer,
    /// Whose it is, as the server said.
    pub(crate) user_id: Option<String>,
    /// When it ends, in seconds since 1970; `None` when the file does not say in numbers.
    pub(crate) expires_at: Option<f64>,
    /// What it is renewed with.
    pub(crate) refresh_token: Option<Bearer>,
}

impl Login {
    /// Whether it has more than `margin` seconds to live.
    pub(crate) fn lasts(&self, now: f64, margin: f64) -> bool {
        self.expires_at.is_none_or(|at| at - now > margin)
    }
}

/// The directory with the stored logins.
pub(crate) struct Vault(Dir);

/// The same, while nobody else changes it.
pub(crate) struct Locked<'a> {
    vault: &'a Vault,
    _lock: disk::Lock,
}

impl Vault {
    /// The directory, if it is there.
    pub(crate) fn open() -> Result<Option<Self>, Failure> {
        let Some(path) = path() else { return Ok(None) };
        Ok(Dir::open(&path).map_err(Failure::Failed)?.map(Self))
    }

    /// The directory, made if need be.
    pub(crate) fn make() -> Result<Self, Failure> {
        let path = path().ok_or_else(|| {
            Failure::Failed("no home directory: set OMNIGENT_DATA_DIR or HOME".into())
        })?;
        Dir::make(&path).map(Self).map_err(Failure::Failed)
    }

    /// The login to `server`.
    pub(crate) fn get(&self, server: &Address) -> Result<Option<Login>, Failure> {
        let all = self.read()?;
        let Some(key) = key(&all, server) else {
            return Ok(None);
        };
        Ok(all.members(&key).and_then(|entry| login(&entry)))
    }

    /// The servers there are entries of, as they are written.
    pub(crate) fn servers(&self) -> Result<Vec<String>, Failure> {
        Ok(self.read()?.names().map(str::to_owned).collect())
    }

    /// Keeps everybody else from changing it.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, Failure> {
        let lock = self.0.lock(LOCK).map_err(Failure::Failed)?;
        Ok(Locked {
            vault: self,
            _lock: lock,
        })
    }

    fn read(&self) -> Result<Members, Failure> {
        let Some(bytes) = self.0.read(FILE).map_err(Failure::Failed)? else {
            return Ok(Members::default());
        };
        Members::parse(&bytes).map_err(|error| {
            Failure::Failed(format!(
                "{} is damaged ({error}): move it away and sign in again",
                self.0.path(FILE).display()
            ))
        })
    }
}

impl Locked<'_> {
    /// As [`Vault::get`].
    pub(crate) fn get(&self, server: &Address) -> Result<Option<Login>, Failure> {
        self.vault.get(server)
    }

    /// Stores a login.
    pub(crate) fn put(&self, server: &Address, login: &Login) -> Result<(), Failure> {
        let mut all = self.vault.read()?;
        let key = key(&all, server).unwrap_or_else(|| server.key().to_owned());
        // An entry without a token is of another kind, and gives way as a whole.
        let old = all.members(&key).filter(|old| old.get("token").is_some());
        let mut entry = old.unwrap_or_default();
        entry.set("token", &format::quote(login.token.expose()));
        entry.set(
            "user_id",
            &format::quote(login.user_id.as_deref().unwrap_or_default()),
        );
        entry.set(
            "expires_at",
            &format::float(login.expires_at.unwrap_or(FOR_EVER)),
        );
        match &login.refresh_token {
            Some(refresh) => entry.set("refresh_token", &format::quote(refresh.expose())),
            None => entry.remove("refresh_token"),
        }
        all.set(&key, &entry.indented(1));
        self.write(&all)
    }

    /// Forgets a login.
    pub(crate) fn remove(&self, server: &Address) -> Result<(), Failure> {
        let mut all = self.vault.read()?;
        match key(&all, server) {
            Some(key) => all.remove(&key),
            None => return Ok(()),
        }
        self.write(&all)
    }

    fn write(&self, all: &Members) -> Result<(), Failure> {
        let text = all.indented(0);
        let written = self.vault.0.replace(FILE, text.as_bytes());
        written.map_err(Failure::Failed)
    }
}

/// The end of the year 9999: for tokens that do not end.
const FOR_EVER: f64 = 253_402_300_799.0;

/// `$OMNIGENT_DATA_DIR`, or else `~/.omnigent`.
fn path() -> Option<PathBuf> {
    if let Some(dir) = set_variable("OMNIGENT_DATA_DIR") {
        return Some(dir.into());
    }
    Some(PathBuf::from(set_variable("HOME")?).join(".omnigent"))
}

/// The key of a server's entry: as we write it, or another spelling of the same address.
fn key(all: &Members, server: &Address) -> Option<String> {
    if all.get(server.key()).is_some() {
        return Some(server.key().to_owned());
    }
    let same = |name: &&str| Address::parse(name).is_ok_and(|address| address == *server);
    all.names().find(same).map(str::to_owned)
}

fn login(entry: &Members) -> Option<Login> {
    let bearer = |name| entry.get(name).and_then(text).and_then(Bearer::parse);
    let expires_at = match entry.get("expires_at") {
        None => Some(0.0),
        Some(value) => number(value),
    };
    Some(Login {
        token: bearer("token")?,
        user_id: entry.get("user_id").and_then(text),
        expires_at,
        refresh_token: bearer("refresh_token"),
    })
}

#[cfg(test)]
mod tests;
