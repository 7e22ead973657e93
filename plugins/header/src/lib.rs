//! Auth backend: a proxy in front of the server has authenticated the person, and says in a header
//! who it is (CONTRACT section 7, THREATS section 4).

#![forbid(unsafe_code)]

mod config;
mod plain;

use omnigent_plugin::{export_backend, prelude::*};

use crate::{config::Config, plain::Plain};

struct Header {
    plain: Plain,
}

impl Backend for Header {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        Ok(Self {
            plain: Plain::new(config, host)?,
        })
    }
}

impl Identify for Header {
    fn identify(&self, request: &RequestView<'_>) -> Result<Verdict, BackendError> {
        Ok(self.plain.read(request))
    }
}

export_backend!(Header: Identify; name = "header", title = "Identity-aware proxy");
