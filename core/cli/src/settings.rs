//! Which configuration a command works with.

use std::path::PathBuf;

use omnigent_server::config::{Config, Env, Overrides, Problem};

use crate::failure::Failure;

/// Options of every command that needs a configuration.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Settings {
    /// Configuration file; without one, defaults and environment
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Directory of everything that must survive
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<String>,
}

impl Settings {
    /// The configuration, with `listen` on top if given.
    pub(crate) fn load(&self, listen: Option<&str>) -> Result<Config, Failure> {
        self.read(listen).map_err(Failure::Config)
    }

    /// As [`Settings::load`], with its faults.
    pub(crate) fn read(&self, listen: Option<&str>) -> Result<Config, Vec<Problem>> {
        let overrides = Overrides {
            listen: listen.map(str::to_owned),
            data_dir: self.data_dir.clone(),
        };
        Config::load(self.config.as_deref(), &Env::of_process(), &overrides)
    }
}
