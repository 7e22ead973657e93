//! omnigent's authentication server as a library.
//!
//! Who owns what is in `docs/architecture.md`; each module opens with what it owns, what it
//! leaves to others, and its invariants. Direction of knowledge:
//! `http → login, account, session, token → store`. Only `store` knows sled, only `http` knows
//! warp, only `backend` knows abi_stable and libloading, only `tls` knows rustls, only `clock` reads
//! the time.

pub mod account;
pub mod app;
pub mod archive;
pub mod audit;
pub mod backend;
pub mod clock;
pub mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
pub mod id;
mod known;
pub mod live;
pub mod login;
pub mod metrics;
mod outgoing;
pub mod secret;
mod secret_file;
pub mod session;
pub mod store;
pub mod sweep;
pub mod tables;
pub mod tls;
pub mod token;
pub mod trace;
mod upkeep;
mod uses;
mod webhook;
