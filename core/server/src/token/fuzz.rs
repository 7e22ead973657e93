//! Tokens under fuzzing: a second verifier, written to be read and not to be fast, says what counts.

#![allow(clippy::expect_used, reason = "what the fuzzer stands on")]

use std::{
    os::unix::fs::OpenOptionsExt as _,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    AccountIndex, AccountState, Algorithm, Claims, KeySettings, Keyring, RevocationIndex, Scopes,
    Verifier, canonical, claims::MAX_SECONDS, keyfile,
};
use crate::{
    clock::Timestamp,
    fuzz::{Node, readings, scratch},
    id::Uid,
    secret::Secret,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "omnigent";
const ALICE: [u8; 16] = [0xa1; 16];

/// A configured secret: the fuzzer signs with it.
const KEY: [u8; 32] = *b"\x8f\x1e\x02\xc4\x77\xa9\x5b\xd0\x3e\x64\xf2\x19\xbb\x40\x8d\xe7\
                         \x26\x91\x0c\x5f\xd8\x73\xae\x35\xc9\x12\x68\xfb\x84\x4d\xe0\x57";

/// A server's verifier with one account and two keys: the secret signs, Ed25519 did before.
struct World {
    verifier: Verifier,
    kid: String,
    edwards: (String, Ed25519KeyPair),
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dir = scratch("tokens");
        let before = KeySettings {
            algorithm: Some(Algorithm::EdDsa),
            ..KeySettings::default()
        };
        let before = Keyring::load_or_create(&dir, &before, NOW).expect("a keyring");
        let file = std::fs::read(dir.join(keyfile::NAME)).expect("its file");
        let file: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
        let secret = hex::decode(file["keys"][0]["secret"].as_str().unwrap_or_default());
        let pair = Ed25519KeyPair::from_pkcs8(&secret.expect("a secret")).expect("a key");
        let now = KeySettings {
            secret: Some(Secret::new(KEY.to_vec())),
            ..KeySettings::default()
        };
        let keyring = Keyring::load_or_create(&dir, &now, NOW).expect("a keyring");
        let _ = std::fs::remove_dir_all(&dir);
        let kid = keyring.active().to_owned();
        let edwards = (before.active().to_owned(), pair);
        let accounts = Arc::new(AccountIndex::default());
        let alice = Uid::from_bytes(ALICE);
        accounts.insert(AccountState::new(alice, "alice", false, false));
        let revoked = Arc::new(RevocationIndex::default());
        let verifier = Verifier::new(keyring, ISSUER, AUDIENCE, accounts, revoked);
        World {
            verifier,
            kid,
            edwards,
        }
    })
}

/// Any text counts if, and only if, the second verifier says so.
pub fn token(data: &[u8]) {
    decide(data);
}

/// A header line and claims, signed with the right key: ours without a header line, the one before
/// with `EdDSA` for one. What names that key in another header has no right signature.
pub fn token_claims(data: &[u8]) {
    let world = world();
    let (header, claims) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&[] as &[u8], data),
    };
    let is_edwards = header == b"EdDSA";
    let ours = match is_edwards {
        true => format!(
            r#"{{"typ":"JWT","alg":"EdDSA","kid":"{}"}}"#,
            world.edwards.0
        ),
        false => format!(r#"{{"typ":"JWT","alg":"HS256","kid":"{}"}}"#, world.kid),
    };
    let header = match header {
        [] | b"EdDSA" => ours.as_bytes(),
        header => header,
    };
    if let Some(by_heart) = canonical::read(claims) {
        assert_eq!(
            Claims::parse_any(claims).as_ref(),
            Ok(&by_heart),
            "read alike"
        );
        assert_eq!(Claims::parse(claims), Ok(by_heart));
    }
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let tag = match is_edwards {
        true => URL_SAFE_NO_PAD.encode(world.edwards.1.sign(signed.as_bytes())),
        false => signature(signed.as_bytes()),
    };
    let token = format!("{signed}.{tag}");
    if decide(token.as_bytes()) {
        // And it says again what it said.
        let verified = world
            .verifier
            .verify(token.as_bytes(), NOW)
            .expect("it counts");
        let says = world.verifier.claims(&verified);
        let again = world.verifier.sign(&says);
        let again = world.verifier.verify(again.expose().as_bytes(), NOW);
        assert_eq!(world.verifier.claims(&again.expect("ours counts")), says);
    }
}

/// Whether it counts: the same to the verifier, to its cache and to the second verifier.
fn decide(token: &[u8]) -> bool {
    let verifier = &world().verifier;
    let decided = verifier.verify(token, NOW);
    // The second time it goes into the cache, the third time it comes from there.
    for _ in 0..2 {
        let again = verifier.verify(token, NOW);
        assert_eq!(decided.as_ref().err(), again.as_ref().err(), "again");
    }
    let counts = counts(token).is_some();
    assert_eq!(
        decided.is_ok(),
        counts,
        "the second verifier differs: {decided:?}"
    );
    if let Ok(verified) = &decided {
        assert_eq!(verified.account().uid, Uid::from_bytes(ALICE));
    }
    decided.is_ok()
}

fn signature(signed: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed))
}

// === the second verifier ===

fn counts(token: &[u8]) -> Option<()> {
    let token = std::str::from_utf8(token).ok()?;
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, tag] = parts[..] else {
        return None;
    };
    let signed = format!("{header}.{claims}");
    require(token.len() <= 8192)?;
    match is_header(&decoded(header)?)? {
        Key::Secret => require(tag == signature(signed.as_bytes()))?,
        Key::Edwards => {
            // Ed25519 is deterministic: there is one signature.
            let right = world().edwards.1.sign(signed.as_bytes());
            require(tag == URL_SAFE_NO_PAD.encode(right))?;
        }
    }
    is_claims(&decoded(claims)?)
}

fn require(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// Base64url as it is written, and in no other way.
fn decoded(segment: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).ok()?;
    require(URL_SAFE_NO_PAD.encode(&bytes) == segment)?;
    require(bytes.first() == Some(&b'{'))?;
    Some(bytes)
}

enum Key {
    Secret,
    Edwards,
}

fn is_header(json: &[u8]) -> Option<Key> {
    let node = Node::read(json)?;
    let members = node.members()?;
    require(members.len() == 3)?;
    let text = |wanted| members.iter().find(|(name, _)| name == wanted)?.1.text();
    require(text("typ")? == "JWT")?;
    match (text("alg")?, text("kid")?) {
        ("HS256", kid) if kid == world().kid => Some(Key::Secret),
        ("EdDSA", kid) if kid == world().edwards.0 => Some(Key::Edwards),
        _ => None,
    }
}

/// What no token may lack; listed apart from the code under test.
pub(super) const REQUIRED: [&str; 11] = [
    "iss",
    "aud",
    "sub",
    "uid",
    "sid",
    "jti",
    "iat",
    "nbf",
    "exp",
    "provider",
    "token_use",
];

fn is_claims(json: &[u8]) -> Option<()> {
    let node = Node::read(json)?;
    let members = node.members()?;
    let has = |name: &&str| members.iter().any(|(has, _)| has == name);
    require(REQUIRED.iter().all(has))?;
    members
        .iter()
        .try_for_each(|(name, value)| is_claim(name, value))
}

fn is_claim(name: &str, value: &Node) -> Option<()> {
    let (now, alice) = (NOW.seconds(), hex::encode(ALICE));
    let is_id =
        |text: &str| text.len() == 32 && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
    let time = || value.whole().filter(|time| *time <= MAX_SECONDS);
    match name {
        "iss" => require(value.text()? == ISSUER),
        "aud" => require(value.text()? == AUDIENCE),
        "sub" => require(value.text()? == "alice"),
        "uid" => require(value.text()? == alice),
        "sid" | "jti" | "grant_id" => require(is_id(value.text()?)),
        "iat" | "nbf" => require(time()? <= now + 60),
        "exp" => require(time()? > now),
        "provider" => require(!value.text()?.is_empty()),
        "token_use" => require(matches!(value.text()?, "access" | "api")),
        "scope" => {
            let known = |word| matches!(word, "sessions" | "sessions:read" | "account" | "admin");
            require(value.text()?.split(' ').all(known))
        }
        "act" => match value.members()? {
            [(name, client)] if name == "client_id" => client.text().map(drop),
            _ => None,
        },
        _ => None,
    }
}

// === scopes ===

/// Three lines: scopes, method, path. A path that a scope opens, it opens however it is read.
pub fn scope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (words, method, path) = (line(), line(), line());
    let Ok(scopes) = words.parse::<Scopes>() else {
        return;
    };
    assert_eq!(scopes.to_string().parse::<Scopes>(), Ok(scopes));
    assert!(scopes.is_within(scopes));
    if scopes.permits(method, path) {
        assert!(path.starts_with('/'));
        for reading in readings(path) {
            let reads_alike = scopes.permits(method, &reading);
            assert!(reads_alike, "{path:?} is open and {reading:?} is not");
        }
    }
    assert!(!Scopes::default().permits(method, path));
}

// === the keyring's file ===

/// A file is taken and signs, or is refused and left as it was; no message shows a secret of it.
pub fn keyring(data: &[u8]) {
    static DIR: OnceLock<std::path::PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| scratch("keyring"));
    let path = dir.join(keyfile::NAME);
    let _ = std::fs::remove_file(&path);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, data));
    written.expect("a file");
    let settings = KeySettings::default();
    match Keyring::load_or_create(dir, &settings, NOW) {
        Ok(keyring) => {
            let again = Keyring::load_or_create(dir, &settings, NOW).expect("the same again");
            assert_eq!(again.active(), keyring.active());
            assert!(keyring.kids().eq(again.kids()) && keyring.infos().eq(again.infos()));
            assert!(keyring.kids().any(|kid| kid == keyring.active()));
        }
        Err(error) => {
            let left = std::fs::read(&path).expect("it is still there");
            assert_eq!(left, data, "a refused file was changed");
            let said = format!("{error} {error:?}");
            for secret in secrets(data) {
                assert!(!said.contains(&secret), "{said} tells a secret");
            }
        }
    }
    let _ = std::fs::remove_file(&path);
}

/// The longer hexadecimal texts of the file: its keys, and nothing a message could say by itself.
fn secrets(json: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(json);
    let is_key =
        |part: &&str| part.len() >= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('"').filter(is_key).map(str::to_owned).collect()
}
