//! What is past goes, what is alive stays, whatever the clock does.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::{
    account::{INVITES, Invite},
    id::{GrantId, LoginId, Uid},
    login::{LOGINS, Login},
    store::{Options, Order, Record, Table},
    token::{
        self,
        grant::{GRANTS, Grant},
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: u64 = 24 * 3600;
const TEN_YEARS: u64 = 3652 * DAY;

struct House {
    store: Store,
    index: Arc<RevocationIndex>,
    _dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
        let index = Arc::new(token::load(&store.reader(), NOW).unwrap());
        Self {
            store,
            index,
            _dir: dir,
        }
    }

    /// A round at `now`; says how many records went.
    async fn round(&self, now: Timestamp) -> usize {
        self.index.purge(now);
        let mut sweeper = Sweeper::default();
        sweeper.begin();
        let mut forgotten = 0;
        while sweeper.is_sweeping() {
            forgotten += sweeper
                .turn(&self.store, &self.index, now, 500)
                .await
                .unwrap();
        }
        forgotten
    }

    /// Logins that end at these times, each with a grant and a revocation of another login that
    /// ended with it, and an invite.
    fn add(&self, ends: Vec<Timestamp>) {
        for ends in ends.chunks(1000) {
            let ends = ends.to_vec();
            self.store
                .write_blocking(move |tx| ends.into_iter().try_for_each(|end| add(tx, end)))
                .unwrap();
        }
    }

    fn counts(&self) -> [usize; 4] {
        let reader = self.store.reader();
        [
            count(&reader, LOGINS),
            count(&reader, GRANTS),
            count(&reader, token::REVOCATIONS),
            count(&reader, INVITES),
        ]
    }
}

fn count<K: crate::store::Key + ?Sized, V: Record>(from: &Reader, table: Table<K, V>) -> usize {
    table.scan(from, &[], None, Order::Ascending).count()
}

fn add(tx: &mut Tx<'_>, end: Timestamp) -> Result<(), StoreError> {
    let (uid, sid, grant) = (Uid::random(), LoginId::random(), GrantId::random());
    let login = Login {
        expires_at: end,
        grant: Some(grant),
        ..some_login()
    };
    LOGINS.put(tx, &(uid, sid), &login)?;
    let kept = Grant {
        uid,
        sid,
        client_id: "omnigent-cli".into(),
        expires_at: end,
        generation: 1,
        rotated_at: Timestamp::default(),
        scope: None,
    };
    GRANTS.put(tx, &grant, &kept)?;
    token::revoke(tx, *LoginId::random().as_bytes(), Some(end))?;
    let invite = Invite {
        is_admin: false,
        invited_by: None,
        expires_at: end,
    };
    INVITES.put(tx, &crate::id::random_bytes(), &invite)
}

fn some_login() -> Login {
    Login {
        created_at: Timestamp::default(),
        expires_at: Timestamp::default(),
        backend: "local".into(),
        identity: (String::new(), "ada".into()),
        address: "127.0.0.1".into(),
        user_agent: "test".into(),
        grant: None,
        client_id: None,
    }
}

#[tokio::test]
async fn a_hundred_thousand_rows_that_are_past_go_and_nothing_alive_does() {
    let house = House::new();
    house.add(vec![NOW; 25_000]);
    house.add(vec![NOW.plus_seconds(30 * DAY); 300]);
    // Past their end, but not by the margin.
    assert_eq!(house.round(NOW.plus_seconds(MARGIN - 1)).await, 0);
    for minute in 0..14 {
        house.index.purge(NOW.plus_seconds(minute * 300));
    }
    assert_eq!(
        house.round(NOW.plus_seconds(MARGIN + 60)).await,
        75_000,
        "and 25 000 grants with their logins"
    );
    assert_eq!(house.counts(), [300; 4]);
    let stats = house.store.stats();
    assert_eq!(
        stats.records,
        4 * 300 + 1,
        "and how far forgetting has come"
    );
}

#[tokio::test]
async fn a_turn_looks_at_no_more_than_its_budget() {
    let house = House::new();
    house.add(vec![Timestamp::from_seconds(1); 1000]);
    let mut sweeper = Sweeper::default();
    sweeper.begin();
    let turn = sweeper.turn(&house.store, &house.index, NOW, 100).await;
    assert_eq!(turn, Ok(100));
    assert_eq!(house.counts()[0], 900);
}

#[tokio::test]
async fn a_clock_ten_years_ahead_and_back_deletes_and_revives_nothing() {
    let house = House::new();
    house.add(vec![NOW.plus_seconds(DAY); 50]);
    let revoked = [7; 16];
    house
        .store
        .write_blocking(move |tx| token::revoke(tx, revoked, Some(NOW.plus_seconds(DAY))))
        .unwrap();
    house.index.insert(revoked, Some(NOW.plus_seconds(DAY)));
    // An hour ahead of everything, then right again.
    for _ in 0..60 {
        house.round(NOW.plus_seconds(TEN_YEARS)).await;
    }
    assert_eq!(house.counts(), [50, 50, 51, 50]);
    assert!(house.index.contains(&revoked));
    for minute in 0..60 {
        house.round(NOW.plus_seconds(minute * 60)).await;
    }
    assert_eq!(house.counts(), [50, 50, 51, 50]);
    let again = token::load(&house.store.reader(), NOW.plus_seconds(TEN_YEARS)).unwrap();
    assert!(
        again.contains(&revoked),
        "also after a restart while it is ahead"
    );
    // When its time has really come, all of it goes.
    let mut now = NOW;
    while now < NOW.plus_seconds(DAY + 3 * MARGIN) {
        house.index.purge(now);
        now = now.plus_seconds(240);
    }
    house.round(now).await;
    assert_eq!(house.counts(), [0; 4]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_days_takes_nothing_from_who_signs_in_after() {
    let house = House::new();
    for _ in 0..1000 {
        house.index.purge(NOW.plus_seconds(3 * DAY));
    }
    house.add(vec![NOW.plus_seconds(DAY / 2); 20]);
    house.index.insert([8; 16], Some(NOW.plus_seconds(DAY / 2)));
    for minute in 0..60 {
        assert_eq!(house.round(NOW.plus_seconds(minute * 60)).await, 0);
    }
    assert!(house.index.contains(&[8; 16]), "who signs out stays out");
    assert_eq!(house.index.floor(), Timestamp::default());
    assert_eq!(house.counts(), [20; 4]);
}

#[tokio::test]
async fn tokens_of_a_login_that_was_deleted_stay_refused_when_the_clock_is_set_back() {
    let house = House::new();
    let (alive, past) = (NOW.plus_seconds(40 * DAY), NOW.plus_seconds(DAY));
    let login = move |tx: &mut Tx<'_>, end| {
        let login = Login {
            expires_at: end,
            ..some_login()
        };
        LOGINS.put(tx, &(Uid::random(), LoginId::random()), &login)
    };
    let write = move |tx: &mut Tx<'_>| login(tx, past).and_then(|()| login(tx, alive));
    house.store.write_blocking(write).unwrap();
    for _ in 0..1000 {
        house.index.purge(NOW.plus_seconds(2 * DAY));
    }
    assert_eq!(house.round(NOW.plus_seconds(2 * DAY)).await, 1);
    assert_eq!(house.index.floor(), past, "nothing could end them any more");
    let again = token::load(&house.store.reader(), NOW).unwrap();
    assert_eq!(again.floor(), past, "also after a restart");
}
