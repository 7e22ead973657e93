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
        account,
        id::Uid,
        login,
        token::house::{GRANT, House, T0},
    };

    /// A house and the grants it remembers.
    struct Remembered {
        house: House,
        steady: SteadyGrants,
    }

    impl Remembered {
        fn new() -> Self {
            Self {
                house: House::new(),
                steady: SteadyGrants::default(),
            }
        }

        /// A grant that has been remembered, and its refresh token.
        fn grant(&self, client_id: &str) -> String {
            let (_, token) = self.house.grant(client_id);
            let House {
                store, live, uid, ..
            } = &self.house;
            let found = grant::find(live, &store.reader(), &token).unwrap();
            let (id, grant) = found.unwrap();
            let account = live.accounts.get(uid).unwrap();
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
            self.steady.get(&self.house.live, token, now).is_some()
        }

        fn write(
            &self,
            work: impl FnOnce(&Live, &mut crate::store::Tx<'_>, &Uid) + Send + 'static,
        ) {
            let (live, uid) = (self.house.live.clone(), self.house.uid);
            self.house
                .store
                .write_blocking(move |tx| {
                    work(&live, tx, &uid);
                    Ok::<_, crate::store::StoreError>(())
                })
                .unwrap();
        }
    }

    #[test]
    fn a_grant_is_remembered_until_it_ends() {
        let kept = Remembered::new();
        let token = kept.grant(CLI_CLIENT);
        assert!(kept.holds(&token, T0));
        assert!(kept.holds(&token, T0.plus_seconds(GRANT - 1)));
        assert!(!kept.holds(&token, T0.plus_seconds(GRANT)));
    }

    #[test]
    fn one_whose_token_changes_is_not() {
        let kept = Remembered::new();
        let token = kept.grant("app");
        assert!(!kept.holds(&token, T0));
    }

    #[test]
    fn its_end_counts_at_once() {
        let kept = Remembered::new();
        let token = kept.grant(CLI_CLIENT);
        kept.write(|live, tx, uid| {
            login::end_all(live, tx, uid, None, T0).unwrap();
        });
        assert!(!kept.holds(&token, T0));
    }

    #[test]
    fn so_does_the_end_of_its_account() {
        let kept = Remembered::new();
        let token = kept.grant(CLI_CLIENT);
        let state = kept.house.live.accounts.get(&kept.house.uid).unwrap();
        state.set_disabled(true);
        assert!(!kept.holds(&token, T0));
        state.set_disabled(false);
        assert!(kept.holds(&token, T0));
        kept.write(|live, tx, uid| drop(account::delete(live, tx, uid, T0).unwrap()));
        assert!(!kept.holds(&token, T0));
    }

    #[test]
    fn a_forged_token_finds_nothing() {
        let kept = Remembered::new();
        let token = kept.grant(CLI_CLIENT);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(!kept.holds(std::str::from_utf8(&forged).unwrap(), T0));
        }
    }
}
