//! How long a replaced key is needed.

use super::*;
use crate::{
    store::{Options, Store},
    token::api::{self, ApiToken},
};

const LIFE: u64 = 8 * 3600;

fn key(kid: &str, created: u64, since: Option<u64>) -> KeyInfo {
    KeyInfo {
        kid: kid.into(),
        algorithm: Algorithm::Hs256,
        state: match since {
            Some(since) => KeyState::Verifying(Some(NOW.plus_seconds(since))),
            None => KeyState::Signing,
        },
        is_configured: false,
        created: Some(NOW.plus_seconds(created)),
        longest: LIFE,
    }
}

fn store(tokens: &[(u64, Option<u64>, Option<&str>)]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    for (created, expires, kid) in tokens {
        let token = ApiToken {
            name: "ci".into(),
            scope: None,
            provider: "accounts".into(),
            created_at: NOW.plus_seconds(*created),
            expires_at: expires.map(|expires| NOW.plus_seconds(expires)),
            last_used_at: None,
            last_used_ip: None,
            kid: kid.map(str::to_owned),
        };
        let made = store.write_blocking(move |tx| api::create(tx, &Uid::random(), &token));
        made.unwrap().unwrap();
    }
    (dir, store)
}

#[test]
fn logins_need_a_key_as_long_as_they_may_live() {
    let (_dir, store) = store(&[]);
    let keys = [key("new", 1000, None), key("old", 0, Some(1000))];
    let end = NOW.plus_seconds(1000 + LIFE + 300);
    let rests = |now| rests(&store.reader(), &keys, now).unwrap();
    assert_eq!(rests(NOW.plus_seconds(2000))[1].until, Some(end));
    assert!(rests(NOW.plus_seconds(2000))[1].any(NOW.plus_seconds(2000)));
    assert!(!rests(end)[1].any(end));
    assert_eq!(rests(NOW)[0], Rest::default());
}

#[test]
fn api_tokens_need_the_key_their_record_names() {
    let month = 30 * 86_400;
    let (_dir, store) = store(&[
        (10, Some(month), Some("old")),
        (10, Some(5), Some("old")),
        (2000, None, Some("new")),
    ]);
    let keys = [key("new", 1000, None), key("old", 0, Some(1000))];
    let now = NOW.plus_seconds(1000 + LIFE + 300);
    let found = rests(&store.reader(), &keys, now).unwrap();
    assert_eq!(found[1].api_tokens, 1);
    assert_eq!(found[1].until, Some(NOW.plus_seconds(month)));
    assert!(found[0].is_endless && found[0].any(now));
    let mut overlap = Overlap::default();
    let mut step = |now| overlap.step(&store.reader(), &keys, 100, now).unwrap();
    assert!(step(now).is_empty());
    assert_eq!(step(NOW.plus_seconds(month)), ["old"]);
}

#[test]
fn records_that_name_no_key_count_for_whatever_key_may_have_signed() {
    let day = 86_400;
    let (_dir, store) = store(&[(500, Some(9 * day), None), (1100, None, None)]);
    let keys = [
        key("newest", 3000, None),
        key("new", 1000, Some(3000)),
        key("old", 0, Some(1000)),
    ];
    let found = rests(&store.reader(), &keys, NOW.plus_seconds(day)).unwrap();
    let counts = found.iter().map(|rest| rest.api_tokens);
    // The second one was made too near to a change to tell.
    assert_eq!(counts.collect::<Vec<_>>(), [0, 1, 2]);
    assert!(found[1].is_endless && found[2].is_endless);
}

#[test]
fn a_step_reads_no_more_than_it_may_and_the_last_one_tells() {
    let many = [(10, Some(60), Some("other")); 10];
    let (_dir, store) = store(&many);
    let keys = [key("new", 1000, None), key("old", 0, Some(1000))];
    let mut overlap = Overlap::default();
    let mut step = |now| overlap.step(&store.reader(), &keys, 4, now).unwrap();
    let now = NOW.plus_seconds(86_400);
    assert!(step(now).is_empty());
    assert!(step(now).is_empty());
    assert_eq!(step(now), ["old"]);
    assert!(step(now).is_empty(), "then it rests");
}
