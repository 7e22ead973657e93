//! E-mail addresses: the account each belongs to, and the identity it was proven by (THREATS O6).
//!
//! Owns: noting that, and taking it back. Does not: let anybody join by an address (`admission`).
//!
//! **Invariant:** an address ceases to lead anywhere when the identity that proved it bears another one,
//! is unlinked or deleted, unless another identity of the same account proves it too. What an admin
//! vouched for is taken over, and so taken back, by the first identity that proves it.

use super::{Account, Asserted, IDENTITIES, IdentityKey, Rules, admission::is_authoritative};
use crate::{
    id::Uid,
    store::{StoreError, Table, Tx},
};

/// The account each e-mail address belongs to, as an authoritative issuer or an admin said.
pub const PROVEN: Table<str, Uid> = Table::new(17, "proven-addresses");

/// Notes that the address, if the name is one, belongs to the account: an admin says so.
pub(super) fn vouch(tx: &mut Tx<'_>, account: &Account) -> Result<(), StoreError> {
    if account.name.as_str().contains('@') {
        PROVEN.put(tx, account.name.as_str(), &account.uid)?;
    }
    Ok(())
}

/// Notes the address that an identity of the account proves, and takes back the one it proved before
/// when it bears another, or none that is verified.
pub(super) fn prove(
    tx: &mut Tx<'_>,
    rules: &Rules,
    asserted: &Asserted,
    account: &Account,
) -> Result<(), StoreError> {
    let (key, bears) = (&asserted.key, asserted.verified_email());
    let Some(mut linked) = IDENTITIES.get(tx, key)? else {
        return Ok(());
    };
    if linked.uid != account.uid {
        return Ok(());
    }
    let before = linked.address.clone();
    if let Some(old) = linked.address.take_if(|old| bears != Some(old.as_str())) {
        take_back(tx, account, key, &old)?;
    }
    if let Some(email) = bears.filter(|_| is_authoritative(rules, asserted)) {
        if PROVEN.get(tx, email)? != Some(account.uid) {
            PROVEN.put(tx, email, &account.uid)?;
        }
        linked.address = Some(email.to_owned());
    }
    if linked.address != before {
        IDENTITIES.put(tx, key, &linked)?;
    }
    Ok(())
}

/// Takes back what the identity proved. For an identity that is about to lead to the account no more.
pub(super) fn disprove(
    tx: &mut Tx<'_>,
    account: &Account,
    key: &IdentityKey,
) -> Result<(), StoreError> {
    match IDENTITIES.get(tx, key)?.and_then(|linked| linked.address) {
        Some(address) => take_back(tx, account, key, &address),
        None => Ok(()),
    }
}

/// Takes back every address of an account that is about to be deleted.
pub(super) fn forget(tx: &mut Tx<'_>, account: &Account) -> Result<(), StoreError> {
    let mut addresses = vec![account.name.as_str().to_owned()];
    for key in &account.identities {
        addresses.extend(IDENTITIES.get(tx, key)?.and_then(|linked| linked.address));
    }
    for address in addresses {
        if PROVEN.get(tx, &address)? == Some(account.uid) {
            PROVEN.delete(tx, &address)?;
        }
    }
    Ok(())
}

fn take_back(
    tx: &mut Tx<'_>,
    account: &Account,
    by: &IdentityKey,
    address: &str,
) -> Result<(), StoreError> {
    if PROVEN.get(tx, address)? != Some(account.uid) {
        return Ok(());
    }
    for other in account.identities.iter().filter(|other| *other != by) {
        let linked = IDENTITIES.get(tx, other)?;
        if linked.is_some_and(|linked| linked.address.as_deref() == Some(address)) {
            return Ok(());
        }
    }
    PROVEN.delete(tx, address)?;
    Ok(())
}
