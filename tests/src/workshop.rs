//! Builds the fixture plugins as their authors would: a workspace of their own, outside this
//! repository's tree and target folder, against the SDK by path.
//!
//! The folder stays between runs, so that only the first run builds the SDK's dependencies.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::repository;

/// The folder with the libraries of the fixtures in `tests/fixtures/plugins`.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sdk = repository().join("core/plugin");
        let garbage = ("garbage", "garbage.rs", "");
        let keeper = ("keeper", "outside.rs", "default = [\"keeper\"]");
        let mute = ("mute", "garbage.rs", "default = [\"mute\"]");
        build(
            "today",
            &sdk,
            &[
                ("outside", "outside.rs", ""),
                ("misbehaving", "misbehaving.rs", ""),
                ("panicky", "panicky.rs", ""),
                ("asking", "asking.rs", ""),
                keeper,
                garbage,
                mute,
            ],
        )
    })
}

/// `outside.rs` built against a copy of the SDK in which `edits` replace texts: file, old, new.
pub fn built_against(name: &str, edits: &[(&str, &str, &str)]) -> PathBuf {
    let copy = workshop().join(format!("sdk-{name}"));
    let root = repository().join("Cargo.toml");
    let manifest = fs::read_to_string(root).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once("\n]").unwrap();
    write(
        &copy.join("Cargo.toml"),
        &format!("{before}members = [\"core/plugin\"]{after}"),
    );
    let sdk = copy.join("core/plugin");
    for file in ["Cargo.toml", "build.rs"] {
        write(&sdk.join(file), &edited(file, edits));
    }
    for entry in fs::read_dir(repository().join("core/plugin/src")).unwrap() {
        let file = format!("src/{}", entry.unwrap().file_name().to_str().unwrap());
        write(&sdk.join(&file), &edited(&file, edits));
    }
    build(name, &sdk, &[(name, "outside.rs", "")]).join(format!("libomnigent_auth_{name}.so"))
}

/// A library made by the C compiler.
pub fn compiled(name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let folder = workshop().join("c");
    write(&folder.join(format!("{name}.c")), source);
    let library = folder.join(format!("lib{name}.so"));
    let mut cc = Command::new("cc");
    cc.current_dir(&folder)
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library);
    run(cc.arg(format!("{name}.c")).args(arguments));
    library
}

fn edited(file: &str, edits: &[(&str, &str, &str)]) -> String {
    let mut text = fs::read_to_string(repository().join("core/plugin").join(file)).unwrap();
    for (_, old, new) in edits.iter().filter(|(of, ..)| *of == file) {
        assert!(text.contains(old), "{file} has no {old:?} to replace");
        text = text.replace(old, new);
    }
    text
}

/// Builds crates of one source file each; the name, the file, and what is in `[features]`.
fn build(workspace: &str, sdk: &Path, crates: &[(&str, &str, &str)]) -> PathBuf {
    let folder = workshop().join(workspace);
    let members: Vec<_> = crates.iter().map(|(name, ..)| *name).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n[profile.dev]\ndebug = false\n"
    );
    write(&folder.join("Cargo.toml"), &workspace);
    if !folder.join("Cargo.lock").exists() {
        fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    }
    for (name, source, features) in crates {
        let manifest = format!(
            "[package]\nname = \"omnigent-auth-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n[features]\nmute = []\nkeeper = []\n{features}\n\n[dependencies]\n\
             omnigent-plugin = {{ path = {sdk:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
             schemars = \"1\"\nabi_stable = {{ version = \"0.11\", default-features = false }}\n\
             async-ffi = {{ version = \"0.5\", features = [\"abi_stable\"] }}\n"
        );
        write(&folder.join(name).join("Cargo.toml"), &manifest);
        let source = repository().join("tests/fixtures/plugins").join(source);
        write(
            &folder.join(name).join("src/lib.rs"),
            &fs::read_to_string(source).unwrap(),
        );
    }
    cargo_build(&folder)
}

fn cargo_build(folder: &Path) -> PathBuf {
    let target = workshop().join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(folder)
        .args(["build", "--quiet", "--offline"]);
    run(cargo
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS"));
    target.join("debug")
}

/// The library of one crate, given as its two files. Its path to the SDK is made the real one.
pub fn of_files(name: &str, manifest: &str, source: &str) -> PathBuf {
    let folder = workshop().join(name);
    let sdk = repository().join("core/plugin").display().to_string();
    let manifest = manifest.replace("../omnigent/core/plugin", &sdk);
    assert!(manifest.contains(&sdk), "the manifest names the SDK");
    write(&folder.join("Cargo.toml"), &manifest);
    write(&folder.join("src/lib.rs"), source);
    if !folder.join("Cargo.lock").exists() {
        fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    }
    let library = manifest
        .lines()
        .find_map(|line| line.strip_prefix("name = "));
    let library = library.unwrap().trim_matches('"').replace('-', "_");
    cargo_build(&folder).join(format!("lib{library}.so"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{errors}");
}

/// Ours alone: what lies here is loaded and run.
fn workshop() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    repository().hash(&mut hasher);
    let folder = format!("omnigent-fixtures-{:016x}", hasher.finish());
    let folder = std::env::temp_dir().join(folder);
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    let about = fs::symlink_metadata(&folder).unwrap();
    let me = fs::metadata("/proc/self").unwrap().uid();
    let is_ours = about.is_dir() && about.mode() & 0o077 == 0 && about.uid() == me;
    assert!(is_ours, "{} is not ours: {made:?}", folder.display());
    folder
}

/// Leaves files alone that are as they should be: cargo looks at their times.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
