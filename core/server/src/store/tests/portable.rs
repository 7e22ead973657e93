//! Export and import.

use std::io::Cursor;

use super::*;

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
    let mut out = Vec::new();
    assert_eq!(export(&store.reader(), &mut out).unwrap(), 1201);
    out
}

#[test]
fn import_brings_back_every_record_and_the_mark() {
    let text = exported();
    let Fixture { store, dir: _dir } = fixture();
    assert_eq!(import(&store, &mut Cursor::new(&text)).unwrap(), 1201);
    assert_eq!(get(&store, "snow ☃").as_deref(), Some("line\nbreak"));
    assert!(store.initialised());
    let mut again = Vec::new();
    export(&store.reader(), &mut again).unwrap();
    assert_eq!(again, text);
    let refusal = import(&store, &mut Cursor::new(&text)).unwrap_err();
    assert!(refusal.to_string().contains("not empty"));
}

#[test]
fn altered_or_cut_export_is_refused_and_nothing_imported() {
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
        let refusal = import(&store, &mut Cursor::new(bad)).unwrap_err();
        assert!(matches!(refusal, StoreError::Import(_)), "{refusal}");
        assert_eq!(
            NUMBERS
                .scan(&store.reader(), b"", None, Order::Ascending)
                .count(),
            0
        );
    }
}
