//! Requests of the server's own, to addresses that are in its configuration.
//!
//! **Invariants:** redirects are not followed and no proxy is asked; what went wrong is said without the
//! address, which may hold a secret.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, Error, redirect::Policy};

/// A client whose requests end within `within`, however the answer drips.
pub(crate) fn client(within: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .timeout(within)
        .user_agent(concat!("omnigent/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
}

/// What went wrong.
pub(crate) fn words(error: &Error) -> &'static str {
    match error {
        e if e.is_timeout() => "it does not answer in time",
        e if e.is_connect() => "it cannot be reached",
        _ => "it cannot be spoken to",
    }
}
