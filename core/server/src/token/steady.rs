//! Grants that refresh without the store: those whose refresh token stays the same.
//!
//! Owns: what a refresh of such a grant is made from, in memory. Does not: ask backends; a grant
//! that rests on one that takes identities back is never here.
//!
//! **Invariants:** bounded; being here is no verdict: the passing of time, the revocation of the
//! login and the account are asked each time. A grant ends with its login, and an ended login's id
//! is in the revocation index before the end is acknowledged.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{
    AccountState,
    grant::{self, CLI_CLIENT, Grant},
};
use crate::{clock::Timestamp, id::GrantId, live::Live};

const AT_MOST: usize = 16_384;

/// See the module.
pub struct SteadyGrants(Cache<GrantId, Arc<Steady>>);

/// What a refresh is made from.
#[derive(Debug)]
pub struct Steady {
    /// The grant.
    pub grant: Grant,
    /// Whom it acts for.
    pub account: Arc<AccountState>,
    /// The `provider` claim.
    pub provider: Box<str>,
}

impl Default for SteadyGrants {
    fn default() -> Self {
        Self(Cache::new(AT_MOST))
    }
}

impl SteadyGrants {
    /// The grant this refresh token is good for. `None` says nothing: ask the store.
    pub fn get(&self, live: &Live, token: &str, now: Timestamp) -> Option<(GrantId, Arc<Steady>)> {
        let (id, generation) = grant::parse(&live.hasher, token)?;
        let steady = self.0.get(&id)?;
        let grant = &steady.grant;
        let holds = generation == grant.generation
            && now.max(live.revocations.floor()) < grant.expires_at
            && !live.revocations.contains(grant.sid.as_bytes())
            && steady.account.is_active();
        holds.then_some((id, steady))
    }

    /// Remembers a grant the store vouched for, if its refresh token stays the same.
    pub fn put(&self, id: GrantId, steady: Steady) {
        if steady.grant.client_id == CLI_CLIENT {
            self.0.insert(id, Arc::new(steady));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        account::{self, AccountName},
        id::Uid,
        login::{self, Lifetimes, Origin},
        store::{Options, Store},
        token::hash::Hasher,
    };

    const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const LIFE: u64 = 3600;

    struct House {
        store: Store,
        live: Live,
        uid: Uid,
        steady: SteadyGrants,
        _dir: tempfile::TempDir,
    }

    impl House {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), &Options::default()).unwrap();
            let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
            let name = AccountName::parse("alice").unwrap();
            let create = {
                let live = live.clone();
                move |tx: &mut crate::store::Tx<'_>| {
                    account::create(&live, tx, name, false, None, T0)
                }
            };
            let uid = store.write_blocking(create).unwrap().uid;
            Self {
                store,
                live,
                uid,
                steady: SteadyGrants::default(),
                _dir: dir,
            }
        }

        /// A grant that has been remembered, and its refresh token.
        fn grant(&self, client_id: &str) -> String {
            let lifetimes = Lifetimes {
                access: 60,
                refreshed: 60,
                grant: LIFE,
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
            };
            let (live, uid) = (self.live.clone(), self.uid);
            let begun = self
                .store
                .write_blocking(move |tx| login::establish(&live, tx, &uid, origin, &lifetimes, T0))
                .unwrap();
            let token = begun.refresh_token.unwrap().expose().clone();
            let (id, grant) = grant::find(&self.live, &self.store.reader(), &token)
                .unwrap()
                .unwrap();
            let account = self.live.accounts.get(&self.uid).unwrap();
            let provider = "accounts".into();
            self.steady.put(
                id,
                Steady {
                    grant,
                    account,
                    provider,
                },
            );
            token
        }

        fn holds(&self, token: &str, now: Timestamp) -> bool {
            self.steady.get(&self.live, token, now).is_some()
        }

        fn write(
            &self,
            work: impl FnOnce(&Live, &mut crate::store::Tx<'_>, &Uid) + Send + 'static,
        ) {
            let (live, uid) = (self.live.clone(), self.uid);
            self.store
                .write_blocking(move |tx| {
                    work(&live, tx, &uid);
                    Ok::<_, crate::store::StoreError>(())
                })
                .unwrap();
        }
    }

    #[test]
    fn a_grant_is_remembered_until_it_ends() {
        let house = House::new();
        let token = house.grant(CLI_CLIENT);
        assert!(house.holds(&token, T0));
        assert!(house.holds(&token, T0.plus_seconds(LIFE - 1)));
        assert!(!house.holds(&token, T0.plus_seconds(LIFE)));
    }

    #[test]
    fn one_whose_token_changes_is_not() {
        let house = House::new();
        let token = house.grant("app");
        assert!(!house.holds(&token, T0));
    }

    #[test]
    fn its_end_counts_at_once() {
        let house = House::new();
        let token = house.grant(CLI_CLIENT);
        house.write(|live, tx, uid| {
            login::end_all(live, tx, uid, None, T0).unwrap();
        });
        assert!(!house.holds(&token, T0));
    }

    #[test]
    fn so_does_the_end_of_its_account() {
        let house = House::new();
        let token = house.grant(CLI_CLIENT);
        let state = house.live.accounts.get(&house.uid).unwrap();
        state.set_disabled(true);
        assert!(!house.holds(&token, T0));
        state.set_disabled(false);
        assert!(house.holds(&token, T0));
        house.write(|live, tx, uid| drop(account::delete(live, tx, uid, T0).unwrap()));
        assert!(!house.holds(&token, T0));
    }

    #[test]
    fn a_forged_token_finds_nothing() {
        let house = House::new();
        let token = house.grant(CLI_CLIENT);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(!house.holds(std::str::from_utf8(&forged).unwrap(), T0));
        }
    }
}
