//! Every bad file is refused with its own message, and the server lives.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use omnigent_server::backend::{LoadError, OpenError};
use serde_json::json;

use crate::{
    server::{at, refusal},
    workshop,
};

/// A whole plugin, to be spoilt.
fn whole() -> Vec<u8> {
    fs::read(workshop::built().join("libomnigent_auth_outside.so")).unwrap()
}

fn load(file: &Path) -> LoadError {
    match refusal(at("outside", file, json!({"people": {}}))) {
        OpenError::Load(error) => error,
        error => panic!("{error}"),
    }
}

/// Why a file that holds `bytes` is not loaded.
fn load_bytes(bytes: &[u8]) -> LoadError {
    let dir = tempfile::tempdir().unwrap();
    load(&put(dir.path(), bytes))
}

fn put(dir: &Path, bytes: &[u8]) -> PathBuf {
    let file = dir.join("plugin.so");
    fs::write(&file, bytes).unwrap();
    file
}

macro_rules! assert_refused {
    ($error:expr, $variant:pat) => {{
        let error = $error;
        assert!(matches!(error, $variant), "{error:?}: {error}");
    }};
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused!(load(&dir.path().join("none.so")), LoadError::Missing);
    assert_refused!(load(dir.path()), LoadError::Directory);
    let link = dir.path().join("link.so");
    symlink(put(dir.path(), &whole()), &link).unwrap();
    assert_refused!(load(&link), LoadError::NotRegular);
    assert_refused!(load(Path::new("/dev/null")), LoadError::NotRegular);
}

#[test]
fn what_is_no_library_is_refused() {
    assert_refused!(load_bytes(b""), LoadError::Empty);
    assert_refused!(load_bytes(b"#!/bin/sh\necho hello\n"), LoadError::NotElf);
    assert_refused!(load_bytes(&[0; 4096]), LoadError::NotElf);
    let mut object = whole();
    object[16] = 1;
    assert_refused!(load_bytes(&object), LoadError::NotElf);
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let whole = whole();
    for length in [
        1,
        3,
        4,
        16,
        63,
        64,
        120,
        1000,
        4096,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        assert_refused!(load_bytes(&whole[..length]), LoadError::Truncated);
    }
}

#[test]
fn a_file_for_another_machine_is_refused() {
    for (offset, value) in [(4, 1), (5, 2), (18, 40), (18, 0)] {
        let mut other = whole();
        other[offset] = value;
        assert_refused!(load_bytes(&other), LoadError::WrongArchitecture);
    }
}

#[test]
fn headers_that_point_nowhere_are_refused_before_the_linker_sees_them() {
    let word = |offset: usize, value: u64| {
        let mut other = whole();
        other[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        load_bytes(&other)
    };
    // Section and segment tables; the first segment's offset and size in the file.
    for offset in [32, 40, 64 + 8, 64 + 32] {
        for value in [u64::MAX, u64::MAX - 63, 1 << 40] {
            assert_refused!(word(offset, value), LoadError::Truncated);
        }
    }
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let stranger = workshop::compiled("stranger", "int stranger(void) { return 1; }", &[]);
    assert_refused!(load(&stranger), LoadError::NoRoot);
}

#[test]
fn a_missing_dependency_and_a_missing_symbol_are_named() {
    workshop::compiled("absent", "int absent(void) { return 1; }", &[]);
    let source = "int absent(void); int needy(void) { return absent(); }";
    let needy = workshop::compiled("needy", source, &["-L.", "-labsent"]);
    let error = load(&needy);
    assert!(
        matches!(&error, LoadError::Linker { message } if message.contains("libabsent.so")),
        "{error}"
    );
    let source = "int nowhere(void); int lazy(void) { return nowhere(); }";
    let error = load(&workshop::compiled("lazy", source, &[]));
    assert!(
        matches!(&error, LoadError::Linker { message } if message.contains("nowhere")),
        "{error}"
    );
}

#[test]
fn what_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = put(dir.path(), &whole());
    for mode in [0o666, 0o664, 0o646] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert_refused!(load(&file), LoadError::Writable { what: "it" });
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    for mode in [0o777, 0o775, 0o1777] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        assert_refused!(load(&file), LoadError::Writable { what: "its folder" });
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = put(dir.path(), &whole());
    std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
    assert_refused!(load(&file), LoadError::ForeignOwner { uid: 12345, .. });
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_refused_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = at("outside", &put(dir.path(), &whole()), json!({"people": {}}));
    wanted.sha256 = Some([7; 32]);
    let error = refusal(wanted);
    assert!(
        matches!(error, OpenError::Load(LoadError::HashMismatch { .. })),
        "{error}"
    );
}

#[test]
fn a_plugin_under_another_ones_name_is_refused() {
    let file = workshop::built().join("libomnigent_auth_misbehaving.so");
    let error = refusal(at("outside", &file, json!({})));
    assert_eq!(
        error.to_string(),
        "is the plugin 'misbehaving', but the configuration asks for 'outside'"
    );
}

#[test]
fn a_plugin_that_cannot_say_what_it_is_is_refused() {
    for name in ["mute", "panicky"] {
        let file = workshop::built().join(format!("libomnigent_auth_{name}.so"));
        assert_refused!(load(&file), LoadError::BadManifest);
    }
}
