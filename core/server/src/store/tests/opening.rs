//! What is refused at open. Damage of every kind is in `core/server/tests/store.rs`.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::{
    highwater::{HighWater, Mark},
    ledger::SCHEMA,
};

#[test]
fn files_are_for_their_owner_only() {
    let Fixture { store: _store, dir } = fixture();
    let data = dir.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["db", "conf", "high-water"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn second_opener_is_told_who_has_it() {
    let Fixture { store: _store, dir } = fixture();
    let data = dir.path().join("data");
    let refusal = Store::open(&data, &Options::default()).unwrap_err();
    assert_eq!(refusal, OpenError::Locked(data.clone()));
    let text = refusal.to_string();
    assert!(
        text.contains("another omnigent server is using") && text.contains(data.to_str().unwrap()),
        "{text}"
    );
}

#[test]
fn newer_schema_is_refused_with_both_numbers() {
    let Fixture { store, dir } = fixture();
    let data = dir.path().join("data");
    store.close();
    let Ok(mut high_water) = HighWater::open(&data, false) else {
        panic!("locked")
    };
    high_water
        .advance(Mark {
            schema: SCHEMA + 1,
            sequence: 9,
            ..Mark::default()
        })
        .unwrap();
    drop(high_water);
    let refusal = Store::open(&data, &Options::default()).unwrap_err();
    assert_eq!(
        refusal,
        OpenError::Newer {
            dir: data,
            found: SCHEMA + 1,
            known: SCHEMA
        }
    );
}

#[test]
fn initialised_is_remembered_and_only_once_committed() {
    let Fixture { store, dir } = fixture();
    assert!(!store.initialised());
    let refused: Result<(), StoreError> = store.write_blocking(|tx| {
        tx.mark_initialised();
        Err(StoreError::Busy)
    });
    assert!(refused.is_err() && !store.initialised());
    let mark = |tx: &mut Tx<'_>| {
        tx.mark_initialised();
        Ok::<_, StoreError>(())
    };
    store.write_blocking(mark).unwrap();
    assert!(store.initialised());
    store.close();
    assert!(
        Store::open(&dir.path().join("data"), &Options::default())
            .unwrap()
            .initialised()
    );
}

#[test]
fn store_with_a_background_proof_answers_the_same_at_once() {
    let Fixture { store, dir } = fixture();
    let fill = |tx: &mut Tx<'_>| {
        (0..=255).try_for_each(|owner| NUMBERS.put(tx, &(owner, 7), &u64::from(owner)))
    };
    store.write_blocking(fill).unwrap();
    store.close();
    let options = Options {
        prove: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open(&dir.path().join("data"), &options).unwrap();
    store
        .write_blocking(|tx| NUMBERS.delete(tx, &(9, 7)))
        .unwrap();
    assert_eq!(NUMBERS.get(&store.reader(), &(8, 7)).unwrap(), Some(8));
    let count = |order| {
        NUMBERS
            .scan(&store.reader(), b"", None, order)
            .map(Result::unwrap)
            .count()
    };
    assert_eq!(
        (count(Order::Descending), count(Order::Ascending)),
        (255, 255)
    );
}
