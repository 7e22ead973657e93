//! The store from inside. What needs a process to die is in `core/server/tests/store.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod basics;
mod books;
mod decoder;
mod opening;
mod portable;

use std::{path::Path, sync::mpsc, time::Duration};

use super::*;

/// A store in a directory of its own.
struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
}

fn fixture() -> Fixture {
    fixture_with(&Options::default())
}

fn fixture_with(options: &Options) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data"), options).unwrap();
    Fixture { dir, store }
}

const NOTES: Table<str, String> = Table::new(1, "notes");
const NUMBERS: Table<(u8, u64), u64> = Table::new(2, "numbers");

fn put(store: &Store, key: &'static str, value: &'static str) -> Result<(), StoreError> {
    store.write_blocking(move |tx| NOTES.put(tx, key, &value.to_owned()))
}

fn get(store: &Store, key: &str) -> Option<String> {
    NOTES.get(&store.reader(), key).unwrap()
}
