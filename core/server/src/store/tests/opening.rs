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

/// Takes a record away behind the books' back.
fn damaged_store(dir: &Path) {
    let store = Store::open(dir, &Options::default()).unwrap();
    let fill = |tx: &mut Tx<'_>| {
        NOTES.put(tx, "a", &"1".into())?;
        (0..=255).try_for_each(|owner| NUMBERS.put(tx, &(owner, 7), &u64::from(owner)))
    };
    store.write_blocking(fill).unwrap();
    let key = [&[2], &*NUMBERS.key(&(200, 7))].concat();
    let engine = &store.reader().engine.engine;
    engine.apply(std::iter::once((key, None))).unwrap();
    engine.sync().unwrap();
    store.close();
}

#[test]
fn missing_record_is_refused_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    damaged_store(&data);
    let refusal = Store::open(&data, &Options::default()).unwrap_err();
    assert!(matches!(refusal, OpenError::Damaged { .. }), "{refusal}");
    assert!(
        refusal.to_string().contains(data.to_str().unwrap())
            && refusal.to_string().contains("restore")
    );
}

#[tokio::test]
async fn missing_record_found_in_the_background_is_told_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    damaged_store(&data);
    let options = Options {
        prove: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open(&data, &options).unwrap();
    let lost = NUMBERS.get(&store.reader(), &(200, 7));
    assert!(matches!(lost, Err(StoreError::Corrupt { .. })), "{lost:?}");
    let walk: Result<Vec<_>, _> = NUMBERS
        .scan(&store.reader(), b"", None, Order::Descending)
        .collect();
    assert!(matches!(walk, Err(StoreError::Corrupt { .. })));
    assert!(matches!(*store.damaged().await, OpenError::Damaged { .. }));
    assert_eq!(
        store.write(|tx| NOTES.put(tx, "b", &"2".into())).await,
        Err(StoreError::ReadOnly)
    );
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
}

#[test]
fn record_put_into_an_unproven_bucket_neither_hides_damage_nor_looks_like_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        prove: Duration::ZERO,
        ..Options::default()
    };
    for damaged in [false, true] {
        let data = dir.path().join(damaged.to_string());
        if damaged {
            damaged_store(&data);
        }
        let store = Store::open(&data, &options).unwrap();
        let fill =
            |tx: &mut Tx<'_>| (0..=255).try_for_each(|owner| NUMBERS.put(tx, &(owner, 8), &8));
        let wrote = store.write_blocking(fill);
        assert!(damaged || wrote.is_ok());
        let lost = NUMBERS.get(&store.reader(), &(200, 8));
        assert_eq!(lost.is_err(), damaged, "{lost:?}");
        store.close();
        assert_eq!(Store::open(&data, &Options::default()).is_err(), damaged);
    }
}
