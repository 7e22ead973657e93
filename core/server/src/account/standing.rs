//! Whether whoever makes a change may still make it, asked by the transaction that makes it (THREATS T8).
//!
//! Owns: the second look. The first is taken at the door (`http`), on what memory says. Between the two
//! another transaction may have ended the login, disabled the account, or made it an admin no longer.
//!
//! **Invariant:** in the order of the store, nothing is changed on the authority of what ended before it.

use super::{ACCOUNTS, ADMINS, AccountError};
use crate::{audit::Who, live::Live, store::Read, token};

/// Holds whoever acts through `live` against what is true in this very transaction: their account is
/// there and enabled, and the login or API token they act by has not ended. Who is no account, such as
/// the operator, goes on.
///
/// # Errors
/// [`AccountError::Ended`]; [`AccountError::Disabled`].
pub fn still_acts(live: &Live, from: &impl Read) -> Result<(), AccountError> {
    let Some(Who::Account { uid, login, .. }) = actor(live) else {
        return Ok(());
    };
    let account = ACCOUNTS.get(from, uid)?.ok_or(AccountError::Ended)?;
    if account.disabled {
        return Err(AccountError::Disabled);
    }
    match login {
        Some(sid) if token::is_revoked(from, sid.as_bytes())? => Err(AccountError::Ended),
        _ => Ok(()),
    }
}

/// As [`still_acts`], for what only an admin or the operator may do.
///
/// # Errors
/// [`AccountError::NotAdmin`], and as [`still_acts`].
pub fn still_admin(live: &Live, from: &impl Read) -> Result<(), AccountError> {
    still_acts(live, from)?;
    match actor(live) {
        None | Some(Who::System | Who::Operator | Who::Everybody) => Ok(()),
        Some(Who::Account { uid, .. }) if ADMINS.contains(from, uid)? => Ok(()),
        Some(Who::Account { .. } | Who::Nobody | Who::Backend(_)) => Err(AccountError::NotAdmin),
    }
}

fn actor(live: &Live) -> Option<&Who> {
    live.scene.as_deref().map(|scene| &scene.who)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::{AccountName, create, delete, set_admin, set_disabled},
        *,
    };
    use crate::{
        audit::Scene,
        clock::Timestamp,
        id::{LoginId, Uid},
        store::{Options, Store, Tx},
        token::hash::Hasher,
    };

    const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

    struct House {
        store: Store,
        live: Live,
        _dir: tempfile::TempDir,
    }

    impl House {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), &Options::default()).unwrap();
            let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
            let house = Self {
                store,
                live,
                _dir: dir,
            };
            house.admin("root");
            house
        }

        fn write<T: Send + 'static>(
            &self,
            work: impl FnOnce(&Live, &mut Tx<'_>) -> Result<T, AccountError> + Send + 'static,
        ) -> T {
            let live = self.live.clone();
            self.store
                .write_blocking(move |tx| work(&live, tx))
                .unwrap()
        }

        fn admin(&self, name: &'static str) -> Uid {
            let name = AccountName::parse(name).unwrap();
            self.write(move |live, tx| create(live, tx, name, true, None, T0))
                .uid
        }

        fn holds(&self, who: &Who) -> (Result<(), AccountError>, Result<(), AccountError>) {
            let live = self.live.by(Scene::system(T0).done_by(who.clone()));
            let reader = self.store.reader();
            (still_acts(&live, &reader), still_admin(&live, &reader))
        }
    }

    fn by(uid: Uid, login: Option<LoginId>) -> Who {
        Who::Account {
            name: String::new(),
            uid,
            login,
        }
    }

    #[test]
    fn whoever_ceased_to_be_an_admin_meanwhile_acts_for_themselves_only() {
        let house = House::new();
        let uid = house.admin("ada");
        let ada = by(uid, Some(LoginId::random()));
        assert!(matches!(house.holds(&ada), (Ok(()), Ok(()))));
        house.write(move |live, tx| set_admin(live, tx, &uid, false));
        let refused = house.holds(&ada);
        assert!(matches!(refused, (Ok(()), Err(AccountError::NotAdmin))));
    }

    #[test]
    fn whoever_was_disabled_or_deleted_meanwhile_does_nothing() {
        let house = House::new();
        let uid = house.admin("ada");
        let ada = by(uid, None);
        house.write(move |live, tx| set_disabled(live, tx, &uid, true, T0));
        let refused = house.holds(&ada);
        assert!(matches!(
            refused,
            (Err(AccountError::Disabled), Err(AccountError::Disabled))
        ));
        house.write(move |live, tx| delete(live, tx, &uid, T0));
        let refused = house.holds(&ada);
        assert!(matches!(
            refused,
            (Err(AccountError::Ended), Err(AccountError::Ended))
        ));
    }

    #[test]
    fn a_login_that_ended_meanwhile_does_nothing_and_the_others_go_on() {
        let house = House::new();
        let uid = house.admin("ada");
        let (ended, other) = (LoginId::random(), LoginId::random());
        house.write(move |live, tx| Ok(live.revoke(tx, *ended.as_bytes(), None)?));
        let refused = house.holds(&by(uid, Some(ended)));
        assert!(matches!(
            refused,
            (Err(AccountError::Ended), Err(AccountError::Ended))
        ));
        let holds = house.holds(&by(uid, Some(other)));
        assert!(matches!(holds, (Ok(()), Ok(()))));
    }

    #[test]
    fn the_operator_is_always_one_and_nobody_never() {
        let house = House::new();
        for who in [Who::Operator, Who::Everybody, Who::System] {
            assert!(matches!(house.holds(&who), (Ok(()), Ok(()))), "{who:?}");
        }
        for who in [Who::Nobody, Who::Backend("corp".into())] {
            let refused = house.holds(&who);
            assert!(
                matches!(refused, (Ok(()), Err(AccountError::NotAdmin))),
                "{who:?}"
            );
        }
    }
}
