//! The full disk, on a small one of its own where the test may mount it.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use omnigent_server::store::{Options, Store, StoreError, Table, Writing};

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
    heals(|| write(stopped));
    store.close();
    let store = Store::open(&data, &options).unwrap();
    assert!(FILL.contains(&store.reader(), &stopped).unwrap());
}

/// There is room again: the file system may take a moment to give back what was removed.
#[track_caller]
fn heals(write: impl Fn() -> Result<(), StoreError>) {
    let is_written = (0..500).any(|_| {
        write().is_ok() || {
            thread::sleep(Duration::from_millis(10));
            false
        }
    });
    assert!(is_written, "there is room again");
}

/// Takes all of the disk but `left` bytes.
fn fill(at: &Path, left: u64) {
    let disk = free(at);
    fs::write(
        at,
        vec![1; usize::try_from(disk.saturating_sub(left)).unwrap()],
    )
    .unwrap_or(());
}

fn free(at: &Path) -> u64 {
    let folder = at.parent().unwrap();
    let said = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().nth(1).unwrap().trim().parse().unwrap()
}

#[test]
fn sign_offs_are_written_on_a_disk_that_others_filled_to_the_last_byte() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = Small::mount(dir.path()) else {
        return;
    };
    let options = Options {
        reserve: 12 << 20,
        ..Options::default()
    };
    let (data, ballast) = (dir.path().join("data"), dir.path().join("ballast"));
    let store = Store::open(&data, &options).unwrap();
    let write = |number: u64, is_sign_off: bool| {
        store.write_blocking(move |tx| {
            if is_sign_off {
                tx.sign_off();
            }
            FILL.put(tx, &number, &vec![7; 100])
        })
    };
    write(0, false).unwrap();
    assert!(store.stats().has_reserve);
    for round in 0..3 {
        fill(&ballast, 0);
        assert_eq!(write(1, false), Err(StoreError::Full), "round {round}");
        for number in 0..2000 {
            write(round * 10_000 + number + 10, true).unwrap();
        }
        assert_eq!(write(1, false), Err(StoreError::Full));
        assert!(!store.stats().has_reserve, "it is in use");
        assert_eq!(store.stats().writing, Writing::SignOffsOnly);
        fs::remove_file(&ballast).unwrap();
        heals(|| write(2, false));
        write(2, false).unwrap();
        assert!(store.stats().has_reserve, "it is made anew");
        assert_eq!(store.stats().writing, Writing::Open);
    }
    // Past the reserve nothing is written, and nothing breaks.
    fill(&ballast, 0);
    let full = (0..1_000_000).find_map(|number| write(100_000 + number, true).err());
    assert_eq!(full, Some(StoreError::Full));
    assert_eq!(store.stats().writing, Writing::Full);
    assert!(FILL.contains(&store.reader(), &20_010).unwrap());
    fs::remove_file(&ballast).unwrap();
    heals(|| write(3, false));
    store.close();
    let store = Store::open(&data, &options).unwrap();
    assert!(FILL.contains(&store.reader(), &20_010).unwrap());
}
