//! Damaged files: refused with the way out, or harmless. Never a record lost unnoticed.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::Path};

use omnigent_server::id::random_bytes;

use crate::child::start;

type Damage = Box<dyn Fn(&Path)>;

fn random_below(limit: u64) -> u64 {
    u64::from_le_bytes(random_bytes()) % limit.max(1)
}

fn truncate(name: &'static str, per_mille: u64) -> Damage {
    Box::new(move |data| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(data.join(name))
            .unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length * per_mille / 1000).unwrap();
    })
}

fn flip(name: &'static str, bits: usize) -> Damage {
    Box::new(move |data| {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(data.join(name))
            .unwrap();
        let length = file.metadata().unwrap().len();
        for _ in 0..bits {
            let at = random_below(length);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            byte[0] ^= 1 << random_below(8);
            file.write_all_at(&byte, at).unwrap();
        }
    })
}

fn blank(name: &'static str, at_per_mille: u64, length: usize) -> Damage {
    Box::new(move |data| {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(data.join(name))
            .unwrap();
        let at = file.metadata().unwrap().len() * at_per_mille / 1000;
        file.write_all_at(&vec![0; length], at).unwrap();
    })
}

fn remove(names: &'static [&'static str]) -> Damage {
    Box::new(move |data| {
        for name in names {
            let path = data.join(name);
            let _ = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
    })
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(file.file_name());
        if file.path().is_dir() {
            copy_dir(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// Writes `count` times per writer and dies; returns how far each writer had come.
fn fill(data: &Path, count: u64) -> BTreeMap<u8, u64> {
    let mut child = start(data, Some(count), None);
    let mut acked = child.opening().unwrap();
    child.kill_after(usize::MAX, &mut acked);
    acked
}

#[test]
fn damage_of_every_kind_is_refused_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let (data, old) = (dir.path().join("good"), dir.path().join("old"));
    fill(&data, 800);
    copy_dir(&data, &old);
    let written = fill(&data, 800);
    let put_back = |names: &'static [&'static str]| -> Damage {
        let old = old.clone();
        Box::new(move |data| {
            names
                .iter()
                .for_each(|name| assert!(fs::copy(old.join(name), data.join(name)).is_ok()))
        })
    };
    let remove_snapshots: Damage = Box::new(|data| {
        let files = fs::read_dir(data).unwrap().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().starts_with("snap"))
            .for_each(|file| fs::remove_file(file.path()).unwrap());
    });
    let tear_snapshots: Damage = Box::new(|data| {
        let files = fs::read_dir(data).unwrap().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().starts_with("snap"))
            .for_each(|file| fs::write(file.path(), b"torn").unwrap());
    });
    let mut kinds: Vec<(String, Damage)> = vec![
        ("db emptied".into(), truncate("db", 0)),
        ("db removed".into(), remove(&["db"])),
        ("db put back".into(), put_back(&["db"])),
        ("high-water put back".into(), put_back(&["high-water"])),
        (
            "db and its conf removed".into(),
            remove(&["db", "conf", "blobs"]),
        ),
        ("high-water removed".into(), remove(&["high-water"])),
        ("high-water emptied".into(), truncate("high-water", 0)),
        ("high-water torn".into(), truncate("high-water", 10)),
        ("high-water blanked".into(), blank("high-water", 0, 4160)),
        ("first slot blanked".into(), blank("high-water", 0, 64)),
        ("second slot blanked".into(), blank("high-water", 985, 64)),
        ("conf removed".into(), remove(&["conf"])),
        ("conf emptied".into(), truncate("conf", 0)),
        ("conf flipped".into(), flip("conf", 1)),
        (
            "all but high-water removed".into(),
            remove(&["db", "conf", "blobs"]),
        ),
        ("snapshots removed".into(), remove_snapshots),
        ("snapshots torn".into(), tear_snapshots),
    ];
    for cut in [1, 100, 300, 500, 700, 900, 990, 999] {
        kinds.push((format!("db cut to {cut} per mille"), truncate("db", cut)));
    }
    for at in [0, 200, 400, 600, 800, 950] {
        kinds.push((
            format!("4 KiB of db blanked at {at} per mille"),
            blank("db", at, 4096),
        ));
    }
    for bits in [1, 1, 1, 1, 1, 1, 1, 1, 8, 64] {
        kinds.push((format!("{bits} bits of db flipped"), flip("db", bits)));
    }
    let mut refused = Vec::new();
    for (kind, damage) in kinds {
        let data_copy = dir.path().join("damaged");
        copy_dir(&data, &data_copy);
        damage(&data_copy);
        match start(&data_copy, Some(0), None).opening() {
            Ok(found) => assert_eq!(found, written, "{kind}: records lost without a word"),
            Err(why) => {
                assert!(
                    why.contains(data_copy.to_str().unwrap()) && why.contains("restore"),
                    "{kind}: {why}"
                );
                // Asking twice must not help.
                let again = start(&data_copy, Some(0), None).opening();
                assert!(again.is_err(), "{kind}: refused once ({why}), then opened");
                refused.push(kind);
            }
        }
        fs::remove_dir_all(&data_copy).unwrap();
    }
    println!("refused: {refused:#?}");
    for must in [
        "db emptied",
        "db removed",
        "db put back",
        "high-water removed",
        "high-water emptied",
    ] {
        assert!(
            refused.iter().any(|kind| kind == must),
            "{must} was not refused"
        );
    }
}
