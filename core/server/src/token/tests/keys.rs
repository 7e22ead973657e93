//! Keys: strong, private, rotated without logging anybody out.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use KeyringError::{Configured, Damaged, Exposed, NotRegular, Weak};

fn open(dir: &Path) -> Result<Keyring, KeyringError> {
    Keyring::load_or_create(dir, &KeySettings::default(), NOW)
}

fn configure(secret: &[u8]) -> Result<Keyring, KeyringError> {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::load_or_create(dir.path(), &super::secret(secret), NOW);
    assert_eq!(keyring.is_ok(), dir.path().join("keyring.json").exists());
    keyring
}

#[test]
fn short_secrets_are_refused() {
    for length in [0, 1, 16, 31] {
        assert!(
            matches!(configure(&KEY[..length]), Err(Weak(WeakSecret::Short))),
            "{length}"
        );
    }
    assert!(configure(&KEY).is_ok());
}

#[test]
fn known_secrets_are_refused() {
    for known in [
        "a-string-secret-at-least-256-bits-long",
        "A-STRING-SECRET-AT-LEAST-256-BITS-LONG",
        "a-valid-string-secret-that-is-at-least-384-bits-long-okay",
        "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        "your-256-bit-secret-your-256-bit-secret",
        "please-change-me-please-change-me!",
        "changeme-7f3d9a1c5e8b2046changeme",
        "correct-horse-battery-staple-password",
        "this is only an example, 0123456789",
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    ] {
        assert!(
            matches!(configure(known.as_bytes()), Err(Weak(WeakSecret::Known))),
            "{known}"
        );
    }
    let rfc7515 =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let bytes = URL_SAFE_NO_PAD.decode(rfc7515).unwrap();
    assert!(matches!(configure(&bytes), Err(Weak(WeakSecret::Known))));
}

#[test]
fn patterns_are_refused() {
    let counting: Vec<u8> = (0..64).collect();
    let falling: Vec<u8> = (0..64).rev().collect();
    let steps: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(7)).collect();
    let digits = "01234567890123456789012345678901234567";
    for pattern in [
        &[0; 32][..],
        &[0xff; 32],
        &[0x41; 64],
        &counting,
        &falling,
        &steps,
        digits.as_bytes(),
        &hex::decode("0123456789abcdef".repeat(4)).unwrap(),
        &hex::decode("deadbeef".repeat(8)).unwrap(),
        "abcdefghijklmnop".repeat(3).as_bytes(),
        &[&[0; 28][..], &[1, 2, 3, 4]].concat(),
        "aaaaaaaabbbbbbbbccccccccdddddddd".as_bytes(),
    ] {
        assert!(
            matches!(configure(pattern), Err(Weak(WeakSecret::Pattern))),
            "{pattern:?}"
        );
    }
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n";
    assert!(matches!(
        configure(pem.as_bytes()),
        Err(Weak(WeakSecret::Pem))
    ));
}

#[test]
fn random_secrets_are_accepted_in_any_writing() {
    for _ in 0..500 {
        let secret = crate::id::random_bytes::<32>();
        assert!(configure(&secret).is_ok());
        assert!(strength::check(hex::encode(secret).as_bytes()).is_ok());
        assert!(strength::check(URL_SAFE_NO_PAD.encode(secret).as_bytes()).is_ok());
    }
}

#[test]
fn no_message_and_no_debug_shows_a_secret() {
    let secret = "changeme-7f3d9a1c5e8b2046-unique";
    let error = configure(secret.as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("7f3d9a1c"));
    let dir = tempfile::tempdir().unwrap();
    let keyring = open(dir.path()).unwrap();
    let file = fs::read_to_string(dir.path().join("keyring.json")).unwrap();
    let stored: Value = serde_json::from_str(&file).unwrap();
    let shown = format!(
        "{keyring:?} {:?}",
        World::with(open(dir.path()).unwrap(), dir).verifier
    );
    for secret in [&stored["hash_key"], &stored["keys"][0]["secret"]] {
        assert!(!shown.contains(secret.as_str().unwrap()));
    }
}

#[test]
fn generated_key_is_private_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::with(open(dir.path()).unwrap(), dir);
    let path = world.dir.path().join("keyring.json");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(
        fs::read_dir(world.dir.path()).unwrap().count(),
        1,
        "nothing left over"
    );
    let before = fs::read(&path).unwrap();
    world
        .verifier
        .replace_keyring(open(world.dir.path()).unwrap());
    assert!(world.verify(world.token()).is_ok());
    assert_eq!(fs::read(&path).unwrap(), before);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(
        open(other.path()).unwrap().active(),
        world.verifier.keyring().active()
    );
}

#[test]
fn configured_secret_is_not_written_down() {
    let world = World::new();
    let file = fs::read_to_string(world.dir.path().join("keyring.json")).unwrap();
    assert!(!file.contains(&hex::encode(KEY)));
    assert!(
        !world
            .verifier
            .keyring()
            .active()
            .contains(&hex::encode(&KEY[..4]))
    );
    assert!(matches!(
        world.verifier.keyring().rotate(world.dir.path(), None, NOW),
        Err(Configured)
    ));
}

#[test]
fn file_others_can_touch_is_refused() {
    for mode in [
        0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o666, 0o777, 0o610, 0o601,
    ] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        let path = dir.path().join("keyring.json");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(open(dir.path()), Err(Exposed(_))), "{mode:o}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open(dir.path()).is_ok());
    }
}

#[test]
fn what_is_not_a_file_is_refused() {
    let (real, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(real.path()).unwrap();
    let path = dir.path().join("keyring.json");
    std::os::unix::fs::symlink(real.path().join("keyring.json"), &path).unwrap();
    assert!(matches!(open(dir.path()), Err(NotRegular(_))));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(real.path().join("nowhere"), &path).unwrap();
    assert!(matches!(open(dir.path()), Err(NotRegular(_))), "dangling");
    assert!(!real.path().join("nowhere").exists());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(dir.path()), Err(NotRegular(_))));
    assert!(open(&dir.path().join("missing")).is_err());
}

#[test]
fn damaged_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap();
    let path = dir.path().join("keyring.json");
    let good = fs::read_to_string(&path).unwrap();
    let json: Value = serde_json::from_str(&good).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        edit(&mut json);
        json.to_string()
    };
    let zeros = "00".repeat(32);
    for bad in [
        String::new(),
        "{}".into(),
        "null".into(),
        good[..good.len() / 2].into(),
        good.repeat(2),
        "\0".repeat(good.len()),
        " ".repeat(300_000),
        edited(&|json| json["version"] = json!(3)),
        edited(&|json| json["more"] = json!(2)),
        edited(&|json| json["hash_key"] = json!("")),
        edited(&|json| json["hash_key"] = json!(zeros)),
        edited(&|json| json["keys"][0]["secret"] = json!(zeros)),
        edited(&|json| json["keys"][0]["secret"] = json!("ab")),
        edited(&|json| json["keys"][0]["secret"] = json!("zz".repeat(32))),
        edited(&|json| json["keys"][0]["alg"] = json!("none")),
        edited(&|json| json["keys"][0]["alg"] = json!("HS512")),
        edited(&|json| json["keys"][0]["kid"] = json!("")),
        edited(&|json| json["keys"][0]["kid"] = json!("a/b")),
        edited(&|json| json["keys"][0]["use"] = json!("sig")),
        edited(&|json| json["keys"] = json!([json["keys"][0], json["keys"][0]])),
    ] {
        fs::write(&path, &bad).unwrap();
        assert!(matches!(open(dir.path()), Err(Damaged(_))), "{bad}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, &good).unwrap();
    assert!(open(dir.path()).is_ok());
}

#[test]
fn configuring_a_secret_logs_nobody_out_and_removing_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::with(open(dir.path()).unwrap(), dir);
    let generated = world.token();
    let configured = || Keyring::load_or_create(world.dir.path(), &secret(&KEY), NOW);
    world.verifier.replace_keyring(configured().unwrap());
    let token = world.token();
    assert!(world.verify(&generated).is_ok() && world.verify(&token).is_ok());
    assert_eq!(
        configured().unwrap().active(),
        world.verifier.keyring().active()
    );
    world
        .verifier
        .replace_keyring(open(world.dir.path()).unwrap());
    assert!(world.verify(&generated).is_ok());
    world.refuse(&token, Refusal::UnknownKey);
}

#[test]
fn removing_the_configured_secret_makes_a_key() {
    let world = World::new();
    world
        .verifier
        .replace_keyring(open(world.dir.path()).unwrap());
    assert!(world.verify(world.token()).is_ok());
    assert_eq!(
        open(world.dir.path()).unwrap().active(),
        world.verifier.keyring().active()
    );
}
