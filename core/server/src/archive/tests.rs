//! What is whole is read, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{path::Path, sync::Arc};

use omnigent_plugin::{Change, Identity};

use super::*;
use crate::{
    account::ACCOUNTS,
    backend::apply_change,
    clock::Timestamp,
    config::{Config, Env, Overrides},
    id::Uid,
    store::{Options, Store, StoreError},
    token::{self, KeySettings, Keyring, REVOCATIONS, revoke},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn about() -> About {
    let env: Env = [("HOME", "/home/someone")].into_iter().collect();
    let config = Config::parse("", Path::new("/"), &env, &Overrides::default()).unwrap();
    About::new(&config, NOW)
}

/// A data directory with a few records.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
    Keyring::load_or_create(dir.path(), &KeySettings::default(), NOW).unwrap();
    let fill = |tx: &mut crate::store::Tx<'_>| {
        tx.mark_initialised();
        (0..20).try_for_each(|n| revoke(tx, [n; 16], Some(NOW)))
    };
    store.write_blocking(fill).unwrap();
    store.close();
    crate::store::wait_released(&dir.path().join("store")).unwrap();
    dir
}

fn archive(dir: &Path, kind: Kind) -> Vec<u8> {
    let store = Store::open(&dir.join("store"), &Options::default()).unwrap();
    let snapshot = store.snapshot_blocking().unwrap();
    let mut source = Source::new(kind, snapshot, dir, about()).unwrap();
    let mut sealer = Sealer::new(Vec::new());
    while let Some(lines) = source.lines().unwrap() {
        sealer.write(&lines).unwrap();
    }
    drop(source);
    store.close();
    crate::store::wait_released(&dir.join("store")).unwrap();
    sealer.finish().unwrap()
}

const HOW: How = How {
    kind: Kind::Backup,
    replace: false,
    end_logins: false,
    now: NOW,
};

#[test]
fn what_was_put_in_comes_out() {
    let (from, into) = (data_dir(), tempfile::tempdir().unwrap());
    let backup = archive(from.path(), Kind::Backup);
    let seen = read(&backup[..], &mut ()).unwrap();
    assert_eq!(
        (seen.records, seen.initialised, seen.has_keyring),
        (20, true, true)
    );
    let data = into.path().join("data");
    restore(&backup[..], &data, &HOW).unwrap();
    // All but the sequence number and the checksums, for the new store counts for itself, and the trail,
    // which tells of this.
    let middle = |archive: &[u8]| {
        let text = String::from_utf8(archive.to_vec()).unwrap();
        let is_of_trail = |line: &&str| {
            ["{\"table\":60,", "{\"table\":61,", "{\"records\":"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let lines = text.lines().filter(|line| !is_of_trail(line));
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        lines[1..lines.len() - 1].to_vec()
    };
    assert!(middle(&archive(&data, Kind::Backup)) == middle(&backup));
    let again = restore(&backup[..], &data, &HOW).unwrap_err();
    assert!(matches!(again, ArchiveError::NotEmpty(_)), "{again}");
}

#[test]
fn any_byte_that_is_changed_cut_or_added_is_noticed() {
    let dir = data_dir();
    let backup = archive(dir.path(), Kind::Backup);
    read(&backup[..], &mut ()).unwrap();
    for place in 0..backup.len() {
        for flip in [1_u8, 0x20, 0x80] {
            let mut bad = backup.clone();
            bad[place] ^= flip;
            assert!(read(&bad[..], &mut ()).is_err(), "byte {place} ^ {flip}");
        }
        assert!(read(&backup[..place], &mut ()).is_err(), "cut to {place}");
    }
    for more in [&b"\n"[..], b" ", b"{}\n", &backup] {
        let bad = [&backup[..], more].concat();
        assert!(read(&bad[..], &mut ()).is_err());
    }
}

#[test]
fn what_this_server_does_not_know_is_refused() {
    let dir = data_dir();
    let text = String::from_utf8(archive(dir.path(), Kind::Export)).unwrap();
    let refused = |old: &str, new: &str| {
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text);
        read(changed.as_bytes(), &mut ()).unwrap_err()
    };
    let newer = refused("\"format\":1", "\"format\":2");
    assert!(matches!(newer, ArchiveError::Newer { found: 2 }), "{newer}");
    let newer = refused("\"schema\":1", "\"schema\":2");
    assert!(newer.to_string().contains("newer server"), "{newer}");
    let unknown = refused("\"table\":5,", "\"table\":250,");
    assert!(
        unknown.to_string().contains("table 250 is not known"),
        "{unknown}"
    );
    let odd = refused("\"version\":1", "\"version\":9");
    assert!(odd.to_string().contains("cannot be read"), "{odd}");
    let other = refused("\"export\"", "\"photo\"");
    assert!(matches!(other, ArchiveError::NotOurs), "{other}");
    for noise in ["", "\n", "hello\n", "{}\n", "null\n", "[[[[\n"] {
        assert!(read(noise.as_bytes(), &mut ()).is_err());
    }
    let endless = vec![b'{'; 4 << 20];
    assert!(read(&endless[..], &mut ()).is_err());
}

#[test]
fn ending_everything_revokes_and_takes_new_keys() {
    let (from, into) = (data_dir(), tempfile::tempdir().unwrap());
    let backup = archive(from.path(), Kind::Backup);
    let how = How {
        end_logins: true,
        ..HOW
    };
    restore(&backup[..], into.path(), &how).unwrap();
    let old = Keyring::load_or_create(from.path(), &KeySettings::default(), NOW).unwrap();
    let new = Keyring::load_or_create(into.path(), &KeySettings::default(), NOW).unwrap();
    assert!(new.kids().all(|kid| old.kids().all(|old| old != kid)));
    let store = Store::open(&into.path().join("store"), &Options::default()).unwrap();
    assert!(REVOCATIONS.contains(&store.reader(), &[7; 16]).unwrap());
    let nobody = ACCOUNTS.contains(&store.reader(), &Uid::random());
    assert_eq!(nobody, Ok::<_, StoreError>(false));
}

#[test]
fn a_restore_that_fails_while_it_moves_leaves_nothing_that_is_served() {
    let (from, into) = (data_dir(), data_dir());
    let backup = archive(from.path(), Kind::Backup);
    let how = How {
        replace: true,
        ..HOW
    };
    let taken = into.path().join(format!("before-restore-{}", NOW.millis()));
    std::fs::create_dir(&taken).unwrap();
    let failed = restore(&backup[..], into.path(), &how).unwrap_err();
    assert!(matches!(failed, ArchiveError::Io(..)), "{failed}");
    let unfinished = refuse_unfinished(into.path()).unwrap_err();
    assert!(matches!(unfinished, ArchiveError::Unfinished(_)));
    std::fs::remove_dir(&taken).unwrap();
    restore(&backup[..], into.path(), &how).unwrap();
    refuse_unfinished(into.path()).unwrap();
}

/// What the backend `sso` keeps: one record for everybody, one for this installation only.
fn with_secret() -> tempfile::TempDir {
    let dir = data_dir();
    let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
    let change = Change::new(Identity::new("ada"))
        .insert("plain", b"everybodys".into())
        .insert("secret/key", b"ours alone".into());
    let kept = store.write_blocking(move |tx| apply_change(tx, "sso", &change));
    kept.unwrap();
    store.close();
    crate::store::wait_released(&dir.path().join("store")).unwrap();
    dir
}

/// The keys of the records of the backends, and of what is counted of them.
fn of_backends(archive: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(archive).unwrap();
    let key = |line: &str| {
        let (start, rest) = line.split_once(",\"key\":\"")?;
        let is_one = matches!(start, "{\"table\":11" | "{\"table\":14");
        let key = hex::decode(rest.split('"').next()?).ok()?;
        is_one.then(|| String::from_utf8(key).unwrap())
    };
    text.lines().filter_map(key).collect()
}

#[test]
fn what_a_backend_keeps_as_secret_is_in_a_backup_and_in_no_export() {
    let (from, into) = (with_secret(), tempfile::tempdir().unwrap());
    let backup = archive(from.path(), Kind::Backup);
    let all = ["sso\0plain", "sso\0secret/key", "sso"];
    assert_eq!(of_backends(&backup), all);
    restore(&backup[..], into.path(), &HOW).unwrap();
    assert_eq!(of_backends(&archive(into.path(), Kind::Backup)), all);
    let export = archive(from.path(), Kind::Export);
    assert_eq!(of_backends(&export), ["sso\0plain"]);
    let seen = read(&export[..], &mut ()).unwrap();
    assert_eq!(seen.records, 21);
    assert_eq!(seen.records, seen.by_table.values().sum::<u64>());
}

#[test]
fn how_far_the_tokens_of_an_installation_are_forgotten_is_of_no_other() {
    let dir = data_dir();
    let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
    let index = Arc::new(token::load(&store.reader(), Timestamp::from_seconds(1)).unwrap());
    let end = Timestamp::from_seconds(4_000_000_000);
    store
        .write_blocking(move |tx| token::leave_behind(&index, tx, end))
        .unwrap();
    store.close();
    crate::store::wait_released(&dir.path().join("store")).unwrap();
    for (kind, floor) in [(Kind::Backup, end), (Kind::Export, Timestamp::default())] {
        let into = tempfile::tempdir().unwrap();
        restore(
            &archive(dir.path(), kind)[..],
            into.path(),
            &How { kind, ..HOW },
        )
        .unwrap();
        let store = Store::open(&into.path().join("store"), &Options::default()).unwrap();
        let index = token::load(&store.reader(), Timestamp::from_seconds(1)).unwrap();
        assert_eq!(index.floor(), floor, "{kind:?}");
        store.close();
    }
}

#[test]
fn an_import_takes_no_secret_and_counts_what_it_takes() {
    let from = with_secret();
    // As an older server made it, or somebody altered it: an export that holds everything.
    let whole = String::from_utf8(archive(from.path(), Kind::Backup)).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    let head = lines[0].replacen("\"backup\"", "\"export\"", 1);
    lines[0] = &head;
    lines.remove(1);
    lines.pop();
    let mut sealer = Sealer::new(Vec::new());
    sealer
        .write(format!("{}\n", lines.join("\n")).as_bytes())
        .unwrap();
    let tampered = sealer.finish().unwrap();
    assert_eq!(of_backends(&tampered).len(), 3);
    let how = How {
        kind: Kind::Export,
        ..HOW
    };
    let good = archive(from.path(), Kind::Export);
    for (export, left_out) in [(tampered, 2), (good, 0)] {
        let into = tempfile::tempdir().unwrap();
        let restored = restore(&export[..], into.path(), &how).unwrap();
        assert_eq!(restored.left_out, left_out);
        let now = archive(into.path(), Kind::Backup);
        assert_eq!(of_backends(&now), ["sso\0plain", "sso"]);
        // Exactly that much is counted: of what was left out nothing is.
        let fresh = data_dir();
        let store = Store::open(&fresh.path().join("store"), &Options::default()).unwrap();
        let change = Change::new(Identity::new("ada")).insert("plain", b"everybodys".into());
        let kept = store.write_blocking(move |tx| apply_change(tx, "sso", &change));
        kept.unwrap();
        store.close();
        crate::store::wait_released(&fresh.path().join("store")).unwrap();
        let counted = |archive: &[u8]| {
            let text = String::from_utf8(archive.to_vec()).unwrap();
            let line = text.lines().find(|line| line.starts_with("{\"table\":14,"));
            line.unwrap().to_owned()
        };
        assert_eq!(counted(&now), counted(&archive(fresh.path(), Kind::Backup)));
    }
}
