//! Addresses that were proven before it was noted by which identity: seen to once, when a server opens a
//! store of then.
//!
//! **Invariant:** afterwards every address that leads to an account is noted by an identity of it, which
//! takes it back (`address`), or is the account's name, for which an admin may have vouched.

use super::{ACCOUNTS, IDENTITIES, PROVEN};
use crate::{
    id::Uid,
    store::{Order, Read, StoreError, Table, Tx},
};

/// Whether it is done.
pub(super) const NOTED: Table<str, ()> = Table::new(32, "addresses-noted");
/// The one key of it.
const ALL: &str = "all";
/// Addresses that are seen to in one transaction.
const BATCH: usize = 500;

/// Whether there is nothing to do.
///
/// # Errors
/// Only of the store.
pub fn are_addresses_noted(from: &impl Read) -> Result<bool, StoreError> {
    let first = PROVEN.scan(from, &[], None, Order::Ascending).next();
    Ok(NOTED.contains(from, ALL)? || first.transpose()?.is_none())
}

/// Sees to the next addresses, past `after`. Says where to go on, nothing at the end.
///
/// # Errors
/// Only of the store.
pub fn note_addresses(
    tx: &mut Tx<'_>,
    after: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    for entry in PROVEN.scan(tx, &[], after, Order::Ascending).take(BATCH) {
        found.push(entry?);
    }
    for (key, uid) in &found {
        note(tx, key, uid)?;
    }
    if found.len() < BATCH {
        NOTED.put(tx, ALL, &())?;
        return Ok(None);
    }
    Ok(found.pop().map(|(key, _)| key))
}

/// By every identity of the account that may have proven it: each takes it back, or goes on proving it,
/// when it is next seen. What none of them can have proven leads nowhere any more.
fn note(tx: &mut Tx<'_>, key: &[u8], uid: &Uid) -> Result<(), StoreError> {
    let address = std::str::from_utf8(key).map_err(|_| PROVEN.corrupt(key))?;
    let account = ACCOUNTS.get(tx, uid)?;
    let mut unnoted = Vec::new();
    for own in account.iter().flat_map(|account| &account.identities) {
        let Some(mut linked) = IDENTITIES.get(tx, own)? else {
            continue;
        };
        if linked.address.as_deref() == Some(address) {
            return Ok(());
        }
        if linked.is_unnoted {
            linked.address = Some(address.to_owned());
            unnoted.push((own, linked));
        }
    }
    let is_name = account
        .as_ref()
        .is_some_and(|account| account.name.as_str() == address);
    if unnoted.is_empty() && !is_name {
        PROVEN.delete(tx, address)?;
    }
    for (own, linked) in unnoted {
        IDENTITIES.put(tx, own, &linked)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        account::{
            Asserted,
            tests::{ADA, House, T0, ada, linking},
            unlink,
        },
        clock::Timestamp,
        store::{Key, Record},
    };

    /// A link as it was written before addresses were noted.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct First(Uid, Timestamp);

    impl Record for First {
        const VERSION: u8 = 1;
    }

    /// The table of links, as it was.
    const fn first() -> Table<[u8], First> {
        Table::new(3, "identities")
    }
    const NEW: &str = "ada.new@example.com";

    impl House {
        /// Ada, who proved `address` and was last seen before that was noted.
        fn of_then(&self, name: &str, address: &'static str) -> Uid {
            let mut ada = ada(true);
            ada.name = name.to_owned();
            (ada.email, ada.username) = (Some(address.into()), None);
            let key = ada.key.clone();
            let uid = self.admit(linking(), ada).unwrap().uid;
            self.write(move |_, tx| {
                let mut encoded = Vec::new();
                key.encode(&mut encoded);
                first().put(tx, &encoded, &First(uid, T0))?;
                assert_eq!(PROVEN.get(tx, address)?, Some(uid));
                assert!(IDENTITIES.get(tx, &key)?.unwrap().is_unnoted);
                Ok(())
            })
            .unwrap();
            uid
        }

        fn opens(&self) {
            self.write(|_, tx| {
                let mut after = None;
                loop {
                    after = note_addresses(tx, after.as_deref())?;
                    if after.is_none() {
                        return Ok(());
                    }
                }
            })
            .unwrap();
            assert!(are_addresses_noted(&self.store.reader()).unwrap());
        }

        fn owner(&self, address: &str) -> Option<Uid> {
            PROVEN.get(&self.store.reader(), address).unwrap()
        }
    }

    fn renamed() -> Asserted {
        Asserted {
            email: Some(NEW.into()),
            ..ada(true)
        }
    }

    #[test]
    fn an_address_of_then_is_taken_back_by_who_bears_another_or_is_unlinked() {
        for name in [ADA, "ada"] {
            let house = House::new();
            let uid = house.of_then(name, ADA);
            assert!(!are_addresses_noted(&house.store.reader()).unwrap());
            house.opens();
            assert_eq!(house.owner(ADA), Some(uid), "she may bear it still");
            house.admit(linking(), renamed()).unwrap();
            assert_eq!((house.owner(ADA), house.owner(NEW)), (None, Some(uid)));

            let house = House::new();
            let uid = house.of_then(name, ADA);
            house.opens();
            house
                .write(move |live, tx| unlink(live, tx, &uid, &ada(true).key))
                .unwrap();
            assert_eq!(house.owner(ADA), None);
        }
    }

    #[test]
    fn an_address_that_nobody_can_have_proven_leads_nowhere() {
        let house = House::new();
        let bob = house.account("bob", false);
        let vouched = house.vouched(ADA);
        house
            .write(move |_, tx| {
                PROVEN.put(tx, NEW, &bob)?;
                Ok(PROVEN.put(tx, "nobody@example.com", &Uid::from_bytes([9; 16]))?)
            })
            .unwrap();
        house.opens();
        assert_eq!(house.owner(NEW), None);
        assert_eq!(house.owner("nobody@example.com"), None);
        assert_eq!(house.owner(ADA), Some(vouched), "an admin's word");
    }

    #[test]
    fn all_addresses_are_seen_to() {
        let house = House::new();
        house
            .write(|_, tx| {
                for n in 0..=2 * BATCH {
                    PROVEN.put(tx, format!("{n}@x.org").as_str(), &Uid::from_bytes([9; 16]))?;
                }
                Ok(())
            })
            .unwrap();
        house.opens();
        assert_eq!(house.owner("0@x.org"), None);
        assert_eq!(house.owner("999@x.org"), None);
    }
}
