//! The store when its process dies, its disk lies or its files are damaged. Each test starts this
//! same binary again as a child, because an engine reopened within one process proves little.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod child;
mod damage;
mod disk;
mod kill;
mod powercut;
