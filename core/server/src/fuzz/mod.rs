//! The door for fuzzing: each parser that sees hostile bytes, together with what it promises.
//!
//! Owns: the list of targets, and what several of them measure with. Does not: hold the promises;
//! they stand beside the parsers, in the `fuzz` module of each feature. Not part of the library: it
//! is there for the crate's own tests and for `tests/fuzz` (`cfg(fuzzing)`).
//!
//! **Invariant:** a target takes any bytes and returns; a promise that is broken panics.

mod names;
mod node;
mod readings;

pub(crate) use node::Node;
pub(crate) use readings::readings;

pub use names::{user_code, user_name};

pub use crate::{
    archive::fuzz::backup,
    backend::fuzz::{identity, plugin_answer},
    config::fuzz::{config, environment},
    http::fuzz::{body, cookie, forwarded, json, path, proxied, return_to},
    store::fuzz::{export, record},
    token::fuzz::{keyring, scope, token, token_claims},
    trace::fuzz::traceparent,
};

/// All targets, as `tests/fuzz` calls them.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("backup", backup),
    ("body", body),
    ("config", config),
    ("cookie", cookie),
    ("environment", environment),
    ("export", export),
    ("forwarded", forwarded),
    ("identity", identity),
    ("json", json),
    ("keyring", keyring),
    ("path", path),
    ("plugin_answer", plugin_answer),
    ("proxied", proxied),
    ("record", record),
    ("return_to", return_to),
    ("scope", scope),
    ("token", token),
    ("token_claims", token_claims),
    ("traceparent", traceparent),
    ("user_code", user_code),
    ("user_name", user_name),
];

/// A directory of this process's own.
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    let name = format!("omnigent-fuzz-{}-{name}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    assert!(std::fs::create_dir_all(&dir).is_ok(), "no directory");
    dir
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
