//! What ends with an identity: when its backend says that it holds no more, or it is unlinked.
//!
//! Owns: which logins rest on it. Does not: ask the backend (`http/oauth.rs`), end API tokens: those are
//! the account's, and a provider says "gone" of who only took back a consent.
//!
//! **Invariant:** what ends, ends in the transaction in which it is found out: no login of the identity
//! waits for a refresh of its own to be told.

use super::{Login, MAGIC_LINK, end, list, pending};
use crate::{
    account::{ACCOUNTS, IdentityKey},
    clock::Timestamp,
    id::{LoginId, Uid},
    live::Live,
    store::{Read, StoreError, Tx},
};

impl Login {
    /// The identity it was vouched for with. Nobody's, of a sign-in link.
    pub(crate) fn key(&self) -> IdentityKey {
        let (issuer, subject) = self.identity.clone();
        IdentityKey {
            backend: self.backend.clone(),
            issuer,
            subject,
        }
    }
}

/// The logins of the account that rest on the identity.
pub(super) fn resting_on(
    from: &impl Read,
    uid: &Uid,
    key: &IdentityKey,
) -> Result<Vec<LoginId>, StoreError> {
    let mut found = list(from, uid)?;
    found.retain(|(_, login)| login.key() == *key);
    Ok(found.into_iter().map(|(sid, _)| sid).collect())
}

/// Ends all logins that rest on the identity, and what the account has left to begin others with. Says
/// how many logins.
///
/// # Errors
/// Only of the store.
pub fn end_resting_on(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    key: &IdentityKey,
) -> Result<usize, StoreError> {
    end_those(live, tx, uid, |_, login| login.key() == *key)
}

/// Ends the login by which it was found out that these identities of the account are gone, and all that
/// rest on them; those by a sign-in link as well, once no identity is left that `may_hold`. Not what began
/// after the backend was asked: it did not speak of that. Says how many.
///
/// # Errors
/// Only of the store.
pub fn end_gone(
    live: &Live,
    tx: &mut Tx<'_>,
    (uid, sid): (&Uid, &LoginId),
    (gone, asked_at): (&[IdentityKey], Timestamp),
    may_hold: impl Fn(&IdentityKey) -> bool,
) -> Result<usize, StoreError> {
    let account = ACCOUNTS.get(tx, uid)?;
    let mut own = account.iter().flat_map(|account| &account.identities);
    let is_one_left = own.any(|key| !gone.contains(key) && may_hold(key));
    let is_meant = |id: &LoginId, login: &Login| {
        let by_link = login.backend == MAGIC_LINK && !is_one_left;
        let is_gone = by_link || gone.contains(&login.key());
        id == sid || (is_gone && login.created_at <= asked_at)
    };
    end_those(live, tx, uid, is_meant)
}

/// Ends the logins that are meant, and all that the account has left to begin others with: also what one
/// that stays has made since. When it was made is not kept, nor by which login a link was; to make it anew
/// costs its person little, and what an ended one left behind would let back in whoever is thrown out.
fn end_those(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    is_meant: impl Fn(&LoginId, &Login) -> bool,
) -> Result<usize, StoreError> {
    pending::void(tx, uid)?;
    let mut ended = 0;
    for (sid, login) in list(tx, uid)? {
        if is_meant(&sid, &login) {
            ended += usize::from(end(live, tx, uid, &sid)?);
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        account::{self, AccountError, MagicLink, issue_magic, redeem_magic},
        login::{
            LOGINS, Lifetimes, Origin, end_by_issuer, establish,
            house::{T0, with_account},
        },
        store::Store,
    };

    /// An account with an identity at each of two backends.
    struct House {
        store: Store,
        live: Live,
        uid: Uid,
        _dir: tempfile::TempDir,
    }

    fn key(backend: &str) -> IdentityKey {
        IdentityKey {
            backend: backend.into(),
            issuer: "https://id.example".into(),
            subject: "ada-1".into(),
        }
    }

    impl House {
        fn new() -> Self {
            let (_dir, store, live, uid) = with_account("ada", Some(key("corp")));
            let house = Self {
                store,
                live,
                uid,
                _dir,
            };
            let local = house.write(|live, tx, uid| account::link(live, tx, uid, key("local"), T0));
            local.unwrap();
            house
        }

        fn write<T: Send + 'static>(
            &self,
            work: impl FnOnce(&Live, &mut Tx<'_>, &Uid) -> Result<T, AccountError> + Send + 'static,
        ) -> Result<T, AccountError> {
            let (live, uid) = (self.live.clone(), self.uid);
            self.store.write_blocking(move |tx| work(&live, tx, &uid))
        }

        fn login(&self, backend: &str) -> LoginId {
            self.login_at(backend, T0)
        }

        fn login_at(&self, backend: &str, now: Timestamp) -> LoginId {
            let IdentityKey {
                backend,
                issuer,
                subject,
            } = key(backend);
            let is_link = backend == MAGIC_LINK;
            let identity = (!is_link).then_some((issuer, subject));
            let origin = Origin {
                backend,
                provider: "test".into(),
                identity: identity.unwrap_or_default(),
                session: (!is_link).then(|| "s1".into()),
                address: "192.0.2.1".into(),
                user_agent: "test".into(),
                client_id: Some("test".into()),
                turn: u64::MAX,
            };
            let lifetimes = Lifetimes {
                access: 60,
                refreshed: 60,
                grant: 3600,
                issuer: "i".into(),
                audience: "a".into(),
            };
            let begun =
                self.write(move |live, tx, uid| establish(live, tx, uid, origin, &lifetimes, now));
            begun.unwrap().claims.sid
        }

        /// Corp's word on ada, heard by this login, while these backends are in force.
        fn gone(&self, sid: LoginId, in_force: &'static [&'static str]) -> usize {
            let may_hold = |key: &IdentityKey| in_force.contains(&key.backend.as_str());
            let ended = self.write(move |live, tx, uid| {
                Ok(end_gone(
                    live,
                    tx,
                    (uid, &sid),
                    (&[key("corp")], T0),
                    may_hold,
                )?)
            });
            ended.unwrap()
        }

        /// What corp says on the back channel. Says how many logins ended.
        fn ends(&self, at: &'static str, subject: Option<&str>, session: Option<&str>) -> usize {
            let ended = omnigent_plugin::Ended {
                issuer: Some(key(at).issuer),
                subject: subject.map(str::to_owned),
                session: session.map(str::to_owned),
            };
            let ended = self.write(move |live, tx, _| Ok(end_by_issuer(live, tx, at, &ended)?));
            ended.unwrap()
        }

        /// A link that was not used yet.
        fn link(&self) -> String {
            let link = self.write(|live, tx, uid| {
                let (uid, expires_at) = (*uid, T0.plus_seconds(60));
                issue_magic(live, tx, &MagicLink { uid, expires_at })
            });
            link.unwrap().expose().clone()
        }

        fn leads_in(&self, link: String) -> bool {
            let redeemed = self.write(move |live, tx, _| redeem_magic(live, tx, &link, T0));
            assert!(matches!(redeemed, Ok(_) | Err(AccountError::Magic)));
            redeemed.is_ok()
        }

        fn is_there(&self, sid: LoginId) -> bool {
            let is_revoked = self.live.revocations.contains(sid.as_bytes());
            let is_there = LOGINS.contains(&self.store.reader(), &(self.uid, sid));
            assert_ne!(is_revoked, is_there.unwrap());
            !is_revoked
        }
    }

    #[test]
    fn all_logins_of_an_identity_that_is_gone_end_at_once() {
        let house = House::new();
        let [asked, other, local, link] =
            ["corp", "corp", "local", MAGIC_LINK].map(|backend| house.login(backend));
        assert_eq!(house.gone(asked, &["corp", "local"]), 2);
        assert!(!house.is_there(asked) && !house.is_there(other));
        assert!(house.is_there(local) && house.is_there(link));
    }

    #[test]
    fn logins_by_a_link_end_with_the_last_identity_that_may_hold() {
        let house = House::new();
        let [asked, local, link] =
            ["corp", "local", MAGIC_LINK].map(|backend| house.login(backend));
        assert_eq!(house.gone(asked, &["corp"]), 2);
        assert!(!house.is_there(asked) && !house.is_there(link));
        assert!(house.is_there(local), "nobody was asked about it");
    }

    #[test]
    fn who_signs_in_after_the_question_stays() {
        let house = House::new();
        let [asked, before, link] =
            ["corp", "corp", MAGIC_LINK].map(|backend| house.login(backend));
        let later = Timestamp::from_millis(T0.millis() + 1);
        let [anew, link_anew] = ["corp", MAGIC_LINK].map(|backend| house.login_at(backend, later));
        assert_eq!(house.gone(asked, &["corp"]), 3);
        assert!(
            ![asked, before, link]
                .map(|sid| house.is_there(sid))
                .contains(&true)
        );
        assert!(house.is_there(anew) && house.is_there(link_anew));
        // The one that asked ends in any case.
        assert_eq!(house.gone(anew, &["corp"]), 1);
    }

    #[test]
    fn a_link_that_was_not_used_yet_ends_with_them() {
        type Way = fn(&House, LoginId);
        let gone: Way = |house, asked| _ = house.gone(asked, &["corp", "local"]);
        let unlinked: Way = |house, _| {
            let unlinked =
                house.write(|live, tx, uid| account::unlink(live, tx, uid, &key("corp")));
            unlinked.unwrap();
        };
        let person: Way = |house, _| assert_eq!(house.ends("corp", Some("ada-1"), None), 1);
        let session: Way = |house, _| assert_eq!(house.ends("corp", None, Some("s1")), 1);
        for ends in [gone, unlinked, person, session] {
            let house = House::new();
            let (asked, link) = (house.login("corp"), house.link());
            ends(&house, asked);
            assert!(!house.is_there(asked));
            assert!(!house.leads_in(link));
        }
    }

    #[test]
    fn what_an_issuer_ends_elsewhere_takes_no_link_along() {
        let house = House::new();
        let (asked, link) = (house.login("corp"), house.link());
        for (backend, subject, session) in [
            ("corp", Some("bob-1"), None),
            ("corp", None, Some("s2")),
            ("other", Some("ada-1"), None),
            ("corp", Some("ada-1"), Some("s2")),
        ] {
            assert_eq!(house.ends(backend, subject, session), 0);
        }
        assert!(house.is_there(asked) && house.leads_in(link));
    }
}
