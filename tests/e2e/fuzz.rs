//! The fuzz targets are all there: built, replayed, seeded, documented (docs/testing.md).

use std::fs;

use omnigent_tests::repository;

/// Where targets are listed for `cargo test`.
const LISTS: [&str; 6] = [
    "core/server/src/fuzz/mod.rs",
    "core/plugin/src/fuzz.rs",
    "core/cli/src/fuzz.rs",
    "plugins/header/src/fuzz.rs",
    "plugins/htpasswd/src/fuzz.rs",
    "plugins/oidc/src/fuzz.rs",
];

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_fuzz_target_is_replayed_seeded_and_documented() {
    let manifest = read("tests/fuzz/Cargo.toml");
    let (lists, guide) = (LISTS.map(read).concat(), read("docs/testing.md"));
    let sections = manifest.split("[[bin]]").skip(1);
    let name = |section: &str| {
        Some(
            section
                .split_once("name = \"")?
                .1
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    let targets: Vec<_> = sections.filter_map(name).collect();
    assert!(targets.len() >= 10, "{targets:?}");
    for target in &targets {
        let call = format!("::fuzz::{target}(data)");
        assert!(
            read(&format!("tests/fuzz/targets/{target}.rs")).contains(&call),
            "{target}"
        );
        assert!(
            lists.contains(&format!("(\"{target}\", {target})")),
            "{target} is not replayed"
        );
        assert!(
            guide.contains(&format!("`{target}`")),
            "{target} is not in docs/testing.md"
        );
        let seeds = repository().join("tests/fuzz/seeds").join(target);
        let seeds = fs::read_dir(seeds).map(Iterator::count).unwrap_or_default();
        assert!(seeds > 0, "{target} has no seeds");
    }
    // Nothing is replayed that the fuzzer does not know.
    let quoted = lists
        .split("(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    let replayed = quoted.filter(|(name, rest)| rest.starts_with(&format!(", {name})")));
    assert_eq!(replayed.count(), targets.len());
}
