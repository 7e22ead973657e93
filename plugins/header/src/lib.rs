//! Auth backend: a proxy in front of the server has authenticated the person, and says in a header
//! who it is, plainly or signed (CONTRACT section 7, THREATS section 4).

#![forbid(unsafe_code)]

mod assertion;
mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod keys;
mod plain;
mod signed;

use omnigent_plugin::{export_backend, prelude::*};

use crate::{config::Config, plain::Plain, signed::Signed};

enum Header {
    Plain(Box<Plain>),
    Signed(Box<Signed>),
}

impl Backend for Header {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        Ok(match config.assertion {
            None => Self::Plain(Box::new(Plain::new(config, host)?)),
            Some(kind) => Self::Signed(Box::new(Signed::new(kind, config, host)?)),
        })
    }
}

impl Identify for Header {
    fn identify(&self, request: &RequestView<'_>) -> Result<Verdict, BackendError> {
        match self {
            Self::Plain(plain) => Ok(plain.read(request)),
            Self::Signed(signed) => signed.read(request),
        }
    }
}

impl Health for Header {
    async fn health(&self) -> Result<(), BackendError> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Signed(signed) => signed.health(),
        }
    }
}

export_backend!(Header: Identify, Health; name = "header", title = "Identity-aware proxy");
