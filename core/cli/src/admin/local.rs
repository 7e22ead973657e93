//! On the data directory itself, when no server uses it.

use omnigent_server::{config::Config, secret::Secret};

use super::{Admin, Change, Row};
use crate::failure::Failure;

/// The opened data directory.
pub(super) struct Local;

impl Local {
    /// Opens the data directory for this process alone.
    pub(super) fn open(config: Config) -> Result<Self, Failure> {
        let directory = config.server.data_dir.display();
        Err(Failure::Failed(format!(
            "no server runs on {directory}: start it first"
        )))
    }
}

impl Admin for Local {
    fn list(&self) -> Result<Vec<Row>, Failure> {
        Err(Failure::Failed("not connected".into()))
    }

    fn add(&self, _: &str, _: Option<&Secret<String>>, _: bool) -> Result<(), Failure> {
        Err(Failure::Failed("not connected".into()))
    }

    fn change(&self, _: &str, _: Change) -> Result<(), Failure> {
        Err(Failure::Failed("not connected".into()))
    }

    fn delete(&self, _: &str) -> Result<(), Failure> {
        Err(Failure::Failed("not connected".into()))
    }

    fn reset_password(&self, _: &str) -> Result<Secret<String>, Failure> {
        Err(Failure::Failed("not connected".into()))
    }
}
