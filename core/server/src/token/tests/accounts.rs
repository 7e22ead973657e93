//! A token is its account's, as the account is now.

use super::*;
use Refusal::{Disabled, NoAccount};

#[test]
fn token_of_an_unknown_account_is_refused() {
    let world = World::new();
    let mut claims = world.claims();
    claims.uid = Uid::random();
    world.refuse(world.sign(&claims), NoAccount);
}

#[test]
fn token_under_another_name_is_refused() {
    let world = World::new();
    let bob = Uid::random();
    world
        .accounts
        .insert(AccountState::new(bob, "bob", true, false));
    for subject in [
        "bob",
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "alice\u{0}",
        "alicе",
        "alic",
        "alicee",
    ] {
        let mut claims = world.claims();
        claims.subject = subject.into();
        world.refuse(world.sign(&claims), NoAccount);
    }
}

#[test]
fn re_created_account_inherits_no_token() {
    let world = World::new();
    let old = world.token();
    assert!(world.verify(&old).is_ok());
    world.accounts.remove(&world.alice);
    world.refuse(&old, NoAccount);
    let again = Uid::random();
    world
        .accounts
        .insert(AccountState::new(again, "alice", true, false));
    world.refuse(&old, NoAccount);
    let mut claims = world.claims();
    claims.uid = again;
    assert!(world.verify(world.sign(&claims)).is_ok());
}

#[test]
fn deletion_beats_the_cache() {
    let world = World::new();
    let (token, held) = (world.token(), world.accounts.get(&world.alice).unwrap());
    assert!(world.verify(&token).is_ok());
    world.accounts.remove(&world.alice);
    assert!(held.is_deleted());
    world.refuse(&token, NoAccount);
}

#[test]
fn disabling_beats_the_cache_and_can_be_undone() {
    let world = World::new();
    let token = world.token();
    let state = Arc::clone(world.verify(&token).unwrap().account());
    for _ in 0..3 {
        state.set_disabled(true);
        world.refuse(&token, Disabled);
        state.set_disabled(false);
        assert!(world.verify(&token).is_ok());
    }
    state.set_disabled(true);
    world.refuse(world.token(), Disabled);
}

#[test]
fn promotion_shows_through_the_cache() {
    let world = World::new();
    let token = world.token();
    let verified = world.verify(&token).unwrap();
    assert!(!verified.account().is_admin());
    world.accounts.get(&world.alice).unwrap().set_admin(true);
    assert!(verified.account().is_admin());
    assert!(world.verify(&token).unwrap().account().is_admin());
}

#[test]
fn replaced_state_is_followed() {
    let world = World::new();
    let token = world.token();
    assert!(world.verify(&token).is_ok());
    world
        .accounts
        .insert(AccountState::new(world.alice, "alice", true, false));
    assert!(world.verify(&token).unwrap().account().is_admin());
    world
        .accounts
        .insert(AccountState::new(world.alice, "alice", true, true));
    world.refuse(&token, Disabled);
    world
        .accounts
        .insert(AccountState::new(world.alice, "alicia", true, false));
    world.refuse(&token, NoAccount);
    assert!(world.accounts.by_id("alice").is_none());
    assert_eq!(world.accounts.len(), 1);
}

#[test]
fn accounts_are_found_by_both_ids() {
    let index = AccountIndex::default();
    let uids: Vec<Uid> = (0..500).map(|_| Uid::random()).collect();
    for (n, uid) in uids.iter().enumerate() {
        index.insert(AccountState::new(
            *uid,
            &format!("user{n}"),
            n % 5 == 0,
            n % 10 == 0,
        ));
    }
    assert_eq!((index.len(), index.admins()), (500, 50));
    for (n, uid) in uids.iter().enumerate() {
        assert_eq!(&*index.get(uid).unwrap().id, format!("user{n}"));
        assert_eq!(index.by_id(&format!("user{n}")).unwrap().uid, *uid);
    }
    assert!(index.by_id("user500").is_none() && index.by_id("USER1").is_none());
    uids.iter().for_each(|uid| index.remove(uid));
    assert!(index.is_empty() && index.by_id("user1").is_none() && index.admins() == 0);
}

#[test]
fn removing_an_account_leaves_its_name_to_the_new_holder() {
    let index = AccountIndex::default();
    let (old, new) = (Uid::random(), Uid::random());
    index.insert(AccountState::new(old, "alice", false, false));
    index.insert(AccountState::new(new, "alice", false, false));
    index.remove(&old);
    assert_eq!(index.by_id("alice").unwrap().uid, new);
}
