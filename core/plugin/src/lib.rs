//! The contract between omnigent's authentication server and its auth backends, and the SDK to
//! write one. A backend says *who somebody is*; the server decides what that means.
//!
//! ```
//! #![forbid(unsafe_code)]
//! use omnigent_plugin::prelude::*;
//!
//! /// What the operator writes into `[backend.<name>]`.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     password: String,
//! }
//!
//! struct OnePassword(Config);
//!
//! impl Backend for OnePassword {
//!     type Config = Config;
//!     async fn open(config: Config, _: Host) -> Result<Self, BackendError> {
//!         Ok(Self(config))
//!     }
//! }
//!
//! impl Login for OnePassword {
//!     async fn begin(&self, _: &LoginRequest) -> Result<Step, BackendError> {
//!         Ok(Step::ask(Form::password()))
//!     }
//!     async fn resume(&self, _: &State, answer: &Answer) -> Result<Step, BackendError> {
//!         if answer.secret("password").expose() != self.0.password {
//!             return Ok(Step::denied("wrong password"));
//!         }
//!         Ok(Step::accept(Identity::new(answer.text("username"))))
//!     }
//! }
//!
//! omnigent_plugin::export_backend!(OnePassword: Login; name = "one-password", title = "One password");
//! ```
//!
//! A backend implements [`Backend`] and the capabilities it has: [`Login`] (a conversation),
//! [`Identify`] (who is this request from), [`Revalidate`] (does this identity still hold),
//! [`Directory`] (create people, set passwords), [`Logout`], [`Health`]. It is compiled as a
//! `cdylib` against any version of this crate with the same major number as the server's.
//!
//! - **Denied is a value, cannot tell is an error.** [`Step::denied`] when the person may not come
//!   in; [`BackendError`] when you could not find out. An error never means "try the next backend".
//! - **`async fn`s run on the plugin's own runtime**, under a deadline of the server's; use tokio,
//!   an HTTP client, an LDAP client. [`Identify`] is synchronous, runs on the server's thread, and
//!   must not block.
//! - **A panic ends its call, not the server**, unless you build with `panic = "abort"`: do not.
//! - **No `unsafe`**: a backend's crate can `#![forbid(unsafe_code)]`.

pub mod abi;
mod backend;
pub mod contract;
mod directory;
mod error;
mod export;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod host;
mod identity;
mod instance;
mod methods;
mod panics;
mod request;
mod runtime;
mod step;

pub use backend::{Backend, Directory, Flow, Health, Identify, Login, Logout, Revalidate};
pub use directory::{Change, DirectoryError, Entry, Expect, KvWrite, Password};
pub use error::BackendError;
#[doc(hidden)]
pub use export::{Exported, reexport};
pub use host::{Host, Kv, Level, Verified};
pub use identity::{Identity, IdentityRef, Standing};
#[doc(hidden)]
pub use methods::Methods;
pub use request::{RequestView, Verdict};
pub use step::{
    Answer, Ended, Field, FieldKind, Form, LoginRequest, LogoutTarget, Purpose, State, Step,
};

/// Everything a backend needs, for one `use`.
pub mod prelude {
    pub use crate::{
        Answer, Backend, BackendError, Change, Directory, DirectoryError, Ended, Entry, Field,
        FieldKind, Flow, Form, Health, Host, Identify, Identity, IdentityRef, Level, Login,
        LoginRequest, Logout, LogoutTarget, Password, Purpose, RequestView, Revalidate, Standing,
        State, Step, Verdict,
    };
}
