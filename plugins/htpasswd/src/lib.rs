//! Auth backend: a password file as `htpasswd`, Apache and nginx know it. Small on purpose: the one
//! to copy when you write a backend that asks for a name and a password.

#![forbid(unsafe_code)]

mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hash;

use std::{path::PathBuf, sync::Arc};

use omnigent_plugin::{export_backend, prelude::*};
use tokio::sync::Semaphore;

use crate::{file::Watched, hash::Hash};

/// What the operator writes into `[backend.<name>]`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The password file: lines `name:hash`, as `htpasswd -B` writes them. Absolute.
    file: PathBuf,
    /// A group file: lines `group: name name`. Absolute.
    #[serde(default)]
    groups_file: Option<PathBuf>,
}

/// Hashes computed at once: they keep a core busy.
const AT_ONCE: usize = 2;

struct Htpasswd {
    people: Watched,
    host: Host,
    places: Arc<Semaphore>,
}

impl Backend for Htpasswd {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        let people =
            Watched::open(config.file, config.groups_file).map_err(BackendError::misconfigured)?;
        Ok(Self {
            people,
            host,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }
}

impl Login for Htpasswd {
    async fn begin(&self, _: &LoginRequest) -> Result<Step, BackendError> {
        Ok(Step::ask(Form::password()))
    }

    async fn resume(&self, _: &State, answer: &Answer) -> Result<Step, BackendError> {
        let people = self.people.current(&self.host);
        let name = answer.text("username");
        let password = answer.secret("password");
        // Who is not there costs the same work as who is.
        let known = people.hash_of(name);
        let hash = known.or(people.any_hash()).cloned();
        let is_right = self.verify(hash, password).await?;
        match known {
            None => Ok(Step::NotMine),
            Some(_) if !is_right => Ok(Step::denied("wrong password")),
            Some(_) => Ok(Step::accept(Identity {
                username: Some(name.to_owned()),
                groups: people.groups_of(name),
                ..Identity::new(name)
            })),
        }
    }
}

impl Htpasswd {
    async fn verify(&self, hash: Option<Hash>, password: Password) -> Result<bool, BackendError> {
        let hash = match hash {
            None => return Ok(false),
            Some(Hash::Argon2(phc)) => {
                return Ok(self.host.verify_password(&password, Some(&phc)).await?.ok);
            }
            Some(hash) => hash,
        };
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| BackendError::Busy)?;
        let verified = tokio::task::spawn_blocking(move || {
            let _place = place;
            hash.verify(password.expose())
        });
        verified
            .await
            .map_err(|_| BackendError::internal("verifying a password panicked"))
    }
}

impl Revalidate for Htpasswd {
    async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, BackendError> {
        let people = self.people.current(&self.host);
        let name = &identity.subject;
        if people.hash_of(name).is_none() {
            return Ok(Standing::gone("not in the password file any more"));
        }
        Ok(Standing::Holds {
            identity: Some(Identity {
                username: Some(name.clone()),
                groups: people.groups_of(name),
                ..Identity::new(name)
            }),
        })
    }
}

impl Health for Htpasswd {
    async fn health(&self) -> Result<(), BackendError> {
        self.people.current(&self.host);
        self.people
            .trouble()
            .map_or(Ok(()), |trouble| Err(BackendError::unavailable(trouble)))
    }
}

export_backend!(
    Htpasswd: Login, Revalidate, Health;
    name = "htpasswd", title = "Password file"
);
