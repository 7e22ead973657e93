//! Speaking to a server as somebody: which server, with what credential, and over what.
//!
//! Owns: the address of a server (`address`), what a token can be (`bearer`), the HTTP client (`wire`), the stored logins (`vault`),
//! the server that is meant when none is named (`default_server`), and a fresh credential for one
//! (`credential`). Does not own: what is asked for (the commands).
//!
//! **Invariants:** a credential goes to the origin it is stored for and nowhere else; nothing is
//! followed; nothing but loopback is spoken to in the clear; text of a server is made plain before
//! it is shown.

pub(crate) mod address;
#[cfg(any(test, fuzzing))]
pub(crate) mod address_fuzz;
pub(crate) mod bearer;
pub(crate) mod credential;
pub(crate) mod default_server;
pub(crate) mod refusal;
pub(crate) mod target;
pub(crate) mod vault;
pub(crate) mod wire;

pub(crate) use address::Address;
pub(crate) use bearer::Bearer;
pub(crate) use target::{Target, Which};
pub(crate) use wire::{Answer, Body, Wire};

/// Seconds since 1970, to the millisecond.
pub(crate) fn now() -> f64 {
    let millis = omnigent_server::clock::Clock::system().now().millis();
    // Exact until the year 287396.
    #[allow(clippy::cast_precision_loss)]
    let millis = millis as f64;
    millis / 1000.0
}
