//! The power cut: what was not synced is gone, or worse, gone in part.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use omnigent_server::id::random_bytes;

use crate::child::{Said, WRITERS, assert_none_lost, start};

/// Compiles the platter.
fn platter(into: &Path) -> PathBuf {
    let library = into.join("powercut.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/powercut.c");
    let cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(cc.unwrap().success(), "cc could not compile powercut.c");
    library
}

/// Cuts the power: both files become what the platter holds, as `settle` decides from (durable,
/// written).
fn cut(data: &Path, settle: impl Fn(Vec<u8>, Vec<u8>) -> Vec<u8>) {
    for name in ["db", "high-water"] {
        let durable = data.join(format!("{name}.durable"));
        let file = data.join(name);
        match fs::read(&durable) {
            Ok(kept) => fs::write(&file, settle(kept, fs::read(&file).unwrap())).unwrap(),
            Err(_) => fs::remove_file(&file).unwrap(),
        }
    }
    for file in fs::read_dir(data).unwrap().flatten() {
        if file.file_name().to_string_lossy().ends_with(".part") {
            fs::remove_file(file.path()).unwrap();
        }
    }
}

fn random_count() -> usize {
    let [a, b] = random_bytes::<2>();
    1 + usize::from(a) + usize::from(b % 2) * 256
}

#[test]
fn power_cuts_lose_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let library = platter(dir.path());
    let data = dir.path().join("data");
    let mut acked = BTreeMap::new();
    for _ in 0..12 {
        let mut child = start(&data, None, Some(&library));
        assert_none_lost(&acked, &child.opening().unwrap());
        child.kill_after(random_count(), &mut acked);
        cut(&data, |durable, _| durable);
    }
    assert_none_lost(&acked, &start(&data, Some(0), None).opening().unwrap());
}

#[test]
fn failed_sync_stops_all_writes_until_restart_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let library = platter(dir.path());
    for file in ["db.fail", "high-water.fail"] {
        let data = dir.path().join(file).join("data");
        let mut child = start(&data, None, Some(&library));
        child.opening().unwrap();
        let mut acked = BTreeMap::new();
        let mut stopped = 0;
        while let Some(said) = child.next() {
            match said {
                Said::Acked(writer, to) => drop(acked.insert(writer, to)),
                Said::Stopped(why) => {
                    assert!(why.contains("read-only"), "{why}");
                    stopped += 1;
                }
                other => panic!("unexpected: {other:?}"),
            }
            if acked.len() == usize::from(WRITERS) {
                fs::write(data.join(file), "").unwrap();
            }
        }
        assert_eq!(stopped, WRITERS, "some writers went on");
        fs::remove_file(data.join(file)).unwrap();
        cut(&data, |durable, _| durable);
        assert_none_lost(&acked, &start(&data, Some(0), None).opening().unwrap());
    }
}

/// The disk wrote some of the unsynced blocks before the cut, in no order.
#[test]
fn power_cut_with_blocks_written_in_any_order_loses_nothing_unnoticed() {
    const BLOCK: usize = 4096;
    let dir = tempfile::tempdir().unwrap();
    let library = platter(dir.path());
    let mut refused = 0;
    for _ in 0..12 {
        let data = dir.path().join("data");
        let mut acked = BTreeMap::new();
        let mut child = start(&data, None, Some(&library));
        child.opening().unwrap();
        child.kill_after(random_count(), &mut acked);
        cut(&data, |mut durable, written| {
            durable.resize(durable.len().max(written.len()), 0);
            for (old, new) in durable.chunks_mut(BLOCK).zip(written.chunks(BLOCK)) {
                if random_bytes::<1>()[0] & 1 == 1 {
                    old[..new.len()].copy_from_slice(new);
                }
            }
            durable
        });
        match start(&data, Some(0), None).opening() {
            Ok(found) => assert_none_lost(&acked, &found),
            Err(why) => {
                assert!(why.contains("restore"), "{why}");
                refused += 1;
            }
        }
        fs::remove_dir_all(&data).unwrap();
    }
    println!("{refused} of 12 cuts refused");
    assert!(
        refused <= 3,
        "{refused} of 12 cuts made a restore necessary"
    );
}
