//! Admins whom nobody but the configuration made so: what it gave, it takes back.
//!
//! **Invariants:** whoever the list names is an admin; whoever another admin or the operator made one
//! stays one, whatever the configuration ceases to say; nobody makes permanent what it gave them;
//! the last admin stays one. Only a server that serves settles this: a command on the data directory
//! may have been given another configuration.

use std::collections::{BTreeSet, HashSet};

use super::{ACCOUNTS, Account, AccountError, IdentityKey, NAMES, admission::BY_GROUP, roster};
use crate::{
    id::Uid,
    live::Live,
    store::{Order, Read, StoreError, Table, Tx},
};

/// Why, in the trail.
pub(super) const LIST: &str = "admin list";
const GROUP: &str = "group";

/// Accounts that are admins because the operator's list names them, and cease to be with that.
pub(super) const BY_LIST: Table<Uid, ()> = Table::new(28, "admins-by-list");

/// What is known of an account's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// It is in one of admins.
    In,
    /// It is in none.
    Out,
    /// Nothing new.
    Unsaid,
}

/// What an account is, and by what of the configuration: by neither, it is another admin's or the
/// operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mandate {
    is_admin: bool,
    by_list: bool,
    by_group: bool,
}

impl Mandate {
    fn of(from: &impl Read, account: &Account) -> Result<Self, StoreError> {
        Ok(Self {
            is_admin: account.is_admin,
            by_list: BY_LIST.contains(from, &account.uid)?,
            by_group: BY_GROUP.contains(from, &account.uid)?,
        })
    }

    /// What becomes of it by what the configuration says.
    fn due(self, is_listed: bool, group: Group) -> Self {
        if self.is_admin && !self.by_list && !self.by_group {
            return self;
        }
        let by_group = match group {
            Group::In => true,
            Group::Out => false,
            Group::Unsaid => self.is_admin && self.by_group,
        };
        Self {
            is_admin: is_listed || by_group,
            by_list: is_listed,
            by_group,
        }
    }
}

/// Makes the account what its groups make of it, as its backend has just said. What the list gave is taken
/// back by [`settle`] alone: a sign-in may have begun under another one. The last admin stays one, with
/// its marks, and false says so.
///
/// # Errors
/// Only of the store.
pub(super) fn follow(
    live: &Live,
    tx: &mut Tx<'_>,
    account: Account,
    group: Group,
) -> Result<(Account, bool), AccountError> {
    let now = Mandate::of(tx, &account)?;
    let is_listed = live.is_listed_admin(&account.name) || (now.is_admin && now.by_list);
    turn(live, tx, account, now, now.due(is_listed, group))
}

/// False when it would be no admin any more and is the last one.
fn turn(
    live: &Live,
    tx: &mut Tx<'_>,
    account: Account,
    now: Mandate,
    due: Mandate,
) -> Result<(Account, bool), AccountError> {
    let uid = account.uid;
    if due == now {
        return Ok((account, true));
    }
    if now.is_admin && !due.is_admin && roster::is_last_admin(tx, &uid)? {
        return Ok((account, false));
    }
    for (table, is_marked) in [(&BY_LIST, due.by_list), (&BY_GROUP, due.by_group)] {
        match is_marked {
            true => table.put(tx, &uid, &())?,
            false => _ = table.delete(tx, &uid)?,
        }
    }
    if due.is_admin == now.is_admin {
        return Ok((account, true));
    }
    let by_group = now.by_group || due.by_group;
    let why = if by_group { GROUP } else { LIST };
    let account = roster::set_admin_because(live, tx, &uid, due.is_admin, why)?;
    Ok((account, true))
}

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
    let mut is_one_left = false;
    for uid in unsettled(live, tx, ungrouped)? {
        let Some(account) = ACCOUNTS.get(tx, &uid)? else {
            tx.sign_off();
            forget(tx, &uid)?;
            continue;
        };
        let (now, due) = settled(live, tx, &account, ungrouped)?;
        match turn(live, tx, account, now, due)? {
            (account, true) if !account.is_admin => tx.sign_off(),
            (_, is_settled) => is_one_left |= !is_settled,
        }
    }
    Ok(is_one_left)
}

/// Whom [`settle`] would see to, as it stands now: in vain, the last admin.
///
/// # Errors
/// Only of the store.
pub fn unsettled(
    live: &Live,
    from: &impl Read,
    ungrouped: &HashSet<String>,
) -> Result<BTreeSet<Uid>, StoreError> {
    let mut concerned = marked(from, &BY_LIST)?;
    concerned.extend(marked(from, &BY_GROUP)?);
    for name in live.admin_list.iter() {
        concerned.extend(NAMES.get(from, name.as_str())?);
    }
    let mut unsettled = BTreeSet::new();
    for uid in concerned {
        let is_settled = match ACCOUNTS.get(from, &uid)? {
            Some(account) => {
                let (now, due) = settled(live, from, &account, ungrouped)?;
                now == due
            }
            None => false,
        };
        if !is_settled {
            unsettled.insert(uid);
        }
    }
    Ok(unsettled)
}

/// What the account is, and what it is once that is settled.
fn settled(
    live: &Live,
    from: &impl Read,
    account: &Account,
    ungrouped: &HashSet<String>,
) -> Result<(Mandate, Mandate), StoreError> {
    let is_listed = live.is_listed_admin(&account.name);
    let may_be_in_one = |key: &IdentityKey| !ungrouped.contains(&key.backend);
    // Whom the list names keeps the mark of a group: its backend's may come back, too.
    let group = match is_listed || account.identities.iter().any(may_be_in_one) {
        true => Group::Unsaid,
        false => Group::Out,
    };
    let now = Mandate::of(from, account)?;
    let due = now.due(is_listed, group);
    Ok((now, due))
}

/// Whom the table names.
fn marked(from: &impl Read, given: &Table<Uid, ()>) -> Result<BTreeSet<Uid>, StoreError> {
    let uid = |entry: Result<(Vec<u8>, ()), StoreError>| {
        let (key, ()) = entry?;
        let bytes = key.as_slice().try_into();
        bytes.map(Uid::from_bytes).map_err(|_| given.corrupt(&key))
    };
    given
        .scan(from, &[], None, Order::Ascending)
        .map(uid)
        .collect()
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
    fn only_who_is_something_else_by_the_configuration_is_to_be_settled() {
        let mut house = House::new();
        house.account("root", true);
        let ada = house.account("ada", false);
        house.account("bob", true);
        let waits = |house: &House| -> Vec<Uid> {
            let found = unsettled(&house.live, &house.store.reader(), &HashSet::new());
            found.unwrap().into_iter().collect()
        };
        house.live.admin_list = list(&["ada", "bob", "nobody"]);
        assert_eq!(waits(&house), [ada]);
        settled(&house, &[]);
        assert_eq!(waits(&house), []);
        house.live.admin_list = list(&["bob"]);
        assert_eq!(waits(&house), [ada]);
        settled(&house, &[]);
        assert_eq!(waits(&house), []);
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
