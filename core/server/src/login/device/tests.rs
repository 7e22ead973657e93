#![allow(clippy::unwrap_used)]

use super::{poll::exchange, *};
use crate::{
    account,
    id::Uid,
    login::{
        Established, LOGINS, Lifetimes, end_all,
        house::{T0, with_account},
    },
    store::Store,
    token::{Scope, TokenUse},
};

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct House {
    store: Store,
    live: Live,
    uid: Uid,
    _dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let (_dir, store, live, uid) = with_account("alice", None);
        Self {
            store,
            live,
            uid,
            _dir,
        }
    }

    fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let live = self.live.clone();
        self.store.write_blocking(move |tx| f(&live, tx)).unwrap()
    }

    fn ask(&self, address: IpAddr, now: Timestamp) -> Result<Issued, TooMany> {
        let applicant = Applicant {
            address,
            user_agent: "tv\u{1b}[2J".into(),
            client_id: Some("tv".into()),
        };
        self.write(move |live, tx| ask(live, tx, applicant, now))
    }

    fn approve(&self, code: &str, since: Timestamp, now: Timestamp) -> Decided {
        let (code, uid) = (code.to_owned(), self.uid);
        let approval = Approval {
            uid,
            backend: "local".into(),
            provider: "accounts".into(),
            identity: (String::new(), "alice".into()),
        };
        self.write(move |live, tx| approve(live, tx, &code, approval, since, now))
    }

    fn poll(&self, issued: &Issued, client_id: Option<&str>, now: Timestamp) -> Polled {
        let code = issued.device_code.expose();
        poll(&self.live, &self.store.reader(), code, client_id, now).unwrap()
    }

    fn exchange(&self, issued: &Issued, now: Timestamp) -> Result<Established, Polled> {
        let lifetimes = Lifetimes {
            access: 8 * 3600,
            refreshed: 3600,
            grant: 30 * 86_400,
            issuer: "i".into(),
            audience: "a".into(),
        };
        let code = issued.device_code.expose().clone();
        self.write(move |live, tx| exchange(live, tx, &code, None, &lifetimes, now))
    }
}

#[test]
fn what_is_approved_is_exchanged_once_for_an_hour_of_sessions() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    assert!(matches!(house.poll(&issued, None, T0), Polled::Pending(_)));
    assert_eq!(house.approve(&issued.user_code, T0, T0), Decided::Done);
    assert_eq!(house.poll(&issued, Some("tv"), T0), Polled::Approved);
    let established = house.exchange(&issued, T0).unwrap();
    let claims = &established.claims;
    assert_eq!(claims.scope, Some(Scope::Sessions.into()));
    assert_eq!(claims.expires_at, Some(T0.plus_seconds(3600)));
    assert_eq!(claims.client_id.as_deref(), Some("tv"));
    assert_eq!(claims.token_use, TokenUse::Access);
    assert!(claims.grant.is_some() && established.refresh_token.is_some());
    let login = LOGINS
        .get(&house.store.reader(), &(house.uid, claims.sid))
        .unwrap()
        .unwrap();
    assert_eq!(login.user_agent, "tv[2J", "control characters are left out");
    assert_eq!(house.exchange(&issued, T0).unwrap_err(), Polled::Unknown);
    assert_eq!(house.poll(&issued, None, T0), Polled::Unknown);
}

#[test]
fn what_nobody_approved_is_not_exchanged() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    let pending = house.exchange(&issued, T0).unwrap_err();
    assert!(matches!(pending, Polled::Pending(_)));
    let code = issued.user_code.clone();
    let denied = house.write(move |live, tx| deny(live, tx, &code, T0));
    assert_eq!(denied, Decided::Done);
    assert_eq!(house.exchange(&issued, T0).unwrap_err(), Polled::Denied);
    assert_eq!(house.approve(&issued.user_code, T0, T0), Decided::Unknown);
    assert_eq!(house.poll(&issued, None, T0), Polled::Denied);
}

#[test]
fn a_login_older_than_the_request_approves_nothing() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    let before = Timestamp::from_millis(T0.millis() - 1);
    assert_eq!(house.approve(&issued.user_code, before, T0), Decided::Stale);
    assert!(matches!(house.poll(&issued, None, T0), Polled::Pending(_)));
}

#[test]
fn what_is_over_is_neither_approved_nor_exchanged() {
    let house = House::new();
    let (late, never) = (house.ask(HOME, T0).unwrap(), house.ask(HOME, T0).unwrap());
    assert_eq!(house.approve(&late.user_code, T0, T0), Decided::Done);
    let end = T0.plus_seconds(LIFETIME);
    assert_eq!(house.exchange(&late, end).unwrap_err(), Polled::Expired);
    assert_eq!(house.approve(&never.user_code, end, end), Decided::Unknown);
    assert_eq!(house.poll(&never, None, end), Polled::Expired);
    house.write(move |_, tx| {
        let past = look(tx, None, 100, end.plus_seconds(LIFETIME))?.past;
        forget(tx, &past, end.plus_seconds(LIFETIME)).map(drop)
    });
    assert_eq!(house.poll(&never, None, end), Polled::Unknown);
}

#[test]
fn another_client_gets_nothing_for_it() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    house.approve(&issued.user_code, T0, T0);
    assert_eq!(house.poll(&issued, Some("fridge"), T0), Polled::Unknown);
    assert_eq!(house.poll(&issued, Some("tv"), T0), Polled::Approved);
}

#[test]
fn an_account_that_was_disabled_meanwhile_gives_nothing() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    house.approve(&issued.user_code, T0, T0);
    let (live, uid) = (house.live.clone(), house.uid);
    house
        .store
        .write_blocking(move |tx| account::set_disabled(&live, tx, &uid, true, T0))
        .unwrap();
    assert_eq!(house.exchange(&issued, T0).unwrap_err(), Polled::Denied);
    assert_eq!(house.exchange(&issued, T0).unwrap_err(), Polled::Denied);
}

#[test]
fn ending_the_login_ends_what_was_delegated() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    house.approve(&issued.user_code, T0, T0);
    let sid = house.exchange(&issued, T0).unwrap().claims.sid;
    let (live, uid) = (house.live.clone(), house.uid);
    let ended = house
        .store
        .write_blocking(move |tx| end_all(&live, tx, &uid, None, T0))
        .unwrap();
    assert_eq!(ended, 1);
    assert!(house.live.revocations.contains(sid.as_bytes()));
}

#[test]
fn a_network_asks_ten_times_a_minute_and_stops_nobody_else() {
    let house = House::new();
    let first = house.ask(HOME, T0).unwrap();
    for _ in 1..PER_MINUTE {
        house.ask(HOME, T0).unwrap();
    }
    assert!(house.ask(HOME, T0).is_err());
    assert!(house.ask(HOME, T0.plus_seconds(59)).is_err());
    assert!(house.ask("198.51.100.7".parse().unwrap(), T0).is_ok());
    assert!(house.ask(HOME, T0.plus_seconds(60)).is_ok());
    assert_eq!(house.approve(&first.user_code, T0, T0), Decided::Done);
}

#[test]
fn no_code_is_stored_as_it_is() {
    let house = House::new();
    let issued = house.ask(HOME, T0).unwrap();
    let reader = house.store.reader();
    for entry in DEVICES.scan(&reader, &[], None, Order::Ascending) {
        let (key, device) = entry.unwrap();
        let shown = format!("{key:?} {device:?}");
        let letters = issued.user_code.replace('-', "");
        assert!(!shown.contains(&issued.user_code) && !shown.contains(&letters));
        assert!(!shown.contains(issued.device_code.expose()));
    }
}

#[test]
fn codes_are_read_however_they_are_typed() {
    for typed in [
        "ABCD-2345",
        "abcd2345",
        " ab cd - 23 45 ",
        "a-b-c-d-2-3-4-5",
    ] {
        assert_eq!(normal(typed).as_deref(), Some("ABCD-2345"), "{typed}");
    }
    for typed in [
        "",
        "ABCD",
        "ABCD-23456",
        "ABCD_2345",
        "ÄBCD-234",
        &"A ".repeat(60),
    ] {
        assert_eq!(normal(typed), None, "{typed}");
    }
}

#[test]
fn polls_keep_their_interval() {
    let (pace, key) = (Pace::default(), [1; 32]);
    assert!(!pace.is_too_soon(key, T0));
    assert!(pace.is_too_soon(key, T0.plus_seconds(1)));
    assert!(
        pace.is_too_soon(key, T0.plus_seconds(3)),
        "a poll too soon counts too"
    );
    assert!(!pace.is_too_soon([2; 32], T0.plus_seconds(3)));
    assert!(!pace.is_too_soon(key, T0.plus_seconds(8)));
}
