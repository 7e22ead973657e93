//! The real thing: a store on a disk, the index and the verifier on it, and what the HTTP layer
//! does with them.

use std::{fs, path::Path};

use super::{Client, *};
use crate::{
    account::{self, ACCOUNTS, AccountName},
    live::Live,
    login::{self, Lifetimes, Origin},
    store::{Options, Store, StoreError, Tx},
    token::{
        api::{self, ApiToken},
        grant::{self, Grant, Said},
    },
};

pub(super) const ACCESS: u64 = 8 * 3600;
pub(super) const REFRESHED: u64 = 3600;
pub(super) const GRANT: u64 = 30 * 86_400;

/// What a sign-in gave.
pub(super) struct SignedIn {
    pub(super) sid: LoginId,
    pub(super) token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
}

pub(super) struct Server {
    dir: tempfile::TempDir,
    store: Store,
    live: Live,
    pub(super) verifier: Arc<Verifier>,
    pub(super) keys: Keys,
    overlap: Overlap,
    steady: SteadyGrants,
}

fn settings() -> KeySettings {
    KeySettings {
        longest: ACCESS,
        ..KeySettings::default()
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), NOW)
    }

    fn open(dir: tempfile::TempDir, now: Timestamp) -> Self {
        let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
        let keyring = Keyring::load_or_create(dir.path(), &settings(), now).unwrap();
        let live = Live::load(&store, keyring.hasher(), now).unwrap();
        let (accounts, revoked) = (Arc::clone(&live.accounts), Arc::clone(&live.revocations));
        let verifier = Verifier::new(keyring, ISSUER, AUDIENCE, accounts, revoked);
        let verifier = Arc::new(verifier.allow_endless_api_tokens(true));
        Self {
            keys: Keys::new(Arc::clone(&verifier), dir.path().to_owned()),
            overlap: Overlap::default(),
            steady: SteadyGrants::default(),
            dir,
            store,
            live,
            verifier,
        }
    }

    /// Ends it well, and starts it again.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.store.clone().close();
        self.crash(now);
    }

    /// Opens what lies on the disk while the one before still has it open.
    pub(super) fn crash(&mut self, now: Timestamp) {
        *self = Self::open(copied(&self.dir), now);
    }

    fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let live = self.live.clone();
        self.store.write_blocking(move |tx| work(&live, tx))
    }

    pub(super) fn create(&self, name: &str, now: Timestamp) -> Uid {
        let name = AccountName::parse(name).unwrap();
        let made = self.write(move |live, tx| {
            tx.mark_initialised();
            account::create(live, tx, name, false, None, now)
        });
        made.unwrap().uid
    }

    /// Nothing when the account may not.
    pub(super) fn sign_in(&self, uid: Uid, client: Client, now: Timestamp) -> Option<SignedIn> {
        let origin = Origin {
            backend: "local".into(),
            provider: "accounts".into(),
            identity: ("local".into(), uid.to_string()),
            session: None,
            address: "192.0.2.1".into(),
            user_agent: String::new(),
            client_id: match client {
                Client::Browser => None,
                Client::App => Some("my-app".into()),
                Client::Cli => Some(grant::CLI_CLIENT.into()),
            },
            turn: u64::MAX,
        };
        let lifetimes = Lifetimes {
            access: ACCESS,
            refreshed: REFRESHED,
            grant: GRANT,
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
        };
        let begun =
            self.write(move |live, tx| login::establish(live, tx, &uid, origin, &lifetimes, now));
        let begun = begun.ok()?;
        Some(SignedIn {
            sid: begun.claims.sid,
            token: self.verifier.sign(&begun.claims),
            refresh_token: begun.refresh_token,
        })
    }

    pub(super) fn sign_out(&self, uid: Uid, sid: LoginId) {
        self.write(move |live, tx| login::end(live, tx, &uid, &sid))
            .unwrap();
    }

    pub(super) fn sign_out_everywhere(&self, uid: Uid, now: Timestamp) {
        self.write(move |live, tx| login::end_all(live, tx, &uid, None, now))
            .unwrap();
    }

    /// The access token and the refresh token of a refresh, as `POST /oauth/token` makes them.
    pub(super) fn refresh(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Option<(Secret<String>, Secret<String>)> {
        if let Some((id, steady)) = self.steady.get(&self.live, token, now) {
            let claims = refreshed(id, &steady.grant, &steady.account.id, now);
            return Some((self.verifier.sign(&claims), Secret::new(token.to_owned())));
        }
        let token = token.to_owned();
        let redeemed = self.write(move |live, tx| {
            let redeemed = grant::redeem(live, tx, &token, &Said::default(), now)?;
            let Ok((id, grant, _, refresh)) = redeemed else {
                return Ok(None);
            };
            let account = ACCOUNTS.get(tx, &grant.uid)?;
            let account = account.filter(|account| !account.disabled);
            Ok::<_, StoreError>(account.map(|account| (id, grant, refresh, account)))
        });
        let (id, grant, refresh, account) = redeemed.unwrap()?;
        let token = self
            .verifier
            .sign(&refreshed(id, &grant, account.name.as_str(), now));
        let account = self.live.accounts.get(&grant.uid)?;
        let provider = "accounts".into();
        self.steady.put(
            id,
            Steady {
                grant,
                account,
                provider,
            },
        );
        Some((token, refresh))
    }

    /// An API token; with `before`, in place of another, which lives on for so long.
    pub(super) fn make_token(
        &self,
        (uid, name): (Uid, &str),
        expires_at: Option<Timestamp>,
        before: Option<(LoginId, u64)>,
        now: Timestamp,
    ) -> SignedIn {
        let keyring = self.verifier.keyring();
        let token = ApiToken {
            name: "ci".into(),
            scope: None,
            provider: "accounts".into(),
            created_at: now,
            expires_at,
            last_used_at: None,
            last_used_ip: None,
            kid: Some(keyring.active().to_owned()),
        };
        let sid = self.write(move |live, tx| {
            if let Some((old, overlap)) = before {
                let end = now.plus_seconds(overlap);
                api::retire(live, tx, &uid, &old, end, now)?;
            }
            api::create(tx, &uid, &token)
        });
        let sid = sid.unwrap().expect("few tokens");
        let claims = Claims {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            subject: name.into(),
            uid,
            sid,
            jti: TokenId::random(),
            issued_at: now,
            not_before: now,
            expires_at,
            provider: "accounts".into(),
            token_use: TokenUse::Api,
            scope: None,
            grant: None,
            client_id: None,
        };
        SignedIn {
            sid,
            token: keyring.sign(&claims),
            refresh_token: None,
        }
    }

    pub(super) fn revoke_token(&self, uid: Uid, sid: LoginId) {
        self.write(move |live, tx| api::revoke(live, tx, &uid, &sid))
            .unwrap();
    }

    pub(super) fn set_disabled(&self, uid: Uid, disabled: bool, now: Timestamp) {
        let changed =
            self.write(move |live, tx| account::set_disabled(live, tx, &uid, disabled, now));
        changed.unwrap();
    }

    pub(super) fn delete(&self, uid: Uid, now: Timestamp) {
        self.write(move |live, tx| account::delete(live, tx, &uid, now))
            .unwrap();
    }

    /// What the server does now and then, all of it.
    pub(super) fn look_after(&mut self, now: Timestamp) {
        self.write(move |live, tx| api::retire_due(live, tx, now))
            .unwrap();
        self.live.revocations.purge(now);
        sweep_all(&self.store, &self.live.revocations, now);
        // Small steps, so that they are several.
        for _ in 0..20 {
            let (reader, keys) = (self.store.reader(), self.keys.list());
            for kid in self.overlap.step(&reader, &keys, 3, now).unwrap() {
                self.keys.retire(&kid, now).unwrap();
            }
        }
    }
}

fn refreshed<'a>(id: GrantId, grant: &'a Grant, subject: &'a str, now: Timestamp) -> Claims<'a> {
    Claims {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        subject: subject.into(),
        uid: grant.uid,
        sid: grant.sid,
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: Some(now.plus_seconds(REFRESHED).min(grant.expires_at)),
        provider: "accounts".into(),
        token_use: TokenUse::Access,
        scope: grant.scopes(),
        grant: Some(id),
        client_id: Some(grant.client_id.as_str().into()),
    }
}

/// The data as it lies there, elsewhere.
fn copied(dir: &tempfile::TempDir) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), &to).unwrap();
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    copy(dir.path(), to.path());
    to
}
