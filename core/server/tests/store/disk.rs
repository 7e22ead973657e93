//! The full disk, on a small one of its own where the test may mount it.

use std::{fs, path::Path, process::Command};

use omnigent_server::store::{Options, Store, StoreError, Table};

const FILL: Table<u64, Vec<u8>> = Table::new(1, "fill");

/// A mounted tmpfs, gone when dropped.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(at: &Path) -> Option<Small<'_>> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"])
            .arg(at)
            .output();
        done.is_ok_and(|done| done.status.success())
            .then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn full_disk_refuses_writes_serves_reads_and_heals_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    // Without the right to mount, the unit test of the threshold has to do.
    let Some(_disk) = Small::mount(dir.path()) else {
        return;
    };
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    let options = Options {
        reserve: 8 << 20,
        ..Options::default()
    };
    let data = dir.path().join("data");
    let store = Store::open(&data, &options).unwrap();
    let write =
        |number: u64| store.write_blocking(move |tx| FILL.put(tx, &number, &vec![7; 60_000]));
    let full = (0..2000).find_map(|number| write(number).err().map(|error| (number, error)));
    let (stopped, error) = full.expect("the disk never filled up");
    assert_eq!(error, StoreError::Full);
    for number in 0..stopped {
        assert!(FILL.contains(&store.reader(), &number).unwrap(), "{number}");
    }
    assert!(!FILL.contains(&store.reader(), &stopped).unwrap());
    fs::remove_file(ballast).unwrap();
    write(stopped).unwrap();
    store.close();
    let store = Store::open(&data, &options).unwrap();
    assert!(FILL.contains(&store.reader(), &stopped).unwrap());
}
