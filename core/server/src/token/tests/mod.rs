//! What must be refused, and the little that must not: THREATS section 1, row by row.
//!
//! | row | where |
//! |---|---|
//! | J1, J3, J4, J6, J7, J8 | `attacks`, `asymmetric`, `wycheproof` |
//! | J2, J5 | `claims` |
//! | J9 | `keys` |
//! | J10 | `revocation`, `threads` |
//! | J11 | `accounts` |
//! | J12 | `attacks` (the token's own text; the rest is `http/`'s) |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod accounts;
mod asymmetric;
mod attacks;
mod canonical;
mod claims;
mod hashes;
mod interop;
mod keys;
mod model;
mod overlap;

mod properties;
mod revocation;
mod rotation;
mod scopes;
mod threads;
mod wycheproof;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Timestamp,
    id::{GrantId, LoginId, TokenId, Uid},
    secret::Secret,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "omnigent";

/// A configured secret, so that tests can forge with the right key.
const KEY: [u8; 32] = *b"\x8f\x1e\x02\xc4\x77\xa9\x5b\xd0\x3e\x64\xf2\x19\xbb\x40\x8d\xe7\
                         \x26\x91\x0c\x5f\xd8\x73\xae\x35\xc9\x12\x68\xfb\x84\x4d\xe0\x57";

struct World {
    verifier: Arc<Verifier>,
    accounts: Arc<AccountIndex>,
    revocations: Arc<RevocationIndex>,
    alice: Uid,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load_or_create(dir.path(), &secret(&KEY), NOW).unwrap();
        Self::with(keyring, dir)
    }

    fn with(keyring: Keyring, dir: tempfile::TempDir) -> Self {
        let accounts = Arc::new(AccountIndex::default());
        let revocations = Arc::new(RevocationIndex::default());
        let alice = Uid::random();
        accounts.insert(AccountState::new(alice, "alice", false, false));
        let (all, revoked) = (Arc::clone(&accounts), Arc::clone(&revocations));
        Self {
            verifier: Arc::new(Verifier::new(keyring, ISSUER, AUDIENCE, all, revoked)),
            accounts,
            revocations,
            alice,
            dir,
        }
    }

    fn claims(&self) -> Claims<'static> {
        Claims {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            subject: "alice".into(),
            uid: self.alice,
            sid: LoginId::random(),
            jti: TokenId::random(),
            issued_at: NOW,
            not_before: NOW,
            expires_at: Some(NOW.plus_seconds(3600)),
            provider: "accounts".into(),
            token_use: TokenUse::Access,
            scope: None,
            grant: None,
            client_id: None,
        }
    }

    fn token(&self) -> String {
        self.sign(&self.claims())
    }

    fn sign(&self, claims: &Claims<'_>) -> String {
        self.verifier.sign(claims).expose().clone()
    }

    /// The claims of a good token as JSON.
    fn json(&self) -> Value {
        payload(&self.token())
    }

    /// A token of this payload, signed with the right key under the right header.
    fn forge(&self, payload: &str) -> String {
        self.forge_header(&self.header().to_string(), payload.as_bytes())
    }

    fn forge_header(&self, header: &str, payload: &[u8]) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        seal(&format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)))
    }

    fn header(&self) -> Value {
        json!({"alg": "HS256", "typ": "JWT", "kid": self.verifier.keyring().active()})
    }

    fn verify(&self, token: impl AsRef<[u8]>) -> Result<VerifiedToken, Refusal> {
        self.verifier.verify(token.as_ref(), NOW)
    }

    /// After the second time it is in the cache.
    #[track_caller]
    fn accept_twice(&self, token: &str) {
        for _ in 0..2 {
            assert!(self.verify(token).is_ok());
        }
    }

    #[track_caller]
    fn refuse(&self, token: impl AsRef<[u8]>, why: Refusal) {
        self.refuse_any(token, &[why]);
    }

    #[track_caller]
    fn refuse_any(&self, token: impl AsRef<[u8]>, why: &[Refusal]) {
        let token = token.as_ref();
        let refusal = self.verify(token).expect_err("refused");
        let text = String::from_utf8_lossy(&token[..token.len().min(300)]);
        assert!(
            why.contains(&refusal),
            "{refusal:?} and not {why:?}: {text}"
        );
        assert_eq!(self.verify(token).unwrap_err(), refusal, "the same twice");
    }
}

/// A configured secret and nothing else.
fn secret(secret: &[u8]) -> KeySettings {
    KeySettings {
        secret: Some(Secret::new(secret.to_vec())),
        ..KeySettings::default()
    }
}

/// `signed` and its right signature.
fn seal(signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A round of the sweeper, to its end.
fn sweep_all(store: &crate::store::Store, index: &Arc<RevocationIndex>, now: Timestamp) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let mut sweeper = crate::sweep::Sweeper::default();
        sweeper.begin();
        while sweeper.is_sweeping() {
            sweeper.turn(store, index, now, 2000).await.unwrap();
        }
    });
}
