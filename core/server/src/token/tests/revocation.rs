//! Revoked means refused: at once, after a restart, whatever the clock does.

use super::*;
use crate::store::{Options, Store, StoreError};
use Refusal::{Expired, Revoked};

#[test]
fn revocation_beats_the_cache() {
    let world = World::new();
    let revoke: [fn(&Claims<'_>) -> [u8; 16]; 2] = [
        |claims| *claims.sid.as_bytes(),
        |claims| *claims.grant.unwrap().as_bytes(),
    ];
    for id in revoke {
        let mut claims = world.claims();
        claims.grant = Some(GrantId::random());
        let token = world.sign(&claims);
        for _ in 0..3 {
            assert!(world.verify(&token).is_ok());
        }
        world.revocations.insert(id(&claims), claims.expires_at);
        world.refuse(&token, Revoked);
        world.refuse(&token, Revoked);
    }
    assert_eq!(world.verifier.cached(), 0);
}

#[test]
fn revocation_ends_all_tokens_of_the_login_and_no_others() {
    let world = World::new();
    let claims = world.claims();
    let same = Claims {
        jti: TokenId::random(),
        ..world.claims()
    };
    let same = Claims {
        sid: claims.sid,
        ..same
    };
    let [one, two, other] = [world.sign(&claims), world.sign(&same), world.token()];
    assert!(world.verify(&one).is_ok());
    world
        .revocations
        .insert(*claims.sid.as_bytes(), claims.expires_at);
    world.refuse(&one, Revoked);
    world.refuse(&two, Revoked);
    assert!(world.verify(&other).is_ok());
    let later = Claims {
        jti: TokenId::random(),
        ..claims
    };
    world.refuse(world.sign(&later), Revoked);
}

#[test]
fn revoking_again_never_shortens() {
    let index = RevocationIndex::default();
    let id = [7; 16];
    index.insert(id, None);
    index.insert(id, Some(NOW));
    assert_eq!(purge_all(&index, NOW.plus_seconds(1_000_000_000)), 0);
    assert!(index.contains(&id) && index.len() == 1);
}

#[test]
fn revocation_is_remembered_past_its_end_and_then_forgotten() {
    let index = RevocationIndex::default();
    for n in 0..=255 {
        index.insert([n; 16], Some(NOW));
    }
    for early in [NOW, NOW.plus_seconds(3599)] {
        assert_eq!(purge_all(&index, early), 0);
    }
    assert_eq!(index.len(), 256);
    assert_eq!(purge_all(&index, NOW.plus_seconds(3600)), 256);
    assert!(index.is_empty());
}

#[test]
fn purge_is_bounded_work() {
    let index = RevocationIndex::default();
    for n in 0..=255 {
        index.insert([n; 16], Some(NOW));
    }
    let late = NOW.plus_seconds(7200);
    let forgotten: Vec<usize> = (0..32).map(|_| index.purge(late)).collect();
    assert_eq!(forgotten, vec![8; 32]);
}

#[test]
fn clock_jump_forward_revives_nothing() {
    let world = World::new();
    let claims = world.claims();
    let token = world.sign(&claims);
    world
        .revocations
        .insert(*claims.sid.as_bytes(), claims.expires_at);
    world.revocations.purge(NOW);
    // The clock is a century ahead for some minutes.
    for _ in 0..20 {
        world.revocations.purge(NOW.plus_seconds(3_000_000_000));
    }
    world.refuse(&token, Revoked);
    assert!(
        world.verify(world.token()).is_ok(),
        "a good one still counts"
    );
    // For days: the id is forgotten by then, and its tokens stay refused.
    for _ in 0..2000 {
        world.revocations.purge(NOW.plus_seconds(3_000_000_000));
    }
    assert!(world.revocations.is_empty());
    world.refuse(&token, Expired);
}

#[test]
fn clock_jump_back_revives_nothing() {
    let world = World::new();
    let claims = world.claims();
    let token = world.sign(&claims);
    let late = NOW.plus_seconds(3600 + 3600);
    world
        .revocations
        .insert(*claims.sid.as_bytes(), claims.expires_at);
    purge_all(&world.revocations, late);
    assert!(world.revocations.is_empty());
    world.refuse(&token, Expired);
    purge_all(&world.revocations, Timestamp::default());
    world.refuse(&token, Expired);
    let fresh = Claims {
        expires_at: Some(late),
        ..world.claims()
    };
    assert!(world.verify(world.sign(&fresh)).is_ok());
}

#[test]
fn cached_token_is_refused_below_the_floor() {
    let world = World::new();
    let token = world.token();
    assert!(world.verify(&token).is_ok());
    world
        .revocations
        .insert([1; 16], Some(NOW.plus_seconds(3601)));
    purge_all(&world.revocations, NOW.plus_seconds(10_000));
    world.refuse(&token, Expired);
}

#[test]
fn odd_ends_are_remembered() {
    let index = RevocationIndex::default();
    index.insert([1; 16], Some(Timestamp::from_millis(u64::MAX)));
    index.insert([2; 16], None);
    index.insert([3; 16], Some(Timestamp::from_seconds(u64::from(u32::MAX))));
    assert_eq!(purge_all(&index, Timestamp::from_millis(u64::MAX)), 0);
    assert_eq!(index.len(), 3);
    index.insert([4; 16], Some(Timestamp::default()));
    assert!(index.contains(&[4; 16]) && !index.contains(&[5; 16]));
}

#[test]
fn stored_revocations_are_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    write(&store, |tx| {
        revoke(tx, [1; 16], Some(NOW))?;
        revoke(tx, [2; 16], None)?;
        revoke(tx, [2; 16], Some(NOW))?;
        revoke(tx, [3; 16], Some(NOW))?;
        revoke(tx, [3; 16], Some(NOW.plus_seconds(9)))?;
        revoke(tx, [3; 16], Some(NOW.plus_seconds(1)))
    });
    let index = load(&store.reader(), NOW).unwrap();
    assert_eq!(index.len(), 3);
    let get = |id| {
        REVOCATIONS
            .get(&store.reader(), &id)
            .unwrap()
            .unwrap()
            .expires_at
    };
    assert_eq!(get([2; 16]), None);
    assert_eq!(get([3; 16]), Some(NOW.plus_seconds(9)));
    // Not at the first start and not with a clock gone wrong is anything left out.
    assert_eq!(
        load(&store.reader(), Timestamp::from_millis(u64::MAX))
            .unwrap()
            .len(),
        3
    );
    store.close();
}

#[test]
fn sweeping_deletes_what_is_past_and_leaves_a_floor() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    write(&store, |tx| {
        (0..10).try_for_each(|n| revoke(tx, [n; 16], Some(NOW)))?;
        revoke(tx, [100; 16], Some(NOW.plus_seconds(1_000_000)))?;
        revoke(tx, [101; 16], None)
    });
    let index = Arc::new(load(&store.reader(), NOW).unwrap());
    purge_all(&index, NOW.plus_seconds(3599));
    sweep_all(&store, &index, NOW.plus_seconds(3599));
    assert_eq!(load(&store.reader(), NOW).unwrap().len(), 12);
    assert_eq!(index.floor(), Timestamp::default());
    index.purge(NOW.plus_seconds(3600));
    sweep_all(&store, &index, NOW.plus_seconds(3600));
    let loaded = load(&store.reader(), NOW).unwrap();
    assert_eq!((loaded.len(), loaded.floor(), index.floor()), (2, NOW, NOW));
    assert!(loaded.contains(&[100; 16]) && loaded.contains(&[101; 16]));
    // A start with the clock far ahead goes on from the time stored.
    let ahead = Arc::new(load(&store.reader(), NOW.plus_seconds(3_000_000_000)).unwrap());
    ahead.purge(NOW.plus_seconds(3_000_000_000));
    sweep_all(&store, &ahead, NOW.plus_seconds(3_000_000_000));
    assert_eq!(load(&store.reader(), NOW).unwrap().len(), 2);
    store.close();
}

#[tokio::test]
async fn many_are_kept_in_brief_and_none_of_them_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let id = |n: u32| {
        let mut id = [0; 16];
        id[0] = n as u8;
        id[8..12].copy_from_slice(&n.to_be_bytes());
        id
    };
    let end = |n: u32| (!n.is_multiple_of(10)).then(|| NOW.plus_seconds(u64::from(n % 60)));
    let many = 20_000;
    {
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let index = Arc::new(load(&store.reader(), NOW).unwrap());
        write(&store, move |tx| {
            (0..many).try_for_each(|n| revoke(tx, id(n), end(n)))
        });
        (0..many).for_each(|n| index.insert(id(n), end(n)));
        keep(&index, &store).await.unwrap();
        store.close();
    }
    let file = dir.path().join("brief-5");
    let brief = std::fs::read(&file).unwrap();
    for (what, late) in [("as it was kept", 0), ("with some more", 3)] {
        let store = reopened(dir.path());
        let index = load(&store.reader(), NOW).unwrap();
        assert_eq!(index.len(), many as usize, "{what}");
        assert!((0..many).all(|n| index.contains(&id(n))), "{what}");
        write(&store, move |tx| {
            (many..many + late).try_for_each(|n| revoke(tx, id(n), end(n)))
        });
        // In the middle of its life it is not asked.
        assert_eq!(
            load(&store.reader(), NOW).unwrap().len(),
            (many + late) as usize
        );
        store.close();
    }
    let store = reopened(dir.path());
    let index = load(&store.reader(), NOW).unwrap();
    assert!((0..many + 3).all(|n| index.contains(&id(n))));
    // What is for ever stays so, and what ends is forgotten at its end.
    for _ in 0..4 {
        purge_all(&index, NOW.plus_seconds(1_000_000));
    }
    assert_eq!(index.len(), many as usize / 10 + 1);
    store.close();
    // A brief from elsewhere, or damaged, is passed over.
    for bad in [&brief[..100], &[], &[0; 6000]] {
        std::fs::write(&file, bad).unwrap();
        let store = reopened(dir.path());
        assert_eq!(load(&store.reader(), NOW).unwrap().len(), many as usize + 3);
        store.close();
    }
}

fn reopened(dir: &std::path::Path) -> Store {
    for _ in 0..500 {
        match Store::open(dir, &Options::default()) {
            Ok(store) => return store,
            Err(crate::store::OpenError::Locked(_)) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store stays locked");
}

fn purge_all(index: &RevocationIndex, now: Timestamp) -> usize {
    (0..32).map(|_| index.purge(now)).sum()
}

fn write(
    store: &Store,
    f: impl FnOnce(&mut crate::store::Tx<'_>) -> Result<(), StoreError> + Send + 'static,
) {
    store.write_blocking(f).unwrap();
}
