//! The same under many threads: once a revocation returned, nobody sees the token count.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const THREADS: usize = 4;

/// `end` happens while all threads verify one cached token; afterwards none may accept it.
fn race(end: impl Fn(&World, &Claims<'_>) + Sync) {
    for _ in 0..100 {
        let world = World::new();
        let claims = world.claims();
        let token = world.sign(&claims);
        assert!(world.verify(&token).is_ok());
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let ended_before = has_ended.load(Ordering::SeqCst);
                        let counts = world.verify(&token).is_ok();
                        assert!(!(ended_before && counts), "counted after its end");
                        if ended_before {
                            return;
                        }
                    }
                });
            }
            end(&world, &claims);
            has_ended.store(true, Ordering::SeqCst);
        });
        assert!(world.verify(&token).is_err());
    }
}

#[test]
fn revocation_beats_the_cache_under_threads() {
    race(|world, claims| {
        world
            .revocations
            .insert(*claims.sid.as_bytes(), claims.expires_at)
    });
}

#[test]
fn disabling_beats_the_cache_under_threads() {
    race(|world, _| world.accounts.get(&world.alice).unwrap().set_disabled(true));
}

#[test]
fn deletion_beats_the_cache_under_threads() {
    race(|world, _| world.accounts.remove(&world.alice));
}

#[test]
fn forgotten_key_beats_the_cache_under_threads() {
    race(|world, _| {
        let keyring =
            Keyring::load_or_create(world.dir.path(), &KeySettings::default(), NOW).unwrap();
        world.verifier.replace_keyring(keyring);
    });
}

#[test]
fn cache_is_bounded_by_entries_and_bytes() {
    let world = World::new();
    for _ in 0..20_000 {
        world.accept_twice(&world.token());
    }
    assert!(
        (8_000..=16 * 1024).contains(&world.verifier.cached()),
        "{}",
        world.verifier.cached()
    );
    let world = World::new();
    for _ in 0..4_000 {
        let long = Claims {
            provider: "x".repeat(4000).into(),
            ..world.claims()
        };
        world.accept_twice(&world.sign(&long));
    }
    let most = 16 * 1024 * 320 / 4000;
    assert!(
        (most / 2..=most).contains(&world.verifier.cached()),
        "{}",
        world.verifier.cached()
    );
}

#[test]
fn tokens_that_come_once_only_push_nothing_out() {
    let world = World::new();
    let often: Vec<_> = (0..1000).map(|_| world.token()).collect();
    often.iter().for_each(|token| world.accept_twice(token));
    let before = world.verifier.cached();
    for _ in 0..20_000 {
        assert!(world.verify(world.token()).is_ok());
    }
    let after = world.verifier.cached();
    // Some share the bit of another.
    assert!((before..before + 2_000).contains(&after), "{after}");
    let hits = world.verifier.meter().hits.count();
    often.iter().for_each(|token| world.accept_twice(token));
    assert_eq!(world.verifier.meter().hits.count(), hits + 2_000);
}

#[test]
fn refused_tokens_take_no_room() {
    let world = World::new();
    for n in 0..2000 {
        assert!(world.verify(format!("{}{n}", world.token())).is_err());
    }
    assert_eq!(world.verifier.cached(), 0);
}
