//! The walls of the house (docs/architecture.md): who may know what.

use std::{
    fs,
    path::{Path, PathBuf},
};

use omnigent_tests::repository;

/// Every Rust file below `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text");
            found.push((path, text));
        }
    }
    found
}

/// The lines of code, without comments and without the tests at the end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate();
    lines
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn each_dependency_has_one_home() {
    let server = repository().join("core/server/src");
    let homes = [
        ("warp::", "http/"),
        ("sled::", "store/"),
        ("abi_stable::", "backend/"),
        ("libloading::", "backend/"),
        ("jsonwebtoken::", "token/"),
        ("toml::", "config/"),
        ("prometheus::", "metrics/"),
        ("rustls::", "tls.rs"),
        ("SystemTime::now", "clock.rs"),
        ("reqwest::", "outgoing.rs webhook.rs trace/send.rs"),
        ("opentelemetry_proto::", "trace/wire.rs"),
        ("prost::", "trace/wire.rs"),
    ];
    let mut trespassers = Vec::new();
    for (path, text) in sources(&server) {
        let place = path
            .strip_prefix(&server)
            .expect("inside")
            .display()
            .to_string();
        for (line, code) in code(&text) {
            for (what, home) in homes {
                let mut homes = home.split(' ');
                if code.contains(what) && !homes.any(|home| place.starts_with(home)) {
                    trespassers.push(format!(
                        "{place}:{line} uses {what}, which belongs to {home}"
                    ));
                }
            }
        }
    }
    assert!(trespassers.is_empty(), "{}", trespassers.join("\n"));
}

#[test]
fn the_domain_does_not_know_http() {
    let server = repository().join("core/server/src");
    let mut trespassers = Vec::new();
    for place in [
        "account", "audit", "login", "session", "token", "store", "backend", "config", "trace",
    ] {
        for (path, text) in sources(&server.join(place)) {
            for (line, code) in code(&text) {
                if code.contains("crate::http")
                    || code.contains("use http::")
                    || code.contains("hyper")
                {
                    trespassers.push(format!("{}:{line} {}", path.display(), code.trim()));
                }
            }
        }
    }
    assert!(trespassers.is_empty(), "{}", trespassers.join("\n"));
}

#[test]
fn unsafe_code_stays_where_the_binary_border_is() {
    let allowed = [
        "core/plugin/src/abi.rs",
        "core/plugin/src/export.rs",
        "core/server/src/backend/load.rs",
    ];
    let mut trespassers = Vec::new();
    for folder in ["core", "plugins"] {
        for (path, text) in sources(&repository().join(folder)) {
            let place = path
                .strip_prefix(repository())
                .expect("inside")
                .display()
                .to_string();
            let is_unsafe = code(&text).any(|(_, line)| {
                line.contains("unsafe {")
                    || line.contains("unsafe fn")
                    || line.contains("unsafe impl")
            });
            if is_unsafe && !allowed.contains(&place.as_str()) {
                trespassers.push(place);
            }
        }
    }
    assert!(trespassers.is_empty(), "{}", trespassers.join("\n"));
}

#[test]
fn the_server_names_no_plugin() {
    for (path, text) in sources(&repository().join("core/server/src/backend")) {
        for (line, code) in code(&text) {
            assert!(
                !code.contains("\"accounts\""),
                "{}:{line} {code}",
                path.display()
            );
        }
    }
}

#[test]
fn files_are_small_or_explain_themselves() {
    let mut long = Vec::new();
    for folder in ["core", "plugins"] {
        for (path, text) in sources(&repository().join(folder)) {
            if !is_test(&path) && code(&text).count() > 400 && !text.contains("Long because") {
                long.push(format!("{}: {} lines", path.display(), code(&text).count()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "split these, or say `Long because …` in their module doc:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_module_says_what_it_owns() {
    let server = repository().join("core/server/src");
    let silent: Vec<_> = sources(&server)
        .into_iter()
        .filter(|(path, text)| !is_test(path) && !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no module doc: {}", silent.join(", "));
}

#[test]
fn the_top_level_is_what_it_should_be() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "core",
        "plugins",
        "config",
        "tests",
        "scripts",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs",
        "deny.toml",
        "rustfmt.toml",
        "target",
        "clients",
    ];
    for entry in fs::read_dir(repository()).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
}
