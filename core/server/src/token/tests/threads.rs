//! The same under many threads: once a revocation returned, nobody sees the token count.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const THREADS: usize = 4;

/// `end` happens while all threads verify one cached token; afterwards none may accept it.
fn race(end: impl Fn(&World, &Claims) + Sync) {
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
        assert!(world.verify(world.token()).is_ok());
    }
    assert!(
        (8_000..=16 * 1024).contains(&world.verifier.cached()),
        "{}",
        world.verifier.cached()
    );
    let world = World::new();
    for _ in 0..4_000 {
        let long = format!("{}{}", world.json(), " ".repeat(5000));
        assert!(world.verify(world.forge(&long)).is_ok());
    }
    assert!(
        world.verifier.cached() <= 16 * 1024 * 1024 / 10_000,
        "{}",
        world.verifier.cached()
    );
}

#[test]
fn refused_tokens_take_no_room() {
    let world = World::new();
    for n in 0..2000 {
        assert!(world.verify(format!("{}{n}", world.token())).is_err());
    }
    assert_eq!(world.verifier.cached(), 0);
}
