//! Reaching the accounts: through the running server, or on its data directory when it is down.
//!
//! **Invariant:** one process writes to a data directory. The server's socket is tried first; the
//! directory is opened only when nobody answers there.

mod local;
mod remote;

use omnigent_server::config::Config;
use serde::{Deserialize, Serialize};

pub(crate) use remote::Remote as Admin;

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

/// The server that runs on this configuration's data directory, if one does.
pub(crate) fn running(config: &Config) -> Result<Option<Admin>, Failure> {
    Admin::connect(&config.server.data_dir)
}

/// The way to the accounts of this configuration's data directory, which is there already.
pub(crate) fn reach(config: Config) -> Result<Admin, Failure> {
    let data_dir = &config.server.data_dir;
    if !data_dir.join("store").exists() {
        let data_dir = data_dir.display();
        let why = format!("no server has run on {data_dir}: is it the right --data-dir?");
        return Err(Failure::Failed(why));
    }
    reach_or_make(config)
}

/// The same; the data directory is made when it is not there.
pub(crate) fn reach_or_make(config: Config) -> Result<Admin, Failure> {
    if let Some(admin) = Admin::connect(&config.server.data_dir)? {
        return Ok(admin);
    }
    let data_dir = config.server.data_dir.clone();
    let local = local::Local::start(config)?;
    let admin = Admin::connect(&data_dir)?;
    admin
        .map(|admin| admin.with(local))
        .ok_or_else(|| Failure::Failed("the data directory did not open".into()))
}
