//! Admins whom nobody but the configuration made so: what it gave, it takes back.
//!
//! **Invariants:** whoever the list names is an admin; whoever another admin or the operator made one
//! stays one, whatever the configuration ceases to say; nobody makes permanent what it gave them;
//! the last admin stays one. Only a server that serves settles this: a command on the data directory
//! may have been given another configuration.

use std::collections::{BTreeSet, HashSet};

use super::{ACCOUNTS, AccountError, IdentityKey, NAMES, admission::BY_GROUP, roster};
use crate::{
    id::Uid,
    live::Live,
    store::{Order, StoreError, Table, Tx},
};

/// Why, in the trail.
pub(super) const LIST: &str = "admin list";

/// Accounts that are admins because the operator's list names them, and cease to be with that.
pub(super) const BY_LIST: Table<Uid, ()> = Table::new(28, "admins-by-list");

/// Makes admins of those the list names, and takes back what this configuration no longer gives: from
/// whoever its list no longer names, and from whoever was in a group and has identities only of
/// `ungrouped`, the backends in force that have no `admin_groups`. A backend that is out of force may
/// come back, and its admins with it. Says whether somebody stays one for being the last.
///
/// # Errors
/// Only of the store.
pub fn settle(
    live: &Live,
    tx: &mut Tx<'_>,
    ungrouped: &HashSet<String>,
) -> Result<bool, AccountError> {
    for name in live.admin_list.iter() {
        if let Some(uid) = NAMES.get(tx, name.as_str())?
            && let Some(account) = ACCOUNTS.get(tx, &uid)?
            && !account.is_admin
        {
            BY_LIST.put(tx, &uid, &())?;
            roster::set_admin_because(live, tx, &uid, true, LIST)?;
        }
    }
    let mut marked = marked(tx, &BY_LIST)?;
    marked.extend(self::marked(tx, &BY_GROUP)?);
    let mut is_one_left = false;
    for uid in marked {
        is_one_left |= !settle_one(live, tx, ungrouped, &uid)?;
    }
    Ok(is_one_left)
}

/// Whom the table names.
fn marked(tx: &Tx<'_>, given: &Table<Uid, ()>) -> Result<BTreeSet<Uid>, StoreError> {
    let uid = |entry: Result<(Vec<u8>, ()), StoreError>| {
        let (key, ()) = entry?;
        let bytes = key.as_slice().try_into();
        bytes.map(Uid::from_bytes).map_err(|_| given.corrupt(&key))
    };
    given
        .scan(tx, &[], None, Order::Ascending)
        .map(uid)
        .collect()
}

/// False when the account would be no admin any more and is the last one.
fn settle_one(
    live: &Live,
    tx: &mut Tx<'_>,
    ungrouped: &HashSet<String>,
    uid: &Uid,
) -> Result<bool, AccountError> {
    let Some(account) = ACCOUNTS.get(tx, uid)? else {
        tx.sign_off();
        forget(tx, uid)?;
        return Ok(true);
    };
    let was_in_group = BY_GROUP.contains(tx, uid)?;
    let may_be_in_group = |key: &IdentityKey| !ungrouped.contains(&key.backend);
    if live.is_listed_admin(&account.name) {
        if !BY_LIST.contains(tx, uid)? {
            BY_LIST.put(tx, uid, &())?;
        }
        return Ok(true);
    }
    if was_in_group && account.identities.iter().any(may_be_in_group) {
        if BY_LIST.contains(tx, uid)? {
            BY_LIST.delete(tx, uid)?;
        }
        return Ok(true);
    }
    if roster::is_last_admin(tx, uid)? {
        return Ok(false);
    }
    tx.sign_off();
    forget(tx, uid)?;
    let why = if was_in_group { "group" } else { LIST };
    roster::set_admin_because(live, tx, uid, false, why)?;
    Ok(true)
}

/// What an admin says of the account counts from now on, and not what the configuration gave. True when
/// it gave something.
pub(super) fn forget(tx: &mut Tx<'_>, uid: &Uid) -> Result<bool, StoreError> {
    let by_list = BY_LIST.delete(tx, uid)?;
    let by_group = BY_GROUP.delete(tx, uid)?;
    Ok(by_list || by_group)
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
    use crate::audit::{Scene, Who};

    fn list(names: &[&str]) -> Arc<HashSet<String>> {
        Arc::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn is_admin(house: &House, uid: &Uid) -> bool {
        house.live.accounts.get(uid).unwrap().is_admin()
    }

    fn settled(house: &House, ungrouped: &[&str]) -> bool {
        let ungrouped = list(ungrouped);
        house
            .write(move |live, tx| settle(live, tx, &ungrouped))
            .unwrap()
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
        house.live.admin_list = list(&["ada"]);
        settled(&house, &[]);
        assert!(is_admin(&house, &ada), "without signing in anew");
    }

    #[test]
    fn nobody_makes_permanent_what_the_list_gave_them() {
        let mut house = House::new();
        house.account("root", true);
        let ada = house.account("ada", false);
        house.live.admin_list = list(&["ada"]);
        settled(&house, &[]);
        house
            .write(move |live, tx| {
                let by_herself = Scene::system(T0).done_by(Who::Account {
                    name: "ada".into(),
                    uid: ada,
                    login: None,
                });
                set_admin(&live.by(by_herself), tx, &ada, true)
            })
            .unwrap();
        house.live.admin_list = list(&[]);
        settled(&house, &[]);
        assert!(!is_admin(&house, &ada));
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
        assert!(settled(&house, &[]), "she is the last");
        assert!(is_admin(&house, &ada));
        house.account("root", true);
        assert!(!settled(&house, &[]));
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
        // From a group to the list, and back.
        house.live.admin_list = list(&["bob"]);
        settled(&house, &["another", "corp"]);
        assert!(is_admin(&house, &bob));
        house.live.admin_list = list(&[]);
        settled(&house, &["another"]);
        assert!(is_admin(&house, &bob));
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
