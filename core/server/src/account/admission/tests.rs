#![allow(clippy::unwrap_used)]

use super::{
    super::{
        Invite, delete, issue_invite,
        tests::{House, T0, ada, identity},
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
