//! Which key signs after what, and that nobody is logged out by it.

use std::{fs, path::Path};

use super::*;
use KeyringError::{Configured, OtherAlgorithm, Retired, Signs, TooMany, Unknown};

fn wanting(algorithm: Algorithm) -> KeySettings {
    KeySettings {
        algorithm: Some(algorithm),
        ..KeySettings::default()
    }
}

fn open(dir: &Path, settings: &KeySettings) -> Keyring {
    Keyring::load_or_create(dir, settings, NOW).unwrap()
}

/// A world, and the same keys for changing.
fn world(settings: &KeySettings) -> (World, Keys) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::with(open(dir.path(), settings), dir);
    let keys = Keys::new(Arc::clone(&world.verifier), world.dir.path().to_owned());
    (world, keys)
}

fn kids(world: &World) -> Vec<String> {
    let keyring = world.verifier.keyring();
    keyring.kids().map(str::to_owned).collect()
}

#[test]
fn rotating_logs_nobody_out_through_all_algorithms() {
    let (world, keys) = world(&KeySettings::default());
    let hash = world
        .verifier
        .keyring()
        .hasher()
        .hash(hash::Kind::Refresh, b"x");
    let mut tokens = vec![world.token()];
    for algorithm in Algorithm::ALL.into_iter().chain(Algorithm::ALL) {
        let kid = keys.rotate(Some(algorithm), NOW).unwrap();
        assert_eq!(world.verifier.keyring().active(), kid);
        assert_eq!(world.verifier.keyring().algorithm(), algorithm);
        tokens.push(world.token());
        for token in &tokens {
            assert!(world.verify(token).is_ok());
        }
        // After a restart too.
        let again = open(world.dir.path(), &KeySettings::default());
        assert!(again.kids().eq(kids(&world)));
        world.verifier.replace_keyring(again);
        for token in &tokens {
            assert!(world.verify(token).is_ok());
        }
    }
    let keyring = world.verifier.keyring();
    let hasher = keyring.hasher();
    assert_eq!(hasher.hash(hash::Kind::Refresh, b"x"), hash);
    let kept = keys.rotate(None, NOW).unwrap();
    assert_eq!(world.verifier.keyring().algorithm(), Algorithm::Es256);
    assert_ne!(kept, keyring.active());
}

#[test]
fn retiring_ends_what_the_key_signed_and_nothing_else() {
    let (world, keys) = world(&KeySettings::default());
    let (old_kid, old) = (world.verifier.keyring().active().to_owned(), world.token());
    assert!(matches!(keys.retire(&old_kid, NOW), Err(Signs)));
    assert!(matches!(keys.retire("nobody", NOW), Err(Unknown)));
    keys.rotate(Some(Algorithm::EdDsa), NOW).unwrap();
    let new = world.token();
    assert!(world.verify(&old).is_ok() && world.verify(&new).is_ok());
    keys.retire(&old_kid, NOW).unwrap();
    world.refuse_any(&old, &[Refusal::UnknownKey, Refusal::Algorithm]);
    assert!(world.verify(&new).is_ok());
    assert!(matches!(keys.retire(&old_kid, NOW), Err(Retired)));
    world
        .verifier
        .replace_keyring(open(world.dir.path(), &KeySettings::default()));
    world.refuse_any(&old, &[Refusal::UnknownKey, Refusal::Algorithm]);
    assert!(world.verify(&new).is_ok());
    let states: Vec<_> = keys.list().into_iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Signing, KeyState::Retired(NOW)]);
}

#[test]
fn the_secret_of_a_retired_key_is_gone_from_the_file() {
    let (world, keys) = world(&KeySettings::default());
    let path = world.dir.path().join("keyring.json");
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let (kid, secret) = (&file["keys"][0]["kid"], &file["keys"][0]["secret"]);
    let (kid, secret) = (kid.as_str().unwrap(), secret.as_str().unwrap());
    assert_eq!(secret.len(), 64);
    keys.rotate(None, NOW).unwrap();
    keys.retire(kid, NOW).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(kid) && !text.contains(secret));
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 1);
}

#[test]
fn what_a_killed_writer_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), &KeySettings::default());
    let left = dir.path().join(".keyring.json.0123456789abcdef");
    fs::write(&left, "{\"keys\": \"half a secret").unwrap();
    open(dir.path(), &KeySettings::default());
    assert!(!left.exists() && dir.path().join("keyring.json").exists());
}

#[test]
fn a_change_that_cannot_be_written_changes_nothing() {
    let (world, _) = world(&KeySettings::default());
    let nowhere = Keys::new(Arc::clone(&world.verifier), "/nowhere/at/all".into());
    let (before, token) = (kids(&world), world.token());
    assert!(nowhere.rotate(None, NOW).is_err());
    assert!(nowhere.configure(wanting(Algorithm::Es256), NOW).is_err());
    assert_eq!(kids(&world), before);
    assert!(world.verify(token).is_ok());
}

#[test]
fn another_configured_algorithm_makes_a_key_and_the_same_one_does_not() {
    let (world, keys) = world(&KeySettings::default());
    let old = world.token();
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Hs256] {
        keys.configure(wanting(algorithm), NOW).unwrap();
        assert_eq!(world.verifier.keyring().algorithm(), algorithm);
        let before = kids(&world);
        keys.configure(wanting(algorithm), NOW).unwrap();
        keys.configure(KeySettings::default(), NOW).unwrap();
        assert_eq!(kids(&world), before);
        assert!(world.verify(&old).is_ok());
    }
    assert_eq!(kids(&world).len(), 4);
    keys.configure(wanting(Algorithm::Hs256), NOW).unwrap();
    let refused = keys.rotate(Some(Algorithm::EdDsa), NOW);
    assert!(matches!(refused, Err(OtherAlgorithm(Algorithm::Hs256))));
    keys.rotate(Some(Algorithm::Hs256), NOW).unwrap();
}

#[test]
fn a_configured_secret_with_another_algorithm_only_verifies() {
    let (world, keys) = world(&secret(&KEY));
    let old = world.token();
    assert!(matches!(keys.rotate(None, NOW), Err(Configured)));
    let settings = KeySettings {
        algorithm: Some(Algorithm::EdDsa),
        ..secret(&KEY)
    };
    keys.configure(settings, NOW).unwrap();
    assert_eq!(world.verifier.keyring().algorithm(), Algorithm::EdDsa);
    assert!(world.verify(&old).is_ok());
    keys.rotate(None, NOW).unwrap();
    assert!(world.verify(&old).is_ok());
    let configured = keys
        .list()
        .into_iter()
        .find(|key| key.is_configured)
        .unwrap();
    assert_eq!(configured.state, KeyState::Verifying(None));
    let refused = keys.retire(&configured.kid, NOW);
    assert!(matches!(refused, Err(KeyringError::Secret)));
    let file = fs::read_to_string(world.dir.path().join("keyring.json")).unwrap();
    assert!(!file.contains(&hex::encode(KEY)));
}

#[test]
fn a_previous_secret_verifies_and_does_not_sign() {
    let (world, keys) = world(&secret(&KEY));
    let old = world.token();
    let new_secret: Vec<u8> = KEY.iter().rev().copied().collect();
    let settings = KeySettings {
        previous_secret: Some(Secret::new(KEY.to_vec())),
        ..secret(&new_secret)
    };
    keys.configure(settings, NOW).unwrap();
    assert_ne!(world.token(), old);
    assert!(world.verify(&old).is_ok());
    keys.configure(secret(&new_secret), NOW).unwrap();
    world.refuse(&old, Refusal::UnknownKey);
    // The same secret twice is one key.
    let twice = KeySettings {
        previous_secret: Some(Secret::new(new_secret.clone())),
        ..secret(&new_secret)
    };
    keys.configure(twice, NOW).unwrap();
    assert_eq!(kids(&world).len(), 1);
}

#[test]
fn coming_and_going_secrets_do_not_pile_keys_up() {
    let (world, keys) = world(&KeySettings::default());
    let first = world.token();
    for _ in 0..5 {
        keys.configure(secret(&KEY), NOW).unwrap();
        keys.configure(KeySettings::default(), NOW).unwrap();
    }
    assert_eq!(kids(&world).len(), 1);
    assert!(world.verify(first).is_ok());
}

#[test]
fn there_are_never_more_keys_than_that() {
    let (world, keys) = world(&KeySettings::default());
    for _ in 1..MAX_KEYS {
        keys.rotate(None, NOW).unwrap();
    }
    let token = world.token();
    assert!(matches!(keys.rotate(None, NOW), Err(TooMany)));
    assert!(world.verify(token).is_ok());
    for kid in kids(&world).split_off(1) {
        keys.retire(&kid, NOW).unwrap();
        keys.rotate(None, NOW).unwrap();
    }
    open(world.dir.path(), &KeySettings::default());
}

#[test]
fn a_file_of_the_first_format_is_read_and_its_tokens_count() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring.json");
    let hash_key = hex::encode(crate::id::random_bytes::<32>());
    let [old, older] = [b"1", b"2"].map(|_| crate::id::random_bytes::<32>());
    let file = json!({"version": 1, "hash_key": hash_key, "keys": [
        {"kid": "a1", "alg": "HS256", "secret": hex::encode(old)},
        {"kid": "b2", "alg": "HS256", "secret": hex::encode(older)},
    ]});
    fs::write(&path, file.to_string()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let world = World::with(open(dir.path(), &KeySettings::default()), dir);
    assert_eq!(kids(&world), ["a1", "b2"]);
    let mut claims = world.claims();
    claims.issuer = "omnigent".into();
    for (kid, secret) in [("a1", old), ("b2", older)] {
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": kid}).to_string();
        let body = payload(&world.sign(&claims)).to_string();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(body)
        );
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            signed.as_bytes(),
        );
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert!(world.verify(token).is_ok(), "{kid}");
    }
}

#[test]
fn issuers_this_server_had_are_its_own_and_others_are_not() {
    let called = |name: &str| KeySettings {
        issuer: name.into(),
        ..KeySettings::default()
    };
    let (world, keys) = world(&called("https://one.example"));
    let of = |issuer: &str| {
        let mut claims = world.claims();
        claims.issuer = issuer.into();
        world.sign(&claims)
    };
    keys.configure(called("https://two.example"), NOW).unwrap();
    keys.configure(called("http://127.0.0.1:6767"), NOW)
        .unwrap();
    for issuer in [
        "https://one.example",
        "https://two.example",
        ISSUER,
        "http://127.0.0.1:6767",
        "http://127.0.0.1:40000",
        "http://localhost:1",
        "http://[::1]",
    ] {
        assert!(world.verify(of(issuer)).is_ok(), "{issuer}");
    }
    for issuer in [
        "omnigent",
        "",
        "https://one.example/",
        "https://ONE.example",
        "https://three.example",
        "https://127.0.0.1:6767",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1:6767/",
        "http://127.0.0.1:66666",
        "http://localhost:",
        "http://localhost:x",
        "http://localhost@evil.example",
    ] {
        world.refuse(of(issuer), Refusal::Issuer);
    }
    let again = open(world.dir.path(), &called("https://one.example"));
    let issuers: Vec<_> = again.issuers().collect();
    assert_eq!(issuers, ["https://one.example", "https://two.example"]);
}

#[test]
fn asymmetric_keys_are_published_and_secrets_are_not() {
    let (world, keys) = world(&KeySettings::default());
    assert!(!world.verifier.keyring().has_public());
    assert_eq!(world.verifier.keyring().public().count(), 0);
    let ed = keys.rotate(Some(Algorithm::EdDsa), NOW).unwrap();
    let es = keys.rotate(Some(Algorithm::Es256), NOW).unwrap();
    keys.rotate(Some(Algorithm::Hs256), NOW).unwrap();
    let published: Vec<_> = world.verifier.keyring().public().collect();
    let members = |jwk: &Value| jwk.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        members(&published[0]),
        ["alg", "crv", "kid", "kty", "use", "x", "y"]
    );
    assert_eq!(
        members(&published[1]),
        ["alg", "crv", "kid", "kty", "use", "x"]
    );
    assert_eq!(published[0]["kid"], *es);
    assert_eq!(published[1]["kid"], *ed);
    keys.retire(&ed, NOW).unwrap();
    assert_eq!(world.verifier.keyring().public().count(), 1);
}
