//! What is decided on bytes, with real keys; each provider here is a real one, on a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod discovery;
mod exchange;
mod facts;
mod github;
mod groups;
mod http;
mod id_token;
mod json;
mod jws;
mod keys;
mod logout;
mod provider;
mod sign_in;
mod signer;
mod site;
mod userinfo;
mod wycheproof;

use serde_json::Value;

use crate::json::Object;

/// The issuer of most tests.
const ISSUER: &str = "https://id.example.com";
/// The client of most tests.
const CLIENT: &str = "omnigent";
/// The time in most tests.
const NOW: i64 = 1_800_000_000;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}
