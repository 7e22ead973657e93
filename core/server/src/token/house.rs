//! What tests of grants begin with: a store, one account, and grants for it.

#![allow(clippy::unwrap_used)]

use super::hash::Hasher;
use crate::{
    account::{self, AccountName},
    clock::Timestamp,
    id::{LoginId, Uid},
    live::Live,
    login::{Lifetimes, Origin, establish},
    store::{Options, Store},
};

pub(super) const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Seconds a grant lasts.
pub(super) const GRANT: u64 = 3600;

pub(super) struct House {
    pub(super) store: Store,
    pub(super) live: Live,
    pub(super) uid: Uid,
    _dir: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
        let name = AccountName::parse("alice").unwrap();
        let uid = store
            .write_blocking({
                let live = live.clone();
                move |tx| account::create(&live, tx, name, false, None, T0)
            })
            .unwrap()
            .uid;
        Self {
            store,
            live,
            uid,
            _dir: dir,
        }
    }

    /// A login with a grant, and its refresh token.
    pub(super) fn grant(&self, client_id: &str) -> (LoginId, String) {
        let lifetimes = Lifetimes {
            access: 60,
            refreshed: 60,
            grant: GRANT,
            issuer: "i".into(),
            audience: "a".into(),
        };
        let origin = Origin {
            backend: "local".into(),
            provider: "accounts".into(),
            identity: (String::new(), "alice".into()),
            session: None,
            address: "192.0.2.1".into(),
            user_agent: "test".into(),
            client_id: Some(client_id.into()),
            turn: u64::MAX,
        };
        let (live, uid) = (self.live.clone(), self.uid);
        let begun = self
            .store
            .write_blocking(move |tx| establish(&live, tx, &uid, origin, &lifetimes, T0));
        let begun = begun.unwrap();
        (
            begun.claims.sid,
            begun.refresh_token.unwrap().expose().clone(),
        )
    }
}
