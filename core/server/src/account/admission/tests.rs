#![allow(clippy::unwrap_used)]

use super::{
    super::{
        Invite, REMNANTS, Remnant, delete, issue_invite,
        tests::{ADA, House, T0, ada, identity, linking},
        unlink,
    },
    *,
};

/// Admits nobody but by an invite.
fn strict() -> Rules {
    Rules {
        allowed_domains: vec!["other.example".into()],
        allow_invites: true,
        ..Rules::default()
    }
}

impl House {
    /// Ada, from elsewhere, by an invite.
    fn invited(&self) -> Uid {
        let account = self.write(|live, tx| {
            let invite = Invite {
                is_admin: false,
                invited_by: None,
                expires_at: T0.plus_seconds(60),
            };
            let token = issue_invite(live, tx, &invite)?;
            admit(
                live,
                tx,
                &strict(),
                &ada(true),
                Some(token.expose()),
                T0.plus_seconds(1),
            )
        });
        account.unwrap().uid
    }

    #[track_caller]
    fn is_not_let_in(&self, asserted: Asserted) {
        let refused = self.admit(strict(), asserted);
        assert!(
            matches!(refused, Err(AccountError::Domain(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn an_invited_outsider_who_is_deleted_needs_another_invite() {
    let house = House::new();
    house.account("root", true);
    let uid = house.invited();
    house.admit(strict(), ada(true)).unwrap();
    house
        .write(move |live, tx| delete(live, tx, &uid, T0))
        .unwrap();
    house.is_not_let_in(ada(true));
    assert_ne!(house.invited(), uid);
    house.admit(strict(), ada(true)).unwrap();
}

#[test]
fn an_invited_outsider_who_is_unlinked_needs_another_invite() {
    let house = House::new();
    let uid = house.invited();
    let key = ada(true).key;
    house
        .write(move |live, tx| unlink(live, tx, &uid, &key))
        .unwrap();
    let mut renamed = ada(true);
    renamed.name = "ada-again".into();
    house.is_not_let_in(renamed);
}

#[test]
fn a_waiver_that_outlived_its_identity_lets_nobody_in() {
    let house = House::new();
    house
        .write(|_, tx| Ok(WAIVED.put(tx, &identity("ada-1"), &())?))
        .unwrap();
    house.is_not_let_in(ada(true));
    // Nor does it come back with an account that is found another way.
    let bob = house.account("bob", false);
    house.expect(bob, Mark::Subject("ada-1".into())).unwrap();
    house.admit(Rules::default(), ada(true)).unwrap();
    house.is_not_let_in(ada(true));
}

/// Admits the company's people only.
fn company() -> Rules {
    Rules {
        allowed_domains: vec!["example.com".into()],
        ..Rules::default()
    }
}

#[test]
fn an_address_that_is_not_verified_is_of_no_domain() {
    for is_known in [false, true] {
        let house = House::new();
        if is_known {
            house.admit(company(), ada(true)).unwrap();
        }
        let refused = house.admit(company(), ada(false));
        assert!(
            matches!(&refused, Err(AccountError::Domain(domain)) if domain.is_empty()),
            "{refused:?}"
        );
    }
    let house = House::new();
    let account = house.admit(company(), ada(true)).unwrap();
    let refused = house.write(move |live, tx| renew(live, tx, &company(), &ada(false), account));
    assert!(matches!(refused, Err(AccountError::Domain(_))));
}

#[test]
fn a_name_that_is_an_address_has_its_domain() {
    // As a proxy's header says it, and a directory, neither with `trust_email`.
    let mut named = ada(false);
    (named.name, named.username) = ("Ada@Example.com".into(), Some("Ada@Example.com".into()));
    let mut bare = named.clone();
    (bare.name, bare.email) = (ADA.into(), None);
    for asserted in [named, bare] {
        House::new().admit(company(), asserted).unwrap();
    }
}

/// Somebody whom `backend` vouches for by this address, which is not their name.
fn bearer(backend: &str, subject: &str, email: &str) -> Asserted {
    let mut asserted = ada(true);
    asserted.key.backend = backend.into();
    asserted.key.subject = subject.into();
    asserted.name = format!("{subject}-at-{backend}");
    asserted.email = Some(email.into());
    asserted
}

impl House {
    fn joins(&self, asserted: Asserted) -> Uid {
        self.admit(linking(), asserted).unwrap().uid
    }
}

#[test]
fn who_was_given_the_address_of_another_does_not_join_their_account() {
    for is_vouched in [false, true] {
        let house = House::new();
        let vouched = is_vouched.then(|| house.vouched(ADA));
        let uid = house.joins(ada(true));
        assert!(vouched.is_none_or(|vouched| vouched == uid));
        let mut moved = bearer("corp", "bob-1", ADA);
        for issuer in ["https://id.example", "https://id.example/"] {
            moved.key.issuer = issuer.into();
            let refused = house.admit(linking(), moved.clone());
            assert!(
                matches!(refused, Err(AccountError::AnotherSubject)),
                "{refused:?}"
            );
        }
        // On the operator's word they do, and the one who was there before goes on.
        house.expect(uid, Mark::Subject("bob-1".into())).unwrap();
        assert_eq!(house.joins(moved), uid);
        assert_eq!(house.joins(ada(true)), uid);
    }
}

#[test]
fn another_backend_is_joined_by_the_same_address() {
    let house = House::new();
    let uid = house.joins(ada(true));
    assert_eq!(house.joins(bearer("new", "2", ADA)), uid);
}

#[test]
fn a_letter_that_is_not_ascii_makes_nobody_another() {
    let kelvin = "mi\u{212a}e@example.com";
    let asserted = || {
        let mut asserted = bearer("corp", "1", kelvin);
        asserted.username = Some("mi\u{212a}e".into());
        asserted
    };
    let house = House::new();
    let mike = house.vouched("mike@example.com");
    for by in [
        Mark::Email("Mike@Example.com".into()),
        Mark::Email(kelvin.into()),
        Mark::Username("MIKE".into()),
    ] {
        house.expect(mike, by.normal()).unwrap();
    }
    let other = house.joins(asserted());
    assert_ne!(other, mike);
    let proven = house.write(move |_, tx| Ok(PROVEN.get(tx, kelvin)?));
    assert_eq!(proven.unwrap(), None);
    let left = house.write(move |_, tx| Ok(expected_of(tx, &mike)?));
    assert_eq!(left.unwrap().len(), 3, "nothing was used up");
    // The one who is meant comes in.
    assert_eq!(house.joins(bearer("corp", "2", "mike@example.com")), mike);
}

#[test]
fn an_address_that_its_bearer_gave_up_leads_nowhere() {
    let mut unverified = ada(false);
    unverified.email = Some(ADA.into());
    let mut without = ada(true);
    without.email = None;
    for given_up in [
        bearer("corp", "ada-1", "ada.new@example.com"),
        bearer("corp", "ada-1", "ada@elsewhere.example"),
        unverified,
        without,
    ] {
        for is_refreshed in [false, true] {
            let house = House::new();
            house.vouched(ADA);
            let uid = house.joins(ada(true));
            let asserted = given_up.clone();
            if is_refreshed {
                house
                    .write(move |live, tx| {
                        let account = ACCOUNTS.get(tx, &uid)?.unwrap();
                        renew(live, tx, &linking(), &asserted, account)
                    })
                    .unwrap();
            } else {
                assert_eq!(house.joins(asserted), uid);
            }
            assert_ne!(house.joins(bearer("new", "2", ADA)), uid, "{given_up:?}");
        }
    }
}

#[test]
fn an_address_that_is_proven_otherwise_too_goes_on_leading_there() {
    let house = House::new();
    let uid = house.joins(ada(true));
    assert_eq!(house.joins(bearer("new", "2", ADA)), uid);
    house.joins(bearer("corp", "ada-1", "ada.new@example.com"));
    assert_eq!(house.joins(bearer("newer", "3", ADA)), uid);
    // Nobody takes back what has become another's.
    house.joins(bearer("other", "4", "eve@example.com"));
    let eve = house.joins(bearer("other", "4", "ada.new@example.com"));
    house.joins(bearer("corp", "ada-1", ADA));
    assert_eq!(
        house.joins(bearer("newer", "5", "ada.new@example.com")),
        eve
    );
}

#[test]
fn an_address_ends_with_the_link_that_proved_it() {
    for next in ["ada-1", "bob-1"] {
        for is_vouched in [false, true] {
            let house = House::new();
            if is_vouched {
                house.vouched(ADA);
            }
            let uid = house.joins(ada(true));
            let key = ada(true).key;
            house
                .write(move |live, tx| unlink(live, tx, &uid, &key))
                .unwrap();
            assert_ne!(house.joins(bearer("corp", next, ADA)), uid, "{next}");
        }
    }
}

#[test]
fn an_address_ends_with_its_account() {
    let house = House::new();
    house.account("root", true);
    house.vouched(ADA);
    let uid = house.joins(ada(true));
    house.joins(bearer("new", "2", "ada.new@example.com"));
    house
        .write(move |live, tx| delete(live, tx, &uid, T0))
        .unwrap();
    let left = |tx: &mut Tx<'_>| Ok(PROVEN.get(tx, ADA)?);
    assert_eq!(house.write(move |_, tx| left(tx)).unwrap(), None);
}

#[test]
fn what_is_left_of_the_deleted_lets_nobody_in() {
    let house = House::new();
    let bob = house.account("bob", false);
    house.expect(bob, Mark::Username("ada".into())).unwrap();
    let invited = house.write(|live, tx| {
        let key = identity("ada-1");
        REMNANTS.put(tx, &key, &Remnant { key: key.clone() })?;
        let invite = Invite {
            is_admin: false,
            invited_by: None,
            expires_at: T0.plus_seconds(60),
        };
        issue_invite(live, tx, &invite)
    });
    let token = invited.unwrap().expose().clone();
    for invite in [None, Some(token)] {
        let refused = house
            .write(move |live, tx| admit(live, tx, &linking(), &ada(true), invite.as_deref(), T0));
        assert!(
            matches!(refused, Err(AccountError::NotAdmitted)),
            "{refused:?}"
        );
    }
    let mut other = ada(true);
    other.key = identity("ada-2");
    assert_eq!(house.joins(other), bob, "others of the backend are let in");
}

/// Ada, as a directory calls her that was set up anew.
fn ada_anew() -> Asserted {
    let mut anew = ada(false);
    anew.key.subject = "anew-1".into();
    anew
}

#[test]
fn a_directory_that_was_set_up_anew_is_carried_over_to_itself() {
    let house = House::new();
    let uid = house.admit(Rules::default(), ada(false)).unwrap().uid;
    let name = house.admit(Rules::default(), ada(false)).unwrap().name;
    let mut anew = ada_anew();
    anew.username = Some(name.as_str().to_owned());
    let refused = house.admit(Rules::default(), anew.clone());
    assert!(matches!(refused, Err(AccountError::NameTaken)));
    assert_eq!(house.carry(None, "corp"), ["linked already"]);
    assert_eq!(house.carry(Some("other"), "corp"), [""; 0]);
    assert_eq!(house.carry(Some("corp"), "corp"), ["expected"]);
    let account = house.admit(Rules::default(), anew.clone()).unwrap();
    assert_eq!((account.uid, account.identities), (uid, vec![anew.key]));
    // Whoever the directory called so before is nobody any more.
    let refused = house.admit(Rules::default(), ada(false));
    assert!(matches!(refused, Err(AccountError::NameTaken)));
}

#[test]
fn nobody_comes_in_by_a_name_whose_bearer_was_there_already() {
    let house = House::new();
    let mut named = ada(false);
    let name = house.admit(Rules::default(), named.clone()).unwrap().name;
    named.username = Some(name.as_str().to_owned());
    assert_eq!(house.carry(Some("corp"), "corp"), ["expected"]);
    // Her directory calls her what it did.
    house.admit(Rules::default(), named.clone()).unwrap();
    let mut successor = ada_anew();
    successor.username = named.username;
    let refused = house.admit(Rules::default(), successor);
    assert!(matches!(refused, Err(AccountError::NameTaken)));
}

#[test]
fn what_was_expected_before_replaces_nothing() {
    let expectation = (
        Uid::from_bytes([7; 16]),
        "corp",
        Mark::Subject("ada-1".into()),
    );
    let payload = postcard::to_extend(&expectation, Vec::new()).unwrap();
    let old = Expectation::upgrade(1, &payload).unwrap();
    assert!(!old.replaces && old.backend == "corp" && old.uid == expectation.0);
    assert!(Expectation::upgrade(3, &payload).is_none());
}
