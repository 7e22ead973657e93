//! Export and import, and what a snapshot holds while others write.

use std::collections::BTreeMap;

use super::*;

/// The whole export as text.
fn export(store: &Store) -> Vec<u8> {
    drain(Exporter::new(store.snapshot_blocking().unwrap(), |_, _| {
        false
    }))
    .unwrap()
}

fn drain(mut exporter: Exporter) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    while let Some(lines) = exporter.lines()? {
        text.extend(lines);
    }
    Ok(text)
}

fn import(store: &Store, text: &[u8]) -> Result<u64, StoreError> {
    let mut parser = Parser::default();
    let mut filler = Filler::new(store)?;
    let mut marked = false;
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() && parser.is_over() {
            continue;
        }
        match parser.line(line)? {
            Item::Begin { initialised } => marked = initialised,
            Item::Record(record) => filler.put(record)?,
            Item::End { records } => {
                filler.finish(marked)?;
                return Ok(records);
            }
        }
    }
    Err(StoreError::Import("cut short".into()))
}

fn exported() -> Vec<u8> {
    let Fixture { store, dir: _dir } = fixture();
    let fill = |tx: &mut Tx<'_>| {
        for number in 0..1200 {
            NUMBERS.put(tx, &(3, number), &number)?;
        }
        NOTES.put(tx, "snow ☃", &"line\nbreak".into())?;
        tx.mark_initialised();
        Ok::<_, StoreError>(())
    };
    store.write_blocking(fill).unwrap();
    export(&store)
}

#[test]
fn import_brings_back_every_record_and_the_mark() {
    let text = exported();
    let Fixture { store, dir: _dir } = fixture();
    assert_eq!(import(&store, &text).unwrap(), 1201);
    assert_eq!(get(&store, "snow ☃").as_deref(), Some("line\nbreak"));
    assert!(store.initialised());
    assert_eq!(export(&store), text);
    let refusal = import(&store, &text).unwrap_err();
    assert!(refusal.to_string().contains("not empty"));
    let other = fixture();
    assert_eq!(copy(&store, &other.store).unwrap(), 1201);
    assert_eq!(export(&other.store), text);
}

#[test]
fn altered_or_cut_export_is_refused() {
    let text = String::from_utf8(exported()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let without_one = [&lines[..5], &lines[6..]].concat().join("\n");
    let cut = lines[..lines.len() - 1].join("\n");
    let altered = text.replacen("\"version\":1", "\"version\":2", 1);
    let newer = text.replacen("\"schema\":1", "\"schema\":99", 1);
    for bad in [
        without_one,
        cut,
        altered,
        newer,
        text[..700].to_owned(),
        String::new(),
        "hello\n".into(),
    ] {
        let Fixture { store, dir: _dir } = fixture();
        let refusal = import(&store, bad.as_bytes()).unwrap_err();
        assert!(matches!(refusal, StoreError::Import(_)), "{refusal}");
    }
}

fn numbers(text: &[u8]) -> BTreeMap<String, String> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    let part = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    lines
        .filter_map(|line| Some((part(line, "key")?, part(line, "payload")?)))
        .collect()
}

#[test]
fn what_is_written_while_a_snapshot_is_read_is_not_in_it() {
    let Fixture { store, dir: _dir } = fixture();
    let fill = |tx: &mut Tx<'_>| {
        (0..5000).try_for_each(|number| NUMBERS.put(tx, &((number % 250) as u8, number), &number))
    };
    store.write_blocking(fill).unwrap();
    let before = export(&store);
    let mut exporter = Exporter::new(store.snapshot_blocking().unwrap(), |_, _| false);
    let mut text = exporter.lines().unwrap().unwrap();
    text.extend(exporter.lines().unwrap().unwrap());
    // Behind the walk and ahead of it: changed, deleted, added, deleted and added again.
    let change = |tx: &mut Tx<'_>| {
        for number in 0..5000_u64 {
            let key = ((number % 250) as u8, number);
            match number % 4 {
                0 => NUMBERS.put(tx, &key, &(number + 1))?,
                1 => drop(NUMBERS.delete(tx, &key)?),
                2 => NUMBERS.put(tx, &(key.0, number + 10_000), &number)?,
                _ => {}
            }
        }
        Ok::<_, StoreError>(())
    };
    store.write_blocking(change).unwrap();
    let again =
        |tx: &mut Tx<'_>| (0..5000).try_for_each(|number| NUMBERS.put(tx, &(7, number), &number));
    store.write_blocking(again).unwrap();
    text.extend(drain(exporter).unwrap());
    assert_eq!(numbers(&text), numbers(&before));
    assert_eq!(text, before);
    assert_ne!(export(&store), before);
}

#[test]
fn snapshots_under_load_are_each_the_state_after_a_whole_number_of_transactions() {
    let Fixture { store, dir: _dir } = fixture();
    let fill = |tx: &mut Tx<'_>| {
        (0..4000).try_for_each(|number| NUMBERS.put(tx, &((number % 200) as u8, number), &0))
    };
    store.write_blocking(fill).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3_u64 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                // Each transaction moves one from a record to another far away: the sum stays.
                for round in 0_u64.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let spot = |salt: u64| (round.wrapping_mul(salt) ^ writer) % 4000;
                    let (from, to) = (spot(2_654_435_761), spot(40_503));
                    let step = move |tx: &mut Tx<'_>| {
                        for (number, by) in [(from, u64::MAX), (to, 1)] {
                            let key = ((number % 200) as u8, number);
                            let value = NUMBERS.get(tx, &key)?.unwrap_or(0);
                            NUMBERS.put(tx, &key, &value.wrapping_add(by))?;
                        }
                        Ok::<_, StoreError>(())
                    };
                    store.write_blocking(step).unwrap();
                }
            });
        }
        let mut sequences = Vec::new();
        for _ in 0..12 {
            let snapshot = store.snapshot_blocking().unwrap();
            sequences.push(snapshot.sequence());
            let text = drain(Exporter::new(snapshot, |_, _| false)).unwrap();
            let copy = fixture();
            import(&copy.store, &text).unwrap();
            let reader = copy.store.reader();
            let records = NUMBERS.scan(&reader, &[], None, Order::Ascending);
            let sum = records.fold(0_u64, |sum, entry| sum.wrapping_add(entry.unwrap().1));
            assert_eq!(sum, 0);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]));
    });
}

#[test]
fn one_snapshot_at_a_time_and_one_that_goes_makes_room() {
    let Fixture { store, dir: _dir } = fixture();
    put(&store, "a", "1").unwrap();
    let first = store.snapshot_blocking().unwrap();
    let second = store.snapshot_blocking().unwrap_err();
    assert_eq!(second, StoreError::SnapshotTaken);
    drop(first);
    assert_eq!(numbers(&export(&store)).len(), 1);
}

#[test]
fn a_snapshot_that_is_outrun_says_so_and_the_writes_go_on() {
    let Fixture { store, dir: _dir } = fixture();
    let write = |value: u8| {
        for block in 0..40_u64 {
            let step = move |tx: &mut Tx<'_>| {
                (0..40).try_for_each(|number| {
                    BLOBS.put(tx, &(block * 40 + number), &vec![value; 60_000])
                })
            };
            store.write_blocking(step).unwrap();
        }
    };
    write(1);
    let snapshot = store.snapshot_blocking().unwrap();
    write(2);
    let lost = drain(Exporter::new(snapshot, |_, _| false)).unwrap_err();
    assert_eq!(lost, StoreError::SnapshotLost);
    export(&store);
}

const BLOBS: Table<u64, Vec<u8>> = Table::new(3, "blobs");

#[test]
fn no_message_repeats_what_is_in_a_line() {
    for line in [
        r#"{"table":1,"key":"00","hunter2hunter2":1,"payload":""}"#,
        r#"{"table":"hunter2hunter2","key":"00","version":1,"payload":""}"#,
        r#"{"table":1,"key":"hunter2hunter2","version":1,"payload":""}"#,
        r#"{"table":1,"key":"00","version":1,"payload":"hunter2hunter2!"}"#,
        r#"{"records":"hunter2hunter2","digest":""}"#,
        "hunter2hunter2",
    ] {
        let mut parser = Parser::default();
        let header = br#"{"omnigent":"store","schema":1,"initialised":true}"#;
        assert!(parser.line(header).is_ok());
        let said = format!("{:?}", parser.line(line.as_bytes()).unwrap_err());
        assert!(!said.contains("hunter2"), "{said}");
    }
}
