#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    live::Live,
    store::{Options, Store, Tx},
    token::hash::Hasher,
};

const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

struct House {
    store: Store,
    live: Live,
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
        Self { store, live, dir }
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let live = self.live.clone();
        self.store.write_blocking(move |tx| work(&live, tx))
    }

    fn account(&self, name: &str, is_admin: bool) -> Uid {
        let name = AccountName::parse(name).unwrap();
        self.write(move |live, tx| create(live, tx, name, is_admin, None, T0))
            .unwrap()
            .uid
    }
}

fn identity(subject: &str) -> IdentityKey {
    IdentityKey {
        backend: "corp".into(),
        issuer: "https://id.example".into(),
        subject: subject.into(),
    }
}

fn rules(linking: Linking) -> Rules {
    Rules {
        linking,
        ..Rules::default()
    }
}

#[test]
fn a_name_has_one_account() {
    let house = House::new();
    house.account("alice", false);
    let name = AccountName::parse("ALICE").unwrap();
    let again = house.write(move |live, tx| create(live, tx, name, false, None, T0));
    assert!(matches!(again, Err(AccountError::NameTaken)));
}

#[test]
fn an_identity_leads_to_one_account_for_ever() {
    let house = House::new();
    let asserted = |name: &str| Asserted {
        key: identity("1"),
        name: name.into(),
        ..Asserted::default()
    };
    let first = asserted("alice");
    let alice = house
        .write(move |live, tx| admit(live, tx, &rules(Linking::Create), &first, None, T0))
        .unwrap();
    let renamed = asserted("alice-has-married");
    let again = house
        .write(move |live, tx| admit(live, tx, &rules(Linking::Create), &renamed, None, T0))
        .unwrap();
    assert_eq!(alice.uid, again.uid);
    let bob = house.account("bob", false);
    let stolen = house.write(move |live, tx| link(live, tx, &bob, identity("1"), T0));
    assert!(matches!(stolen, Err(AccountError::IdentityTaken)));
}

#[test]
fn an_identity_is_never_merged_into_an_account_that_has_its_name() {
    let house = House::new();
    house.account("alice", true);
    let asserted = Asserted {
        key: identity("666"),
        name: "alice".into(),
        ..Asserted::default()
    };
    let taken =
        house.write(move |live, tx| admit(live, tx, &rules(Linking::Create), &asserted, None, T0));
    assert!(matches!(taken, Err(AccountError::NameTaken)));
}

#[test]
fn where_nobody_is_admitted_a_new_identity_is_refused() {
    let house = House::new();
    let asserted = Asserted {
        key: identity("1"),
        name: "alice".into(),
        ..Asserted::default()
    };
    let refused = house
        .write(move |live, tx| admit(live, tx, &rules(Linking::Existing), &asserted, None, T0));
    assert!(matches!(refused, Err(AccountError::NotAdmitted)));
}

#[test]
fn a_backend_cannot_assert_a_reserved_name() {
    let house = House::new();
    for name in ["local", "LOCAL", "__public__", "me", "../x", ""] {
        let asserted = Asserted {
            key: identity(name),
            name: name.into(),
            ..Asserted::default()
        };
        let refused = house
            .write(move |live, tx| admit(live, tx, &rules(Linking::Create), &asserted, None, T0));
        assert!(matches!(refused, Err(AccountError::Name(_))), "{name}");
    }
}

#[test]
fn the_last_enabled_admin_stays() {
    let house = House::new();
    let (alice, bob) = (house.account("alice", true), house.account("bob", true));
    house
        .write(move |live, tx| set_disabled(live, tx, &bob, true, T0))
        .unwrap();
    type Attempt = fn(&Live, &mut Tx<'_>, &Uid) -> Result<Account, AccountError>;
    let last: [Attempt; 3] = [
        |live, tx, uid| set_admin(live, tx, uid, false),
        |live, tx, uid| set_disabled(live, tx, uid, true, T0),
        |live, tx, uid| delete(live, tx, uid, T0),
    ];
    for attempt in last {
        let refused = house.write(move |live, tx| attempt(live, tx, &alice));
        assert!(matches!(refused, Err(AccountError::LastAdmin)));
    }
    assert!(
        house.live.accounts.get(&alice).unwrap().is_admin(),
        "memory did not follow what was refused"
    );
    house
        .write(move |live, tx| set_disabled(live, tx, &bob, false, T0))
        .unwrap();
    house
        .write(move |live, tx| delete(live, tx, &alice, T0))
        .unwrap();
}

#[test]
fn two_admins_cannot_demote_each_other() {
    for _ in 0..20 {
        let house = House::new();
        let admins = [house.account("alice", true), house.account("bob", true)];
        let demoted = std::thread::scope(|scope| {
            let both = admins.map(|uid| {
                scope.spawn({
                    let house = &house;
                    move || {
                        house
                            .write(move |live, tx| set_admin(live, tx, &uid, false))
                            .is_ok()
                    }
                })
            });
            both.map(|one| one.join().unwrap())
        });
        assert_eq!(demoted.iter().filter(|one| **one).count(), 1);
    }
}

#[test]
fn a_deleted_account_is_gone_from_memory_and_its_name_starts_afresh() {
    let house = House::new();
    house.account("root", true);
    let first = house.account("alice", false);
    let state = house.live.accounts.get(&first).unwrap();
    house
        .write(move |live, tx| delete(live, tx, &first, T0))
        .unwrap();
    assert!(state.is_deleted());
    assert!(house.live.accounts.get(&first).is_none());
    let second = house.account("alice", false);
    assert_ne!(first, second);
    assert_eq!(house.live.accounts.by_id("alice").unwrap().uid, second);
}

#[test]
fn memory_is_rebuilt_from_the_store() {
    let house = House::new();
    let alice = house.account("alice", true);
    house.account("bob", true);
    house
        .write(move |live, tx| set_disabled(live, tx, &alice, true, T0))
        .unwrap();
    let House { store, dir, .. } = house;
    let index = load_index(&store.reader()).unwrap();
    let state = index.get(&alice).unwrap();
    assert!(state.is_admin() && state.is_disabled());
    assert_eq!(&*state.id, "alice");
    drop((store, dir));
}

#[test]
fn an_invite_is_honoured_once_and_in_time() {
    let house = House::new();
    let issue = |house: &House| {
        let invite = Invite {
            is_admin: true,
            invited_by: None,
            expires_at: T0.plus_seconds(60),
        };
        house
            .write(move |live, tx| issue_invite(live, tx, &invite))
            .unwrap()
            .expose()
            .clone()
    };
    let redeem = |house: &House, token: &str, now| {
        let token = token.to_owned();
        house.write(move |live, tx| redeem_invite(live, tx, &token, now))
    };
    let token = issue(&house);
    for forged in ["", "x", &token[1..], &token.to_uppercase()] {
        assert!(matches!(
            redeem(&house, forged, T0),
            Err(AccountError::Invite)
        ));
    }
    assert!(redeem(&house, &token, T0).unwrap().is_admin);
    assert!(matches!(
        redeem(&house, &token, T0),
        Err(AccountError::Invite)
    ));
    let late = issue(&house);
    assert!(matches!(
        redeem(&house, &late, T0.plus_seconds(60)),
        Err(AccountError::Invite)
    ));
}

#[test]
fn a_magic_link_works_once_and_in_time() {
    let house = House::new();
    let uid = house.account("alice", false);
    let issue = |house: &House| {
        let link = MagicLink {
            uid,
            expires_at: T0.plus_seconds(60),
        };
        house
            .write(move |live, tx| issue_magic(live, tx, &link))
            .unwrap()
            .expose()
            .clone()
    };
    let redeem = |house: &House, token: &str, now| {
        let token = token.to_owned();
        house.write(move |live, tx| redeem_magic(live, tx, &token, now))
    };
    let token = issue(&house);
    assert_eq!(redeem(&house, &token, T0).unwrap(), uid);
    assert!(matches!(
        redeem(&house, &token, T0),
        Err(AccountError::Magic)
    ));
    let late = issue(&house);
    assert!(matches!(
        redeem(&house, &late, T0.plus_seconds(60)),
        Err(AccountError::Magic)
    ));
}
