//! Transactions, order, limits.

use super::*;

#[test]
fn memory_follows_before_the_caller_hears_of_it() {
    let Fixture { store, dir: _dir } = fixture();
    let (told, heard) = mpsc::channel();
    let write = move |tx: &mut Tx<'_>| {
        tx.on_commit(move || told.send(1).unwrap());
        tx.on_commit(|| panic!("on purpose"));
        NOTES.put(tx, "a", &"1".into())
    };
    store.write_blocking(write).unwrap();
    assert_eq!(heard.try_recv(), Ok(1));
    put(&store, "a", "2").unwrap();
}

#[derive(Debug, PartialEq)]
enum Refused {
    No,
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[test]
fn written_record_is_read_back_and_deleted_one_is_gone() {
    let Fixture { store, dir: _dir } = fixture();
    put(&store, "a", "1").unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    assert!(store.write_blocking(|tx| NOTES.delete(tx, "a")).unwrap());
    assert!(!store.write_blocking(|tx| NOTES.delete(tx, "a")).unwrap());
    assert_eq!(get(&store, "a"), None);
}

#[test]
fn refused_transaction_leaves_nothing() {
    let Fixture { store, dir: _dir } = fixture();
    put(&store, "a", "old").unwrap();
    let refused: Result<(), Refused> = store.write_blocking(|tx| {
        NOTES.put(tx, "a", &"new".into())?;
        NOTES.put(tx, "b", &"new".into())?;
        NOTES.delete(tx, "a")?;
        Err(Refused::No)
    });
    assert_eq!(refused, Err(Refused::No));
    assert_eq!(
        (get(&store, "a").as_deref(), get(&store, "b")),
        (Some("old"), None)
    );
}

#[test]
fn panicking_transaction_leaves_nothing_and_the_store_alive() {
    let Fixture { store, dir: _dir } = fixture();
    let panicked: Result<(), StoreError> = store.write_blocking(|tx| {
        NOTES.put(tx, "a", &"1".into())?;
        tx.on_commit(|| unreachable!("it failed"));
        panic!("on purpose")
    });
    assert_eq!(panicked, Err(StoreError::Panicked));
    assert_eq!(get(&store, "a"), None);
    put(&store, "a", "2").unwrap();
}

#[test]
fn transaction_sees_its_own_writes_in_order_both_ways() {
    let Fixture { store, dir: _dir } = fixture();
    for key in ["a", "c", "e"] {
        put(&store, key, "stored").unwrap();
    }
    let walks = store.write_blocking(|tx| {
        NOTES.put(tx, "b", &"own".into())?;
        NOTES.put(tx, "e", &"own".into())?;
        NOTES.put(tx, "z", &"own".into())?;
        NOTES.delete(tx, "c")?;
        NOTES.delete(tx, "z")?;
        let mut walks = Vec::new();
        for order in [Order::Ascending, Order::Descending] {
            let walk = NOTES
                .scan(tx, b"", None, order)
                .map(|entry| entry.map(|(key, value)| (key[0], value)));
            walks.push(walk.collect::<Result<Vec<_>, _>>()?);
        }
        Ok::<_, StoreError>(walks)
    });
    let mut expected: Vec<_> = [(b'a', "stored"), (b'b', "own"), (b'e', "own")]
        .map(|(key, value)| (key, value.to_owned()))
        .into();
    let walks = walks.unwrap();
    assert_eq!(walks[0], expected);
    expected.reverse();
    assert_eq!(walks[1], expected);
}

#[test]
fn scan_keeps_to_its_prefix_and_starts_strictly_past_its_start() {
    let Fixture { store, dir: _dir } = fixture();
    let fill = |tx: &mut Tx<'_>| {
        for owner in [0, 1, 2, 255] {
            for number in [1, 255, 256, 70_000] {
                NUMBERS.put(tx, &(owner, number), &number)?;
            }
        }
        Ok::<_, StoreError>(())
    };
    store.write_blocking(fill).unwrap();
    let walk = |prefix: &[u8], start: Option<(u8, u64)>, order| -> Vec<u64> {
        let start = start.map(|key| NUMBERS.key(&key));
        NUMBERS
            .scan(&store.reader(), prefix, start.as_deref(), order)
            .map(|entry| entry.unwrap().1)
            .collect()
    };
    use Order::{Ascending, Descending};
    assert_eq!(walk(&[1], None, Ascending), [1, 255, 256, 70_000]);
    assert_eq!(walk(&[255], None, Descending), [70_000, 256, 255, 1]);
    assert_eq!(walk(&[1], Some((1, 255)), Ascending), [256, 70_000]);
    assert_eq!(walk(&[1], Some((1, 256)), Descending), [255, 1]);
    assert_eq!(walk(&[1], Some((0, 9)), Ascending), [1, 255, 256, 70_000]);
    assert_eq!(walk(&[1], Some((0, 9)), Descending), [0; 0]);
    assert_eq!(walk(&[1], Some((9, 9)), Ascending), [0; 0]);
    assert_eq!(walk(&[1], Some((9, 9)), Descending), [70_000, 256, 255, 1]);
    assert_eq!(walk(&[3], None, Ascending), [0; 0]);
    assert_eq!(walk(&[], None, Ascending).len(), 16);
}

#[test]
fn record_over_64_kib_is_refused_and_one_just_below_is_not() {
    let Fixture { store, dir } = fixture();
    let write =
        |size: usize| store.write_blocking(move |tx| NOTES.put(tx, "big", &"x".repeat(size)));
    assert_eq!(
        write(64 * 1024),
        Err(StoreError::TooLarge { table: "notes" })
    );
    write(64 * 1024 - 20).unwrap();
    let blobs = std::fs::read_dir(dir.path().join("data/blobs")).map_or(0, Iterator::count);
    assert_eq!(blobs, 0, "the engine put a record into a file of its own");
    let long = store.write_blocking(|tx| NOTES.put(tx, &"k".repeat(4096), &String::new()));
    assert_eq!(long, Err(StoreError::TooLarge { table: "notes" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_parallel_redemptions_exactly_one_wins() {
    let Fixture { store, dir: _dir } = fixture();
    put(&store, "invite", "open").unwrap();
    let redeem = |store: Store| async move {
        let redeemed = store.write(|tx| {
            if NOTES.delete(tx, "invite")? {
                Ok(())
            } else {
                Err(Refused::No)
            }
        });
        redeemed.await.is_ok()
    };
    let attempts: Vec<_> = (0..50)
        .map(|_| tokio::spawn(redeem(store.clone())))
        .collect();
    let mut wins = 0;
    for attempt in attempts {
        wins += usize::from(attempt.await.unwrap());
    }
    assert_eq!(wins, 1);
}

#[tokio::test]
async fn full_queue_is_busy_and_later_free_again() {
    let options = Options {
        queue: 1,
        patience: Duration::from_millis(20),
        ..Options::default()
    };
    let Fixture { store, dir: _dir } = fixture_with(&options);
    let (release, wait) = mpsc::channel::<()>();
    let slow = store.clone();
    let first = tokio::spawn(async move {
        slow.write(move |_| wait.recv().map_err(|_| StoreError::Closed))
            .await
    });
    tokio::task::yield_now().await;
    let second = store.write(|tx| NOTES.put(tx, "a", &"1".into())).await;
    assert_eq!(second, Err(StoreError::Busy));
    release.send(()).unwrap();
    first.await.unwrap().unwrap();
    store
        .write(|tx| NOTES.put(tx, "a", &"2".into()))
        .await
        .unwrap();
}

#[test]
fn nearly_full_disk_refuses_writes_but_not_reads() {
    let Fixture { store, dir } = fixture();
    put(&store, "a", "1").unwrap();
    store.close();
    let path = dir.path().join("data");
    let options = Options {
        reserve: u64::MAX,
        ..Options::default()
    };
    let store = Store::open(&path, &options).unwrap();
    assert_eq!(put(&store, "b", "2"), Err(StoreError::Full));
    assert_eq!(
        (get(&store, "a").as_deref(), get(&store, "b")),
        (Some("1"), None)
    );
}

#[test]
fn closed_store_finishes_what_waits_and_refuses_the_rest() {
    let Fixture { store, dir: _dir } = fixture();
    let other = store.clone();
    put(&store, "a", "1").unwrap();
    store.close();
    assert_eq!(put(&other, "b", "2"), Err(StoreError::Closed));
    assert_eq!(get(&other, "a").as_deref(), Some("1"));
}
