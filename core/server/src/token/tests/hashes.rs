//! Keyed hashes and the secrets they are of.

use std::collections::HashSet;

use super::hash::{Kind, constant_time_eq, generate, generate_password};
use super::*;

const KINDS: [Kind; 9] = [
    Kind::Refresh,
    Kind::Invite,
    Kind::Magic,
    Kind::DeviceCode,
    Kind::UserCode,
    Kind::Ticket,
    Kind::State,
    Kind::Browser,
    Kind::Form,
];

#[test]
fn hash_of_one_kind_is_no_other_kinds() {
    let world = World::new();
    let hasher = world.verifier.keyring().hasher();
    let hashes: HashSet<[u8; 32]> = KINDS
        .iter()
        .map(|kind| hasher.hash(*kind, b"text"))
        .collect();
    assert_eq!(hashes.len(), KINDS.len());
    let invite = hasher.hash(Kind::Invite, b"text");
    assert!(hasher.matches(Kind::Invite, b"text", &invite));
    assert!(!hasher.matches(Kind::Magic, b"text", &invite));
    assert!(!hasher.matches(Kind::Invite, b"texts", &invite));
    assert!(!hasher.matches(Kind::Invite, b"text", &invite[..31]));
    assert!(!hasher.matches(Kind::Invite, b"text", b""));
}

#[test]
fn hash_key_is_kept_and_is_every_servers_own() {
    let world = World::new();
    let hash = world
        .verifier
        .keyring()
        .hasher()
        .hash(Kind::Refresh, b"text");
    let again = Keyring::load_or_create(world.dir.path(), &KeySettings::default(), NOW).unwrap();
    assert_eq!(again.hasher().hash(Kind::Refresh, b"text"), hash);
    let other = World::new()
        .verifier
        .keyring()
        .hasher()
        .hash(Kind::Refresh, b"text");
    assert_ne!(other, hash);
}

#[test]
fn secrets_are_43_characters_for_an_address_bar_and_never_the_same() {
    let secrets: HashSet<String> = (0..1000).map(|_| generate().expose().clone()).collect();
    assert_eq!(secrets.len(), 1000);
    for secret in secrets {
        assert_eq!(secret.len(), 43);
        assert_eq!(URL_SAFE_NO_PAD.decode(&secret).unwrap().len(), 32);
    }
}

#[test]
fn passwords_are_long_and_plain() {
    let passwords: HashSet<String> = (0..1000)
        .map(|_| generate_password().expose().clone())
        .collect();
    assert_eq!(passwords.len(), 1000);
    let plain = |c: char| matches!(c, 'a'..='z' | '2'..='9') && !matches!(c, 'i' | 'l' | 'o');
    assert!(
        passwords
            .iter()
            .all(|password| password.len() == 20 && password.chars().all(plain))
    );
}

#[test]
fn comparing_tells_equal_from_different() {
    assert!(constant_time_eq(b"", b"") && constant_time_eq(b"abc", b"abc"));
    assert!(!constant_time_eq(b"abc", b"abd") && !constant_time_eq(b"abc", b"ab"));
    assert!(!constant_time_eq(b"", b"a"));
}
