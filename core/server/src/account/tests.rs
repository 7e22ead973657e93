#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    live::Live,
    store::{Options, Store, Tx},
    token::hash::Hasher,
};

pub(super) const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

pub(super) struct House {
    pub(super) store: Store,
    pub(super) live: Live,
    dir: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
        Self { store, live, dir }
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let live = self.live.clone();
        self.store.write_blocking(move |tx| work(&live, tx))
    }

    pub(super) fn account(&self, name: &str, is_admin: bool) -> Uid {
        let name = AccountName::parse(name).unwrap();
        self.write(move |live, tx| create(live, tx, name, is_admin, None, T0))
            .unwrap()
            .uid
    }
}

pub(super) fn identity(subject: &str) -> IdentityKey {
    IdentityKey {
        backend: "corp".into(),
        issuer: "https://id.example".into(),
        subject: subject.into(),
    }
}

pub(super) fn rules(linking: Linking) -> Rules {
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

pub(super) const ADA: &str = "ada@example.com";

/// Ada as the company's identity provider asserts her.
pub(super) fn ada(email_verified: bool) -> Asserted {
    Asserted {
        key: identity("ada-1"),
        name: ADA.into(),
        username: Some("ada".into()),
        email: Some(ADA.into()),
        email_verified,
        groups: vec!["staff".into()],
    }
}

pub(super) fn linking() -> Rules {
    Rules {
        linking: Linking::Link,
        link_domains: vec!["example.com".into()],
        ..Rules::default()
    }
}

impl House {
    pub(super) fn admit(&self, rules: Rules, asserted: Asserted) -> Result<Account, AccountError> {
        self.write(move |live, tx| admit(live, tx, &rules, &asserted, None, T0))
    }

    pub(super) fn expect(&self, uid: Uid, by: Mark) -> Result<(), AccountError> {
        let expected = Expected {
            backend: "corp".into(),
            by,
        };
        self.write(move |_, tx| expect(tx, &expected, &uid, false))
    }

    /// Carries everybody of `from` over to `to` by their names.
    pub(super) fn carry(&self, from: Option<&str>, to: &str) -> Vec<&'static str> {
        let work = swap::Migration {
            from: from.map(str::to_owned),
            to: to.to_owned(),
            by: swap::By::Username,
        };
        let page = self.write(move |_, tx| Ok(swap::migrate(tx, &work, None, 10, false)?));
        let moved = page.unwrap().accounts;
        moved.into_iter().map(|moved| moved.outcome).collect()
    }

    /// An account that an admin made, whose name is an address.
    pub(super) fn vouched(&self, name: &str) -> Uid {
        let name = AccountName::parse(name).unwrap();
        self.write(move |live, tx| {
            let account = create(live, tx, name, false, None, T0)?;
            address::vouch(tx, &account)?;
            Ok(account.uid)
        })
        .unwrap()
    }
}

#[test]
fn an_account_is_joined_by_an_address_both_sides_prove() {
    let house = House::new();
    let uid = house.vouched(ADA);
    assert_eq!(house.admit(linking(), ada(true)).unwrap().uid, uid);
    // From then on it is the identity that counts, whatever the address is.
    let mut moved = ada(false);
    moved.email = Some("ada@elsewhere.example".into());
    assert_eq!(house.admit(linking(), moved).unwrap().uid, uid);
}

#[test]
fn no_account_is_joined_by_an_address_that_is_not_proven() {
    let unverified = ada(false);
    let mut elsewhere = ada(true);
    elsewhere.email = Some("ada@elsewhere.example".into());
    let not_authoritative = Rules {
        link_domains: vec!["other.example".into()],
        ..linking()
    };
    let creating = Rules {
        linking: Linking::Create,
        ..linking()
    };
    for (rules, asserted) in [
        (linking(), unverified),
        (linking(), elsewhere),
        (not_authoritative, ada(true)),
        (creating, ada(true)),
    ] {
        let house = House::new();
        house.vouched(ADA);
        let refused = house.admit(rules, asserted);
        assert!(
            matches!(refused, Err(AccountError::NameTaken)),
            "{refused:?}"
        );
    }
    // Whoever registered under the address before has not proven it.
    let house = House::new();
    house.account(ADA, false);
    let refused = house.admit(linking(), ada(true));
    assert!(
        matches!(refused, Err(AccountError::NameTaken)),
        "{refused:?}"
    );
}

#[test]
fn what_the_operator_expects_is_linked_once() {
    for by in [
        Mark::Subject("ada-1".into()),
        Mark::Email(ADA.into()),
        Mark::Username("ada".into()),
    ] {
        let house = House::new();
        let (alice, bob) = (house.account("alice", false), house.account("bob", false));
        house.expect(alice, by.clone()).unwrap();
        let again = house.expect(bob, by.clone());
        assert!(matches!(again, Err(AccountError::IdentityTaken)));
        let existing = || rules(Linking::Existing);
        assert_eq!(house.admit(existing(), ada(true)).unwrap().uid, alice);
        let mut another = ada(true);
        another.key = identity("another");
        let refused = house.admit(existing(), another);
        assert!(matches!(refused, Err(AccountError::NotAdmitted)), "{by:?}");
    }
}

#[test]
fn an_expected_address_has_to_be_verified() {
    let house = House::new();
    let alice = house.account("alice", false);
    house.expect(alice, Mark::Email(ADA.into())).unwrap();
    let refused = house.admit(rules(Linking::Existing), ada(false));
    assert!(matches!(refused, Err(AccountError::NotAdmitted)));
}

#[test]
fn domains_and_groups_admit_whom_they_name() {
    let domains = |domain: &str| Rules {
        allowed_domains: vec![domain.into()],
        ..Rules::default()
    };
    let groups = |group: &str| Rules {
        allowed_groups: vec![group.into()],
        ..Rules::default()
    };
    assert!(
        House::new()
            .admit(domains("example.com"), ada(true))
            .is_ok()
    );
    assert!(House::new().admit(groups("staff"), ada(true)).is_ok());
    for near in [
        "xample.com",
        "example.co",
        "sub.example.com",
        "ada@example.com",
        "",
    ] {
        let refused = House::new().admit(domains(near), ada(true));
        assert!(matches!(refused, Err(AccountError::Domain(_))), "{near}");
    }
    for near in ["Staff", "staf", "staff2", ""] {
        let refused = House::new().admit(groups(near), ada(true));
        assert!(matches!(refused, Err(AccountError::Group)), "{near}");
    }
    // Rules hold for those who have been here before, too.
    let house = House::new();
    house.admit(Rules::default(), ada(true)).unwrap();
    let refused = house.admit(groups("board"), ada(true));
    assert!(matches!(refused, Err(AccountError::Group)));
}

#[test]
fn an_invite_lets_in_whom_the_domains_do_not_and_is_used_up() {
    let house = House::new();
    let invite = house
        .write(|live, tx| {
            let invite = Invite {
                is_admin: false,
                invited_by: None,
                expires_at: T0.plus_seconds(60),
            };
            issue_invite(live, tx, &invite)
        })
        .unwrap();
    let strict = |allow_invites| Rules {
        linking: Linking::Existing,
        allowed_domains: vec!["other.example".into()],
        allow_invites,
        ..Rules::default()
    };
    let with = |rules: Rules, asserted: Asserted| {
        let token = invite.expose().clone();
        house.write(move |live, tx| admit(live, tx, &rules, &asserted, Some(&token), T0))
    };
    let refused = with(strict(false), ada(true));
    assert!(
        matches!(refused, Err(AccountError::Domain(_))),
        "{refused:?}"
    );
    with(strict(true), ada(true)).unwrap();
    house.admit(strict(true), ada(true)).unwrap();
    let mut bob = ada(true);
    (bob.key, bob.name) = (identity("bob-1"), "bob".into());
    let used = with(strict(true), bob);
    assert!(matches!(used, Err(AccountError::Invite)), "{used:?}");
}

#[test]
fn a_group_makes_an_admin_and_takes_back_only_what_it_gave() {
    let house = House::new();
    house.account("root", true);
    let admins = || Rules {
        admin_groups: vec!["staff".into()],
        ..Rules::default()
    };
    let without = || Asserted {
        groups: Vec::new(),
        ..ada(true)
    };
    assert!(house.admit(admins(), ada(true)).unwrap().is_admin);
    assert!(!house.admit(admins(), without()).unwrap().is_admin);
    let uid = house.admit(admins(), without()).unwrap().uid;
    house
        .write(move |live, tx| set_admin(live, tx, &uid, true))
        .unwrap();
    assert!(house.admit(admins(), without()).unwrap().is_admin);
}

#[test]
fn the_last_admin_stays_one_outside_the_group() {
    let house = House::new();
    let admins = || Rules {
        admin_groups: vec!["staff".into()],
        ..Rules::default()
    };
    assert!(house.admit(admins(), ada(true)).unwrap().is_admin);
    let mut left = ada(true);
    left.groups.clear();
    assert!(house.admit(admins(), left).unwrap().is_admin);
}

#[test]
fn an_unlinked_identity_leads_nowhere() {
    let house = House::new();
    let uid = house.admit(Rules::default(), ada(true)).unwrap().uid;
    let key = identity("ada-1");
    let stranger = house.account("bob", false);
    let wrong = key.clone();
    let refused = house.write(move |live, tx| unlink(live, tx, &stranger, &wrong));
    assert!(matches!(refused, Err(AccountError::NotFound)));
    house
        .write(move |live, tx| unlink(live, tx, &uid, &key))
        .unwrap();
    let refused = house.admit(Rules::default(), ada(true));
    assert!(matches!(refused, Err(AccountError::NameTaken)));
}
