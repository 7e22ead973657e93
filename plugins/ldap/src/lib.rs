//! Auth backend: an LDAP directory says who somebody is, and takes their password.

#![forbid(unsafe_code)]

mod config;
mod directory;
mod filter;

use omnigent_plugin::{export_backend, prelude::*};

use crate::{
    config::Config,
    directory::{Directory, Verdict as Found},
};

struct Ldap {
    directory: Directory,
}

impl Backend for Ldap {
    type Config = Config;

    async fn open(config: Config, _: Host) -> Result<Self, BackendError> {
        Ok(Self {
            directory: Directory::new(config.check()?)?,
        })
    }
}

impl Login for Ldap {
    async fn begin(&self, _: &LoginRequest) -> Result<Step, BackendError> {
        Ok(Step::ask(Form::password()))
    }

    async fn resume(&self, _: &State, answer: &Answer) -> Result<Step, BackendError> {
        let password = answer.secret("password");
        let found = self
            .directory
            .sign_in(answer.text("username"), password.expose());
        Ok(match found.await? {
            Found::Person(identity) => Step::accept(*identity),
            Found::Unknown => Step::NotMine,
            Found::Denied(reason) => Step::denied(reason),
        })
    }
}

impl Revalidate for Ldap {
    async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, BackendError> {
        match self.directory.by_subject(&identity.subject).await {
            Ok(Found::Person(identity)) => Ok(Standing::Holds {
                identity: Some(*identity),
            }),
            Ok(Found::Unknown) => Ok(Standing::gone("not in the directory any more")),
            Ok(Found::Denied(reason)) => Ok(Standing::gone(reason)),
            // Without a base to search in, nothing can be asked without the password.
            Err(BackendError::NotSupported) => Ok(Standing::holds()),
            Err(error) => Err(error),
        }
    }
}

impl Health for Ldap {
    async fn health(&self) -> Result<(), BackendError> {
        self.directory.health().await
    }
}

export_backend!(
    Ldap: Login, Revalidate, Health;
    name = "ldap", title = "LDAP directory"
);
