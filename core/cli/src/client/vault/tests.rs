#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn vault() -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault(Dir::make(&dir.path().join("o")).unwrap());
    (dir, vault)
}

fn plant(dir: &tempfile::TempDir, text: &str) {
    let path = dir.path().join("o").join(FILE);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn text_of(dir: &tempfile::TempDir) -> String {
    fs::read_to_string(dir.path().join("o").join(FILE)).unwrap()
}

fn some_login(token: &str, refresh: Option<&str>) -> Login {
    Login {
        token: Bearer::parse(token.to_owned()).unwrap(),
        user_id: Some("ada".to_owned()),
        expires_at: Some(1_795_761_060.5),
        refresh_token: refresh.and_then(|text| Bearer::parse(text.to_owned())),
    }
}

fn server(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// What `json.dump(data, handle, indent=2)` of the original writes.
const ORIGINAL: &str = r#"{
  "http://127.0.0.1:6767": {
    "token": "aaa.bbb.ccc",
    "user_id": "z\u00f6e",
    "expires_at": 1750000000.1234567,
    "refresh_token": "rrr"
  },
  "https://ws.example/api/2.0/omnigent": {
    "auth_type": "databricks",
    "workspace_host": "https://ws.example",
    "extra": {
      "deep": [
        1.0,
        1e400
      ]
    }
  }
}"#;

#[test]
fn the_originals_file_is_read() {
    let (dir, vault) = vault();
    plant(&dir, ORIGINAL);
    let login = vault
        .get(&server("http://127.0.0.1:6767/"))
        .unwrap()
        .unwrap();
    assert_eq!(login.token.expose(), "aaa.bbb.ccc");
    assert_eq!(login.user_id.as_deref(), Some("zöe"));
    assert_eq!(login.expires_at, Some(1_750_000_000.123_456_7));
    assert_eq!(login.refresh_token.unwrap().expose(), "rrr");
    let pointer = vault.get(&server("https://ws.example/api/2.0/omnigent"));
    assert!(pointer.unwrap().is_none(), "holds no token");
    assert_eq!(vault.servers().unwrap().len(), 2);
}

#[test]
fn what_is_not_ours_keeps_every_byte() {
    let (dir, vault) = vault();
    plant(&dir, ORIGINAL);
    let locked = vault.lock().unwrap();
    locked
        .put(&server("https://new.example"), &some_login("t", None))
        .unwrap();
    let ours = r#",
  "https://new.example": {
    "token": "t",
    "user_id": "ada",
    "expires_at": 1795761060.5
  }
}"#;
    assert_eq!(
        text_of(&dir),
        format!("{}{ours}", ORIGINAL.strip_suffix("\n}").unwrap())
    );
    locked.remove(&server("https://new.example")).unwrap();
    assert_eq!(text_of(&dir), ORIGINAL);
}

#[test]
fn a_renewed_login_keeps_its_place_and_what_others_noted_in_it() {
    let (dir, vault) = vault();
    plant(
        &dir,
        "{\"https://H.example/\": {\"note\": [1, 2], \"token\": \"old\", \"refresh_token\": \"r\"}, \"x\": 1}",
    );
    let locked = vault.lock().unwrap();
    locked
        .put(&server("https://h.example"), &some_login("new", Some("s")))
        .unwrap();
    assert_eq!(
        text_of(&dir),
        r#"{
  "https://H.example/": {
    "note": [1, 2],
    "token": "new",
    "refresh_token": "s",
    "user_id": "ada",
    "expires_at": 1795761060.5
  },
  "x": 1
}"#
    );
    locked
        .put(&server("https://h.example"), &some_login("new", None))
        .unwrap();
    let login = vault.get(&server("https://h.example")).unwrap().unwrap();
    assert!(login.refresh_token.is_none());
}

#[test]
fn the_last_login_leaves_an_empty_object() {
    let (dir, vault) = vault();
    let locked = vault.lock().unwrap();
    locked
        .put(&server("https://h.example"), &some_login("t", None))
        .unwrap();
    locked.remove(&server("https://h.example")).unwrap();
    locked.remove(&server("https://h.example")).unwrap();
    assert_eq!(text_of(&dir), "{}");
}

#[test]
fn only_the_owner_can_read_what_is_written() {
    let (dir, vault) = vault();
    let folder = dir.path().join("o");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let locked = vault.lock().unwrap();
    locked
        .put(&server("https://h.example"), &some_login("t", None))
        .unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(FILE)), 0o600);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "the file and the lock: {left:?}");
}

#[test]
fn a_file_that_others_could_have_touched_is_refused() {
    let (dir, vault) = vault();
    let path = dir.path().join("o").join(FILE);
    let here = server("http://127.0.0.1:6767");
    plant(&dir, ORIGINAL);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = vault.get(&here).err().unwrap().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    // Neither is it written over.
    assert!(
        vault
            .lock()
            .unwrap()
            .put(&here, &some_login("t", None))
            .is_err()
    );
    assert_eq!(text_of(&dir), ORIGINAL);

    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let refused = vault.get(&here).err().unwrap().to_string();
    assert!(refused.contains("symbolic link"), "{refused}");
    assert!(
        vault
            .lock()
            .unwrap()
            .put(&here, &some_login("t", None))
            .is_err()
    );

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(vault.get(&here).is_err());
}

#[test]
fn a_damaged_file_is_refused_and_left_alone() {
    let here = server("http://127.0.0.1:6767");
    for text in [&ORIGINAL[..100], "", "[]", "null", "\"x\"", "\u{0}\u{0}"] {
        let (dir, vault) = vault();
        plant(&dir, text);
        let refused = vault.get(&here).err().unwrap().to_string();
        assert!(refused.contains("damaged"), "{text}: {refused}");
        assert!(
            vault
                .lock()
                .unwrap()
                .put(&here, &some_login("t", None))
                .is_err()
        );
        assert_eq!(text_of(&dir), text);
    }
}

#[test]
fn odd_entries_are_no_logins() {
    let (dir, vault) = vault();
    let here = server("http://127.0.0.1:1");
    for entry in [
        "1",
        "null",
        "[]",
        "{}",
        r#"{"token": 1}"#,
        r#"{"token": null}"#,
    ] {
        plant(&dir, &format!("{{\"http://127.0.0.1:1\": {entry}}}"));
        assert!(vault.get(&here).unwrap().is_none(), "{entry}");
    }
    plant(&dir, r#"{"http://127.0.0.1:1": {"token": "t"}}"#);
    let login = vault.get(&here).unwrap().unwrap();
    assert!(
        !login.lasts(1.0, 0.0),
        "without an end it has ended, as in the original"
    );
    plant(
        &dir,
        r#"{"http://127.0.0.1:1": {"token": "t", "expires_at": 10}}"#,
    );
    let login = vault.get(&here).unwrap().unwrap();
    assert!(login.lasts(9.0, 0.0) && !login.lasts(9.0, 90.0));
}
