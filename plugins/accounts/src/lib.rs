//! The accounts backend: user name and password, kept in the server's own store.
//!
//! Owns: one record per person under `user/<name>` in its key-value namespace, holding an Argon2id
//! PHC string. Does not: know accounts, tokens or HTTP; hash by itself (the server's one bounded
//! pool does, so that sign-ins never starve requests).
//!
//! **Invariants:** an unknown name costs as much as a wrong password; a password is stored only as
//! a hash, and re-hashed at the configured cost when its owner signs in.

mod breached;
mod policy;

use std::path::PathBuf;

use omnigent_plugin::{
    Answer, Backend, BackendError, Change, Directory, DirectoryError, Entry, Form, Host, Identity,
    Login, LoginRequest, Password, State, Step, export_backend,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use breached::Breached;

/// What the operator writes into `[backend.<name>]`. The cost of a hash is the server's (`[passwords]`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Passwords that nobody may choose, besides the common ones: SHA-1 hashes in rising order, as Have I Been
    /// Pwned gives them out. Absolute.
    #[serde(default)]
    breached_file: Option<PathBuf>,
}

/// What whoever chose one is told.
const BREACHED: &str = "this password is in a list of passwords from breaches; choose another one";

/// One configured instance.
pub struct Accounts {
    host: Host,
    breached: Option<Breached>,
}

/// What is kept of a person.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The Argon2id hash in PHC form.
    phc: String,
}

impl Backend for Accounts {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        let breached = config.breached_file.map(Breached::open).transpose();
        Ok(Self {
            host,
            breached: breached.map_err(BackendError::misconfigured)?,
        })
    }
}

impl Login for Accounts {
    async fn begin(&self, _: &LoginRequest) -> Result<Step, BackendError> {
        Ok(Step::ask(Form::password()))
    }

    async fn resume(&self, _: &State, answer: &Answer) -> Result<Step, BackendError> {
        let name = normalised(answer.text("username"));
        let password = answer.secret("password");
        let stored = self.read(&name).await?;
        let phc = stored.as_ref().map(|(_, record)| record.phc.as_str());
        let verified = self.host.verify_password(&password, phc).await?;
        // An unknown name took as long as a wrong password, and is told alike in the end.
        let Some((bytes, _)) = stored else {
            return Ok(Step::NotMine);
        };
        if !verified.ok {
            return Ok(Step::denied("wrong password"));
        }
        if verified.needs_rehash {
            // Losing this race to another sign-in or a password change is fine: theirs is as good.
            let upgraded = encode(&self.host.hash_password(&password).await?)?;
            self.host
                .kv()
                .compare_and_swap(&key(&name), Some(&bytes), Some(&upgraded))
                .await?;
        }
        Ok(Step::accept(Identity::new(name)))
    }
}

impl Directory for Accounts {
    async fn create(&self, name: &str, password: &Password) -> Result<Change, DirectoryError> {
        let name = normalised(name);
        self.accept(&name, password).await?;
        if self.read(&name).await?.is_some() {
            return Err(DirectoryError::Taken);
        }
        let record = encode(&self.host.hash_password(password).await?)?;
        Ok(Change::new(Identity::new(name.clone())).insert(key(&name), record))
    }

    async fn set_password(&self, subject: &str, new: &Password) -> Result<Change, DirectoryError> {
        let (old, _) = self.read(subject).await?.ok_or(DirectoryError::NotFound)?;
        self.replace(subject, old, new).await
    }

    async fn change_password(
        &self,
        subject: &str,
        old: &Password,
        new: &Password,
    ) -> Result<Change, DirectoryError> {
        let (bytes, record) = self
            .read(subject)
            .await?
            .ok_or(DirectoryError::NoPassword)?;
        if !self.host.verify_password(old, Some(&record.phc)).await?.ok {
            return Err(DirectoryError::WrongPassword);
        }
        self.replace(subject, bytes, new).await
    }

    async fn remove(&self, subject: &str) -> Result<Change, DirectoryError> {
        Ok(Change::new(Identity::new(subject)).remove(key(subject)))
    }

    async fn describe(&self, subjects: &[String]) -> Result<Vec<Entry>, DirectoryError> {
        let mut entries = Vec::with_capacity(subjects.len());
        for subject in subjects {
            entries.push(Entry {
                has_password: self.host.kv().get(&key(subject)).await?.is_some(),
            });
        }
        Ok(entries)
    }
}

impl Accounts {
    /// The person's record, as stored and as read.
    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, Record)>, BackendError> {
        let Some(bytes) = self.host.kv().get(&key(name)).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&bytes).map_err(|e| {
            BackendError::internal(format!("the record of {name:?} cannot be read: {e}"))
        })?;
        Ok(Some((bytes, record)))
    }

    /// Whether `password` may be chosen by `name`.
    async fn accept(&self, name: &str, password: &Password) -> Result<(), DirectoryError> {
        if let Some(reason) = policy::refusal(name, password.expose()) {
            return Err(DirectoryError::refused(reason));
        }
        match &self.breached {
            Some(list) if list.has(password.expose()).await? => {
                Err(DirectoryError::refused(BREACHED))
            }
            _ => Ok(()),
        }
    }

    async fn replace(
        &self,
        subject: &str,
        old: Vec<u8>,
        new: &Password,
    ) -> Result<Change, DirectoryError> {
        self.accept(subject, new).await?;
        let record = encode(&self.host.hash_password(new).await?)?;
        Ok(Change::new(Identity::new(subject)).replace(key(subject), old, record))
    }
}

/// As the core writes account names: trimmed, lower-case. What is not ASCII is left as it is and
/// matches nobody, because no account has such a name.
fn normalised(name: &str) -> String {
    name.trim_matches(|c: char| c.is_ascii_whitespace())
        .to_ascii_lowercase()
}

/// Names outside the grammar may be long: what cannot be a name is no key either.
fn key(name: &str) -> String {
    format!("user/{name}").chars().take(200).collect()
}

fn encode(phc: &str) -> Result<Vec<u8>, BackendError> {
    serde_json::to_vec(&Record {
        phc: phc.to_owned(),
    })
    .map_err(|e| BackendError::internal(e.to_string()))
}

export_backend!(Accounts: Login, Directory; name = "accounts", title = "User name and password");
