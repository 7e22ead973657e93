//! What the end-to-end tests share: a real server process and a client that shows everything.
//!
//! The tests start the built `omnigent` binary and the plugins beside it, so build first:
//! `cargo build --workspace` (`scripts/test` does).

pub mod browser;
pub mod certificate;
mod client;
pub mod collector;
pub mod fuzz;
pub mod idp;
pub mod proxy;
pub mod rogue;
mod server;
pub mod slapd;
pub mod terminal;
pub mod workshop;

pub use client::{Answer, Client};
pub use server::{Server, ServerBuilder, binary, operate, operator_command, repository};

/// The password test accounts have.
pub const PASSWORD: &str = "tidal-Orchid-77-lantern";

/// How often a test kills what it started: `usual`, or as often as `OMNIGENT_TEST_KILLS` says
/// (docs/operations.md has the long run).
pub fn kills(usual: u64) -> u64 {
    let told = std::env::var("OMNIGENT_TEST_KILLS").ok();
    told.map_or(usual, |told| {
        told.parse().expect("OMNIGENT_TEST_KILLS is a number")
    })
}
