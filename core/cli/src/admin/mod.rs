//! Reaching the accounts: through the running server, or on its data directory when it is down.
//!
//! **Invariant:** one process writes to a data directory. The server's socket is tried first; the
//! directory is opened only when nobody answers there.

mod local;
mod remote;

use omnigent_server::{config::Config, secret::Secret};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// An account as a person sees it: a row of `GET /auth/users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) is_admin: bool,
    #[serde(default)]
    pub(crate) disabled: bool,
    /// Seconds since the epoch, as all times here.
    pub(crate) created_at: Option<u64>,
    pub(crate) last_login_at: Option<u64>,
    #[serde(default)]
    pub(crate) has_password: bool,
}

/// What `PATCH /auth/users/{id}` can change; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Change {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<bool>,
}

/// What an operator does with accounts.
pub(crate) trait Admin {
    /// All accounts, by id.
    fn list(&self) -> Result<Vec<Row>, Failure>;
    /// Makes an account; without a password it can only sign in through another backend.
    fn add(&self, id: &str, password: Option<&Secret<String>>, admin: bool) -> Result<(), Failure>;
    /// Changes an account.
    fn change(&self, id: &str, change: Change) -> Result<(), Failure>;
    /// Deletes an account and everything of theirs.
    fn delete(&self, id: &str) -> Result<(), Failure>;
    /// Gives an account a new password, which is returned, and ends its logins.
    fn reset_password(&self, id: &str) -> Result<Secret<String>, Failure>;
}

/// The way to the accounts of this configuration's data directory.
pub(crate) fn reach(config: Config) -> Result<Box<dyn Admin>, Failure> {
    match remote::Remote::connect(&config.server.data_dir)? {
        Some(remote) => Ok(Box::new(remote)),
        None => Ok(Box::new(local::Local::open(config)?)),
    }
}
