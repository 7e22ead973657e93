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
        super::{
            delete, set_admin, set_disabled,
            tests::{House, T0},
        },
        *,
    };
    use crate::{
        audit::Scene,
        id::{LoginId, Uid},
    };

    /// Two admins, one of them ada: the last one cannot cease to be one.
    fn house() -> (House, Uid) {
        let house = House::new();
        house.account("root", true);
        let ada = house.account("ada", true);
        (house, ada)
    }

    impl House {
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
        let (house, uid) = house();
        let ada = by(uid, Some(LoginId::random()));
        assert!(matches!(house.holds(&ada), (Ok(()), Ok(()))));
        house
            .write(move |live, tx| set_admin(live, tx, &uid, false))
            .unwrap();
        let refused = house.holds(&ada);
        assert!(matches!(refused, (Ok(()), Err(AccountError::NotAdmin))));
    }

    #[test]
    fn whoever_was_disabled_or_deleted_meanwhile_does_nothing() {
        let (house, uid) = house();
        let ada = by(uid, None);
        house
            .write(move |live, tx| set_disabled(live, tx, &uid, true, T0))
            .unwrap();
        let refused = house.holds(&ada);
        assert!(matches!(
            refused,
            (Err(AccountError::Disabled), Err(AccountError::Disabled))
        ));
        house
            .write(move |live, tx| delete(live, tx, &uid, T0))
            .unwrap();
        let refused = house.holds(&ada);
        assert!(matches!(
            refused,
            (Err(AccountError::Ended), Err(AccountError::Ended))
        ));
    }

    #[test]
    fn a_login_that_ended_meanwhile_does_nothing_and_the_others_go_on() {
        let (house, uid) = house();
        let (ended, other) = (LoginId::random(), LoginId::random());
        house
            .write(move |live, tx| Ok(live.revoke(tx, *ended.as_bytes(), None)?))
            .unwrap();
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
        let (house, _) = house();
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
