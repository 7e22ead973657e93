#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    account,
    login::{
        LOGINS, end_all,
        house::{T0, with_account},
    },
    store::Store,
};

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

    fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let live = self.live.clone();
        self.store.write_blocking(move |tx| work(&live, tx))
    }

    fn issue(&self) -> Issued {
        let home = [192, 0, 2, 1].into();
        let issued = self.write(move |live, tx| issue(live, tx, home, "cli", T0));
        issued.unwrap().unwrap()
    }

    fn approved(&self) -> String {
        let issued = self.issue();
        let code = issued.code.expose().clone();
        let approval = Approval {
            uid: self.uid,
            backend: "local".into(),
            provider: "accounts".into(),
            identity: (String::new(), "alice".into()),
        };
        let decided = self.write(move |live, tx| decide(live, tx, &code, Some(approval), T0));
        assert!(decided.unwrap());
        issued.secret.expose().clone()
    }

    fn poll(&self, secret: &str, now: Timestamp) -> Polled {
        poll(&self.live, &self.store.reader(), secret, now).unwrap()
    }

    fn redeem(&self, secret: &str, now: Timestamp) -> Result<Established, Polled> {
        let secret = secret.to_owned();
        let redeemed = self.write(move |live, tx| redeem(live, tx, &secret, lasting, now));
        redeemed.unwrap()
    }

    fn logins(&self) -> usize {
        let reader = self.store.reader();
        LOGINS.scan(&reader, &[], None, Order::Ascending).count()
    }
}

fn lasting(_: &str) -> Lifetimes {
    Lifetimes {
        access: 8 * 3600,
        refreshed: 3600,
        grant: 30 * 86_400,
        issuer: "i".into(),
        audience: "a".into(),
    }
}

#[test]
fn what_nobody_approved_in_time_is_not_redeemed() {
    let house = House::new();
    let (pending, approved) = (house.issue(), house.approved());
    let pending = pending.secret.expose();
    let late = T0.plus_seconds(LIFETIME);
    for (secret, now, stands) in [
        ("guess", T0, Polled::Unknown),
        (pending, T0, Polled::Pending),
        (pending, late, Polled::Expired),
        (&approved, late, Polled::Expired),
    ] {
        assert_eq!(house.poll(secret, now), stands);
        assert_eq!(house.redeem(secret, now).unwrap_err(), stands);
    }
    assert_eq!(house.logins(), 0);
}

#[test]
fn an_approved_ticket_is_redeemed_once() {
    let house = House::new();
    let secret = house.approved();
    assert_eq!(house.poll(&secret, T0), Polled::Approved);
    let begun = house.redeem(&secret, T0).unwrap();
    assert_eq!(begun.claims.uid, house.uid);
    assert!(begun.refresh_token.is_some());
    assert_eq!(house.redeem(&secret, T0).unwrap_err(), Polled::Unknown);
    assert_eq!(
        (house.poll(&secret, T0), house.logins()),
        (Polled::Unknown, 1)
    );
}

#[test]
fn a_redemption_that_fails_loses_neither_ticket_nor_login() {
    let house = House::new();
    let secret = house.approved();
    let asked = secret.clone();
    let failed = house.write(move |live, tx| {
        assert!(redeem(live, tx, &asked, lasting, T0)?.is_ok());
        Err::<(), _>(StoreError::Busy)
    });
    assert!(matches!(failed, Err(StoreError::Busy)));
    assert_eq!(
        (house.poll(&secret, T0), house.logins()),
        (Polled::Approved, 0)
    );
    assert!(house.redeem(&secret, T0).is_ok());
}

#[test]
fn ending_all_logins_before_or_after_leaves_none() {
    let house = House::new();
    let (early, late) = (house.approved(), house.approved());
    let uid = house.uid;
    let end = move |live: &Live, tx: &mut Tx<'_>| end_all(live, tx, &uid, None, T0);
    let sid = house.redeem(&early, T0).unwrap().claims.sid;
    assert_eq!(house.write(end).unwrap(), 1);
    assert!(house.live.revocations.contains(sid.as_bytes()));
    assert_eq!(house.redeem(&late, T0).unwrap_err(), Polled::Unknown);
    assert_eq!(house.logins(), 0);
}

#[test]
fn an_account_that_was_disabled_meanwhile_gives_nothing() {
    let house = House::new();
    let secret = house.approved();
    let key = key(&house.live, &secret);
    let kept = TICKETS.get(&house.store.reader(), &key).unwrap().unwrap();
    let uid = house.uid;
    let disabled = house.write(move |live, tx| {
        account::set_disabled(live, tx, &uid, true, T0)?;
        // As if the approval had not been taken back with it.
        TICKETS.put(tx, &key, &kept)?;
        Ok::<_, AccountError>(())
    });
    disabled.unwrap();
    assert_eq!(house.poll(&secret, T0), Polled::Approved);
    for _ in 0..2 {
        assert_eq!(house.redeem(&secret, T0).unwrap_err(), Polled::Unknown);
    }
    assert_eq!(
        (house.poll(&secret, T0), house.logins()),
        (Polled::Unknown, 0)
    );
}
