//! Admins whom nobody but the configuration made so: what it gave, it takes back.
//!
//! **Invariant:** whoever an admin or the operator made an admin stays one, whatever the
//! configuration says or ceases to say; the last admin stays one.

use std::collections::HashSet;

use super::{ACCOUNTS, Account, AccountError, admission::BY_GROUP, roster};
use crate::{
    id::Uid,
    live::Live,
    store::{Order, Table, Tx},
};

/// Accounts that are admins because the operator's list names them, and cease to be with that.
pub(super) const BY_LIST: Table<Uid, ()> = Table::new(28, "admins-by-list");

/// Takes back what this configuration no longer gives: from whoever its list no longer names, and
/// from whoever was in a group and has identities only of `ungrouped`, the backends in force that
/// have no `admin_groups`. A backend that is out of force may come back, and its admins with it.
///
/// # Errors
/// Only of the store.
pub fn settle(
    live: &Live,
    tx: &mut Tx<'_>,
    ungrouped: &HashSet<String>,
) -> Result<(), AccountError> {
    let is_listed = |account: &Account| live.is_listed_admin(&account.name);
    settle_by(live, tx, &BY_LIST, "admin list", is_listed)?;
    let may_be_in_one = |account: &Account| {
        let mut identities = account.identities.iter();
        identities.any(|key| !ungrouped.contains(&key.backend))
    };
    settle_by(live, tx, &BY_GROUP, "group", may_be_in_one)
}

fn settle_by(
    live: &Live,
    tx: &mut Tx<'_>,
    given: &Table<Uid, ()>,
    why: &'static str,
    holds: impl Fn(&Account) -> bool,
) -> Result<(), AccountError> {
    let keys: Vec<Vec<u8>> = given
        .scan(tx, &[], None, Order::Ascending)
        .map(|entry| entry.map(|(key, ())| key))
        .collect::<Result<_, _>>()?;
    for key in keys {
        let uid = key.as_slice().try_into().map(Uid::from_bytes);
        let uid = uid.map_err(|_| given.corrupt(&key))?;
        match ACCOUNTS.get(tx, &uid)? {
            Some(account) if holds(&account) => {}
            Some(account) if roster::is_last_admin(tx, &uid)? => {
                let account = account.name.as_str();
                tracing::warn!(
                    account,
                    why,
                    "is an admin no longer by the configuration, and stays one: there is no other"
                );
            }
            account => {
                given.delete(tx, &uid)?;
                if account.is_some() {
                    roster::set_admin_because(live, tx, &uid, false, why)?;
                }
            }
        }
    }
    Ok(())
}

/// What an admin says of the account counts from now on, and not what the configuration gave.
pub(super) fn forget(tx: &mut Tx<'_>, uid: &Uid) -> Result<(), AccountError> {
    BY_LIST.delete(tx, uid)?;
    BY_GROUP.delete(tx, uid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::account::{
        AccountName, Asserted, IdentityKey, Linking, Rules, admit, create, delete, record_login,
        set_admin,
        tests::{House, T0},
    };

    fn list(names: &[&str]) -> Arc<HashSet<String>> {
        Arc::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn is_admin(house: &House, uid: &Uid) -> bool {
        house.live.accounts.get(uid).unwrap().is_admin()
    }

    fn settled(house: &House, ungrouped: &[&str]) {
        let ungrouped = list(ungrouped);
        house
            .write(move |live, tx| settle(live, tx, &ungrouped))
            .unwrap();
    }

    #[test]
    fn whoever_the_list_made_an_admin_is_one_as_long_as_it_says_so() {
        let mut house = House::new();
        house.account("root", true);
        let (ada, bob) = (house.account("ada", false), house.account("bob", true));
        house.live.admin_list = list(&["ada", "bob"]);
        for uid in [ada, bob] {
            house
                .write(move |live, tx| record_login(live, tx, &uid, T0))
                .unwrap();
        }
        settled(&house, &[]);
        assert!(is_admin(&house, &ada) && is_admin(&house, &bob));
        house.live.admin_list = list(&[]);
        settled(&house, &[]);
        assert!(!is_admin(&house, &ada), "the list made her one");
        assert!(is_admin(&house, &bob), "he was one before");
    }

    #[test]
    fn what_an_admin_says_outlives_the_list() {
        let mut house = House::new();
        house.account("root", true);
        let ada = house.account("ada", false);
        house.live.admin_list = list(&["ada"]);
        house
            .write(move |live, tx| record_login(live, tx, &ada, T0))
            .unwrap();
        house
            .write(move |live, tx| set_admin(live, tx, &ada, true))
            .unwrap();
        house.live.admin_list = list(&[]);
        settled(&house, &[]);
        assert!(is_admin(&house, &ada));
    }

    #[test]
    fn the_last_admin_stays_one_and_ceases_to_be_with_the_next() {
        let mut house = House::new();
        let ada = house.account("ada", false);
        house.live.admin_list = list(&["ada"]);
        house
            .write(move |live, tx| record_login(live, tx, &ada, T0))
            .unwrap();
        house.live.admin_list = list(&[]);
        settled(&house, &[]);
        assert!(is_admin(&house, &ada));
        house.account("root", true);
        settled(&house, &[]);
        assert!(!is_admin(&house, &ada));
    }

    #[test]
    fn whoever_came_in_by_the_list_or_a_group_goes_with_it() {
        let mut house = House::new();
        house.account("root", true);
        let enter = |house: &House, name: &str, groups: &[&str]| {
            let rules = Rules {
                linking: Linking::Create,
                admin_groups: vec!["ops".to_owned()],
                ..Rules::default()
            };
            let asserted = Asserted {
                key: IdentityKey {
                    backend: "corp".into(),
                    issuer: String::new(),
                    subject: name.into(),
                },
                name: name.into(),
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                ..Asserted::default()
            };
            let admitted =
                house.write(move |live, tx| admit(live, tx, &rules, &asserted, None, T0));
            admitted.unwrap().uid
        };
        house.live.admin_list = list(&["ada"]);
        let (ada, bob) = (enter(&house, "ada", &[]), enter(&house, "bob", &["ops"]));
        settled(&house, &["another"]);
        assert!(is_admin(&house, &ada) && is_admin(&house, &bob));
        house.live.admin_list = list(&[]);
        settled(&house, &["another"]);
        assert!(!is_admin(&house, &ada) && is_admin(&house, &bob));
        settled(&house, &["another", "corp"]);
        assert!(
            !is_admin(&house, &bob),
            "the groups of his backend are none of admins any more"
        );
    }

    #[test]
    fn an_account_that_is_gone_leaves_nothing_behind() {
        let mut house = House::new();
        house.account("root", true);
        house.live.admin_list = list(&["ada"]);
        let name = AccountName::parse("ada").unwrap();
        let ada = house
            .write(move |live, tx| create(live, tx, name, false, None, T0))
            .unwrap()
            .uid;
        house
            .write(move |live, tx| {
                record_login(live, tx, &ada, T0)?;
                delete(live, tx, &ada, T0)
            })
            .unwrap();
        let is_left = house.write(move |_, tx| Ok(BY_LIST.contains(tx, &ada)?));
        assert!(!is_left.unwrap());
    }
}
