//! The plugin border, proved with plugins built as strangers build them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod bad_files;
mod conformance;
mod misbehaviour;
mod outside;
mod server;
mod versions;

use omnigent_tests::workshop;
