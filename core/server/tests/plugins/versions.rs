//! Plugins built against other versions of the contract are loaded, or refused in one line.

use omnigent_server::backend::{LoadError, OpenError};
use serde_json::json;

use crate::{
    server::{at, refusal, sign_in, with_backends},
    workshop::built_against,
};

const CONTRACT: &str = "VERSION: (u32, u32) = (1, 0)";
const CRATE: &str = "version = \"1.0.0\"";

fn works(file: &std::path::Path) {
    let config = json!({"people": {"bob": "hunter2"}});
    with_backends(vec![at("outside", file, config)], async |bench| {
        let failures: Vec<_> = bench
            .backends
            .failures()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(failures.is_empty(), "{failures:?}");
        let backend = bench.backends.get("outside").unwrap();
        assert!(sign_in(backend, "bob", "hunter2").await.is_some());
        assert!(sign_in(backend, "bob", "hunter3").await.is_none());
        backend.health().await.unwrap();
    });
}

/// Built on 2026-11-23 with `omnigent-plugin` 1.0.0 and rustc 1.95 from `outside.rs` as it was
/// (`opt-level = "z"`, stripped), and kept. It is never built again: when it does not load any
/// more, the contract is broken, whatever its version says.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
#[test]
fn a_plugin_kept_from_an_earlier_build_is_loaded() {
    let kept = omnigent_tests::repository().join("tests/fixtures/plugins/kept-1.0.so");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kept.so");
    // A copy: how a checkout sets modes is the umask's business.
    std::fs::write(&file, std::fs::read(kept).unwrap()).unwrap();
    works(&file);
}

#[test]
fn a_plugin_of_an_older_contract_is_loaded() {
    works(&built_against(
        "older",
        &[
            (
                "src/contract.rs",
                "    /// The compiler it was built with.\n    pub rustc: String,\n",
                "",
            ),
            (
                "src/contract.rs",
                "    /// The key to list after.\n    pub after: Option<String>,\n",
                "",
            ),
            (
                "src/instance.rs",
                "            rustc: env!(\"OMNIGENT_RUSTC\").into(),\n",
                "",
            ),
            ("src/host.rs", "            after,\n", ""),
            (
                "src/host.rs",
                "after: Option<String>,",
                "_: Option<String>,",
            ),
            (
                "src/step.rs",
                "    /// What for.\n    pub purpose: Purpose,\n",
                "",
            ),
        ],
    ));
}

#[test]
fn a_plugin_of_a_newer_contract_is_loaded() {
    works(&built_against(
        "newer",
        &[
            ("Cargo.toml", CRATE, "version = \"1.9.0\""),
            ("src/contract.rs", CONTRACT, "VERSION: (u32, u32) = (1, 9)"),
            (
                "src/contract.rs",
                "    pub sdk: String,\n",
                "    pub sdk: String,\n    pub licence: String,\n",
            ),
            (
                "src/instance.rs",
                "            sdk: ",
                "            licence: \"MIT\".into(),\n            sdk: ",
            ),
            (
                "src/step.rs",
                "pub struct Form {\n",
                "pub struct Form {\n    pub theme: Option<String>,\n",
            ),
            // The root and the instance can do more, behind what is frozen.
            (
                "src/abi.rs",
                "    ) -> FfiFuture<RResult<BackendObject, RVec<u8>>>,\n",
                "    ) -> FfiFuture<RResult<BackendObject, RVec<u8>>>,\n    pub later: extern \"C\" fn() -> u32,\n",
            ),
            (
                "src/abi.rs",
                "    fn shutdown(&self);\n",
                "    fn shutdown(&self);\n    fn later(&self) -> u32 { 7 }\n",
            ),
            (
                "src/export.rs",
                "            fn root()",
                "            extern \"C\" fn later() -> u32 { 7 }\n            fn root()",
            ),
            (
                "src/export.rs",
                "{ manifest, open }",
                "{ manifest, open, later }",
            ),
        ],
    ));
}

#[test]
fn a_plugin_of_another_major_contract_is_refused_with_both_versions() {
    let file = built_against(
        "major",
        &[
            ("Cargo.toml", CRATE, "version = \"2.0.0\""),
            ("src/contract.rs", CONTRACT, "VERSION: (u32, u32) = (2, 0)"),
        ],
    );
    let error = refusal(at("outside", &file, json!({"people": {}})));
    assert!(matches!(
        error,
        OpenError::Load(LoadError::OtherContract { .. })
    ));
    assert_eq!(
        error.to_string(),
        "speaks plugin contract 2.0.0, this server speaks 1.0.0; rebuild the plugin against omnigent-plugin 1.0.0"
    );
}

#[test]
fn a_plugin_that_hides_another_major_contract_in_its_manifest_is_refused() {
    let file = built_against(
        "liar",
        &[("src/contract.rs", CONTRACT, "VERSION: (u32, u32) = (2, 0)")],
    );
    let error = refusal(at("outside", &file, json!({"people": {}})));
    assert!(
        matches!(error, OpenError::Load(LoadError::OtherContract { .. })),
        "{error}"
    );
}

#[test]
fn a_plugin_of_another_layout_is_refused_in_one_line() {
    let file = built_against(
        "layout",
        &[
            (
                "src/abi.rs",
                "pub struct FfiHeader<'a> {\n",
                "pub struct FfiHeader<'a> {\n    pub colour: u64,\n",
            ),
            (
                "src/abi.rs",
                "            name: RStr::from_str(name),\n",
                "            name: RStr::from_str(name),\n            colour: 7,\n",
            ),
        ],
    );
    let error = refusal(at("outside", &file, json!({"people": {}})));
    assert!(
        matches!(error, OpenError::Load(LoadError::OtherLayout { .. })),
        "{error}"
    );
}
