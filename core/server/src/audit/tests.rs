#![allow(clippy::unwrap_used)]
//! The chain against whoever can write the store, and refusals against whoever can send many.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    reports::{Report, Sums},
    trail::{ENDS, ENTRIES, Ends, Link, Seq, hash},
    *,
};
use crate::{
    clock::{Clock, Timestamp},
    id::Uid,
    store::{Options, Store},
    token::hash::Hasher,
};

const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

struct House {
    store: Store,
    audit: Audit,
    _dir: tempfile::TempDir,
}

impl House {
    /// A trail of so many entries, the first of which says that it begins.
    fn with(count: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let hasher = Arc::new(Hasher::new(&[7; 32]));
        let house = Self {
            store,
            audit: Audit::new(hasher, Clock::manual(T0)),
            _dir: dir,
        };
        for i in 1..count {
            house.note(Event::TokenCreated, T0.plus_seconds(i));
        }
        house
    }

    fn note(&self, event: Event, at: Timestamp) {
        let audit = self.audit.clone();
        self.write(move |tx| audit.record(tx, Some(&Scene::operator(at)), Entry::new(event)));
    }

    fn write(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static) {
        self.store.write_blocking(f).unwrap();
    }

    fn link(&self, seq: u64) -> Link {
        ENTRIES
            .get(&self.store.reader(), &Seq(seq))
            .unwrap()
            .unwrap()
    }

    fn put(&self, seq: u64, link: Link) {
        self.write(move |tx| ENTRIES.put(tx, &Seq(seq), &link));
    }

    fn ends(&self) -> Ends {
        ends(&self.store.reader()).unwrap().unwrap()
    }

    fn put_ends(&self, ends: Ends) {
        self.write(move |tx| ENDS.put(tx, &(), &ends));
    }

    fn verify(&self) -> Option<Fault> {
        let reader = self.store.reader();
        let (mut from, mut first) = (None, true);
        // In small steps, as the command line does in large ones.
        while first || from.is_some() {
            first = false;
            let checked = verify(&reader, self.audit.hasher(), from, 3).unwrap();
            if checked.fault.is_some() {
                return checked.fault;
            }
            from = checked.next;
        }
        None
    }

    fn broken_at(&self) -> Option<u64> {
        self.verify().map(|fault| fault.seq)
    }
}

#[test]
fn a_chain_nobody_touched_is_sound() {
    for count in [1, 2, 3, 4, 10] {
        let house = House::with(count.max(2));
        assert_eq!(house.verify(), None, "{count}");
    }
    let house = House::with(10);
    let line = page(
        &house.store.reader(),
        &Query {
            limit: 1,
            ..Query::default()
        },
    )
    .unwrap();
    let text = &line.lines[0].text;
    // Anybody can check an exported line without a key.
    let (body, own) = text.rsplit_once(",\"hash\":\"").unwrap();
    assert_eq!(hex::encode(hash(&format!("{body}}}"))) + "\"}", own);
    assert!(text.contains(&format!("\"prev\":\"{}\"", hex::encode(house.link(9).hash))));
}

#[test]
fn an_edited_entry_is_named() {
    let house = House::with(10);
    let mut link = house.link(5);
    link.body = link.body.replace("operator", "nobody");
    house.put(5, link.clone());
    assert_eq!(house.broken_at(), Some(5));
    // With its hash made to fit, the next one does not follow.
    link.hash = hash(&link.body);
    house.put(5, link);
    assert_eq!(house.broken_at(), Some(6));
    // The last one has none after it, but the ends know it.
    let house = House::with(10);
    let mut link = house.link(10);
    link.body = link.body.replace("operator", "nobody");
    link.hash = hash(&link.body);
    house.put(10, link);
    assert_eq!(house.broken_at(), Some(10));
    // The time is twice in the store.
    let house = House::with(10);
    let mut link = house.link(4);
    link.at = T0;
    house.put(4, link);
    assert_eq!(house.broken_at(), Some(4));
}

#[test]
fn a_deleted_entry_is_named() {
    for seq in [1, 5, 10] {
        let house = House::with(10);
        house.write(move |tx| ENTRIES.delete(tx, &Seq(seq)).map(drop));
        assert_eq!(house.broken_at(), Some(seq));
    }
}

#[test]
fn entries_that_change_places_are_named() {
    let house = House::with(10);
    let (four, five) = (house.link(4), house.link(5));
    house.put(4, five);
    house.put(5, four);
    assert_eq!(house.broken_at(), Some(4));
}

#[test]
fn a_trail_that_was_cut_off_is_noticed() {
    // The entries alone.
    let house = House::with(10);
    house.write(|tx| ENTRIES.delete(tx, &Seq(10)).map(drop));
    assert_eq!(house.broken_at(), Some(10));
    // And the ends made to fit, without the key of the seal.
    let ends = house.ends();
    let head = house.link(9).hash;
    house.put_ends(Ends {
        next: 10,
        head,
        ..ends
    });
    assert_eq!(house.broken_at(), Some(9));
    // The ends put back to what they once were, seal and all: the entries go further.
    let house = House::with(9);
    let old = house.ends();
    house.note(Event::LoginEnded, T0);
    house.put_ends(old);
    assert_eq!(house.broken_at(), Some(10));
    // The beginning.
    let house = House::with(9);
    house.write(|tx| ENTRIES.delete(tx, &Seq(1)).map(drop));
    let anchor = hash("{}");
    house.put_ends(Ends {
        first: 2,
        anchor,
        ..house.ends()
    });
    assert_eq!(house.broken_at(), Some(2));
}

#[test]
fn a_trail_written_anew_without_the_key_is_noticed_and_stays_so() {
    let house = House::with(10);
    let mut prev = hex::encode(house.link(4).hash);
    for seq in 5..=10 {
        let mut link = house.link(seq);
        let (body, _) = link.body.rsplit_once(",\"prev\"").unwrap();
        link.body = format!(
            "{},\"prev\":\"{prev}\"}}",
            body.replace("operator", "nobody")
        );
        link.hash = hash(&link.body);
        prev = hex::encode(link.hash);
        house.put(seq, link);
    }
    let head = house.link(10).hash;
    house.put_ends(Ends {
        head,
        ..house.ends()
    });
    assert_eq!(house.broken_at(), Some(10), "the seal");
    // The server goes on, and does not seal it as if nothing had been.
    house.note(Event::LoginEnded, T0);
    house.note(Event::LoginEnded, T0);
    assert_eq!(house.broken_at(), Some(11));
}

#[test]
fn what_is_pruned_is_anchored_and_the_rest_is_sound() {
    let house = House::with(30);
    let keep = Retention {
        age: 86_400,
        count: 10,
    };
    let audit = house.audit.clone();
    let now = T0.plus_seconds(60);
    house.write(move |tx| {
        while prune(&audit, tx, keep, 7, now)? {}
        Ok(())
    });
    let ends = house.ends();
    assert!((10..=14).contains(&ends.count()), "{ends:?}");
    assert_eq!(house.verify(), None);
    // Old ones go however few they are, but for the last.
    let audit = house.audit.clone();
    let later = T0.plus_seconds(10 * 86_400);
    house.write(move |tx| prune(&audit, tx, keep, 100, later).map(drop));
    assert_eq!(house.verify(), None);
    let all = page(
        &house.store.reader(),
        &Query {
            limit: 100,
            ..Query::default()
        },
    )
    .unwrap();
    assert!(all.lines.len() <= 2, "{all:?}");
    assert!(all.lines[0].text.contains("audit.pruned"));
    // An anchor that was changed is under the seal.
    house.put_ends(Ends {
        anchor: [1; 32],
        ..house.ends()
    });
    assert!(house.verify().is_some());
}

#[test]
fn a_query_finds_what_it_is_for_and_says_where_to_go_on() {
    let house = House::with(1);
    let (alice, bob) = (Uid::random(), Uid::random());
    for i in 0..40 {
        let audit = house.audit.clone();
        let (uid, name) = if i % 2 == 0 {
            (alice, "alice")
        } else {
            (bob, "bob")
        };
        let entry = Entry::new(Event::LoginEnded).account(uid, name);
        let at = T0.plus_seconds(i);
        house.write(move |tx| audit.record(tx, Some(&Scene::operator(at)), entry));
    }
    let reader = house.store.reader();
    let query = Query {
        account: Some("bob".into()),
        limit: 15,
        ..Query::default()
    };
    let newest = page(&reader, &query).unwrap();
    assert_eq!(newest.lines.len(), 15);
    assert!(
        newest
            .lines
            .windows(2)
            .all(|pair| pair[0].seq > pair[1].seq)
    );
    assert!(
        newest
            .lines
            .iter()
            .all(|line| line.text.contains("\"bob\""))
    );
    let rest = page(
        &reader,
        &Query {
            before: newest.next,
            ..query.clone()
        },
    )
    .unwrap();
    assert_eq!((rest.lines.len(), rest.next), (5, None));
    let rising = page(
        &reader,
        &Query {
            after: Some(0),
            ..query
        },
    )
    .unwrap();
    assert!(
        rising
            .lines
            .windows(2)
            .all(|pair| pair[0].seq < pair[1].seq)
    );
    let timed = Query {
        since: Some(T0.plus_seconds(10)),
        until: Some(T0.plus_seconds(20)),
        event: Some(Event::LoginEnded),
        limit: 100,
        ..Query::default()
    };
    assert_eq!(page(&reader, &timed).unwrap().lines.len(), 10);
}

#[test]
fn an_entry_that_was_not_committed_is_not_there() {
    let house = House::with(3);
    let audit = house.audit.clone();
    let refused: Result<(), StoreError> = house.store.write_blocking(move |tx| {
        audit.record(tx, None, Entry::new(Event::AccountDeleted))?;
        Err(StoreError::Busy)
    });
    assert!(refused.is_err());
    assert_eq!(house.ends().next, 4);
    house.note(Event::LoginEnded, T0);
    assert_eq!(house.verify(), None);
}

#[test]
fn the_names_of_events_are_one_each_and_are_read_back() {
    let names: BTreeSet<_> = Event::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(names.len(), Event::ALL.len());
    for event in Event::ALL {
        assert_eq!(event.name().parse::<Event>(), Ok(*event));
        let is_plain = |b: u8| b.is_ascii_lowercase() || b == b'.' || b == b'_';
        assert!(event.name().bytes().all(is_plain), "{event}");
    }
}

#[test]
fn what_clients_call_themselves_is_bounded_and_on_one_line() {
    let house = House::with(2);
    let scene = Scene {
        agent: Some(format!("a\r\n{{\"seq\":9}}\u{1b}[2J{}", "x".repeat(9000)).into()),
        ..Scene::operator(T0)
    };
    let audit = house.audit.clone();
    house.write(move |tx| audit.record(tx, Some(&scene), Entry::new(Event::LoginEnded)));
    let body = house.link(3).body;
    assert!(
        body.len() < 1500 && !body.chars().any(char::is_control),
        "{body}"
    );
    assert_eq!(house.verify(), None);
}

fn denied(address: u32, uid: Option<Uid>, at: Timestamp) -> Report {
    let scene = Scene {
        address: Some(IpAddr::from(address.to_be_bytes())),
        ..Scene::system(at)
    };
    let entry = Entry::new(Event::LoginDenied).reason("denied");
    let entry = match uid {
        Some(uid) => entry.account(uid, "alice"),
        None => entry,
    };
    Report { scene, entry }
}

#[test]
fn repeated_refusals_are_summed_by_who_and_where_from() {
    let mut sums = Sums::default();
    let alice = Uid::random();
    assert!(sums.take(denied(1, Some(alice), T0)).is_some());
    for _ in 0..50 {
        assert!(sums.take(denied(1, Some(alice), T0)).is_none());
    }
    assert!(
        sums.take(denied(2, Some(alice), T0)).is_some(),
        "from elsewhere"
    );
    assert!(sums.take(denied(1, None, T0)).is_some(), "of nobody known");
    assert!(sums.over(T0.plus_seconds(59), false).is_empty());
    let over = sums.over(T0.plus_seconds(60), false);
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].entry.count, Some(50));
    assert_eq!(over[0].entry.account, Some((alice, "alice".to_owned())));
    assert!(
        sums.take(denied(1, Some(alice), T0)).is_some(),
        "a new window"
    );
}

#[test]
fn a_sum_begun_by_a_clock_that_was_ahead_swallows_nothing() {
    let mut sums = Sums::default();
    let ahead = T0.plus_seconds(2 * 86_400);
    assert!(sums.take(denied(1, None, ahead)).is_some());
    assert!(sums.take(denied(1, None, ahead)).is_none());
    let over = sums.over(T0, false);
    assert_eq!(over.first().and_then(|report| report.entry.count), Some(1));
    assert!(sums.take(denied(1, None, T0)).is_some());
}

#[test]
fn a_spray_from_everywhere_costs_a_bounded_number_of_entries() {
    let mut sums = Sums::default();
    let mut written = 0_u64;
    for address in 0..1_000_000 {
        written += u64::from(sums.take(denied(address, None, T0)).is_some());
    }
    assert!(written <= 257 && sums.len() <= 257, "{written}");
    let over = sums.over(T0, true);
    let counted: u64 = over.iter().filter_map(|report| report.entry.count).sum();
    assert_eq!(written + counted, 1_000_000, "none is forgotten");
    assert!(over.iter().all(|report| report.scene.address.is_none()));
}

#[test]
fn refusals_there_is_no_room_for_hold_nobody_up() {
    let house = House::with(2);
    for address in 0..100_000 {
        let Report { scene, entry } = denied(address, None, T0);
        house.audit.report(scene, entry);
    }
    let lost = house.audit.0.lost.load(Ordering::Relaxed);
    assert_eq!(lost, 100_000 - WAITING as u64);
}
