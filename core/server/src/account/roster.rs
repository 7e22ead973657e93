//! Making, changing and removing accounts.

use std::sync::Arc;

use super::{
    ACCOUNTS, ADMINS, Account, AccountError, AccountName, IDENTITIES, IdentityKey, LinkedIdentity,
    NAMES, address, admission, mandate,
};
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::Uid,
    live::Live,
    store::{Order, Read, Reader, StoreError, Tx},
    token::{AccountIndex, AccountState},
};

/// Makes an account that `identity`, if any, leads to.
///
/// # Errors
/// [`AccountError::NameTaken`] or [`AccountError::IdentityTaken`]; never merged.
pub fn create(
    live: &Live,
    tx: &mut Tx<'_>,
    name: AccountName,
    is_admin: bool,
    identity: Option<IdentityKey>,
    now: Timestamp,
) -> Result<Account, AccountError> {
    if NAMES.contains(tx, name.as_str())? {
        return Err(AccountError::NameTaken);
    }
    let uid = Uid::random();
    if let Some(key) = &identity {
        if IDENTITIES.contains(tx, key)? {
            return Err(AccountError::IdentityTaken);
        }
        IDENTITIES.put(tx, key, &LinkedIdentity::new(uid, now))?;
    }
    let account = Account {
        uid,
        name,
        is_admin,
        disabled: false,
        created_at: now,
        last_login_at: None,
        identities: identity.into_iter().collect(),
    };
    NAMES.put(tx, account.name.as_str(), &uid)?;
    save(live, tx, &account)?;
    let created = note(Event::AccountCreated, &account).by_themselves();
    let created = match account.identities.first() {
        Some(key) => created.backend(&key.backend),
        None => created,
    };
    let created = match is_admin {
        true => created.detail("as admin"),
        false => created,
    };
    live.note(tx, created)?;
    Ok(account)
}

/// The account called `name`.
///
/// # Errors
/// [`AccountError::NotFound`].
pub fn by_name(from: &impl Read, name: &str) -> Result<Account, AccountError> {
    let uid = NAMES.get(from, name)?.ok_or(AccountError::NotFound)?;
    ACCOUNTS.get(from, &uid)?.ok_or(AccountError::NotFound)
}

/// Up to `limit` accounts in the order of their names, from the one after `after`.
///
/// # Errors
/// Only of the store.
pub fn list(
    from: &impl Read,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Account>, StoreError> {
    let start = after.map(str::as_bytes);
    let mut page = Vec::new();
    for entry in NAMES.scan(from, &[], start, Order::Ascending).take(limit) {
        let (_, uid) = entry?;
        page.extend(ACCOUNTS.get(from, &uid)?);
    }
    Ok(page)
}

fn note(event: Event, account: &Account) -> Entry {
    Entry::new(event).account(account.uid, account.name.as_str())
}

/// Makes the account an admin, or no longer one, whatever the configuration says of it: until its list
/// is settled next. Who is one confirms themselves in vain.
///
/// # Errors
/// [`AccountError::LastAdmin`] when nobody enabled would be left to administer.
pub fn set_admin(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    is_admin: bool,
) -> Result<Account, AccountError> {
    let by = live.scene.as_ref().and_then(|scene| scene.who.uid());
    if is_admin && by == Some(*uid) {
        return ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound);
    }
    let was_given = mandate::forget(tx, uid)?;
    let account = set_admin_because(live, tx, uid, is_admin, "asked")?;
    if was_given && is_admin {
        live.note(tx, note(Event::AdminGranted, &account).reason("asked"))?;
    }
    Ok(account)
}

/// As [`set_admin`]; why, is for the trail.
pub(super) fn set_admin_because(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    is_admin: bool,
    why: &'static str,
) -> Result<Account, AccountError> {
    let mut was = is_admin;
    let account = change(live, tx, uid, |account| {
        was = std::mem::replace(&mut account.is_admin, is_admin);
    })?;
    if was != is_admin {
        let event = match is_admin {
            true => Event::AdminGranted,
            false => Event::AdminRevoked,
        };
        live.note(tx, note(event, &account).reason(why))?;
    }
    Ok(account)
}

/// Disables the account, or lets it act again. Disabling ends its logins; its API tokens sleep.
///
/// # Errors
/// [`AccountError::LastAdmin`] when nobody enabled would be left to administer.
pub fn set_disabled(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    disabled: bool,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let mut was = disabled;
    let account = change(live, tx, uid, |account| {
        was = std::mem::replace(&mut account.disabled, disabled);
    })?;
    if was != disabled {
        let event = match disabled {
            true => Event::AccountDisabled,
            false => Event::AccountEnabled,
        };
        live.note(tx, note(event, &account))?;
    }
    if disabled {
        tx.sign_off();
        crate::login::end_all(live, tx, uid, None, now)?;
    }
    Ok(account)
}

/// Notes that the account's person signed in.
///
/// # Errors
/// [`AccountError::NotFound`]; [`AccountError::Disabled`], which the caller must not tell apart
/// from a wrong password.
pub fn record_login(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let mut account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    if account.disabled {
        return Err(AccountError::Disabled);
    }
    account.last_login_at = Some(now);
    if live.is_listed_admin(&account.name) && !account.is_admin {
        account.is_admin = true;
        mandate::BY_LIST.put(tx, uid, &())?;
        live.note(
            tx,
            note(Event::AdminGranted, &account).reason(mandate::LIST),
        )?;
    }
    save(live, tx, &account)?;
    Ok(account)
}

/// Removes the account and everything that acts for it: names, identities, what they were waived and
/// the addresses they proved, logins, grants and API tokens. Its `uid` is never used again, so what it owned stays out of reach.
///
/// # Errors
/// [`AccountError::LastAdmin`]; [`AccountError::NotFound`].
pub fn delete(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    if ADMINS.delete(tx, uid)? && !any_admin(tx)? {
        return Err(AccountError::LastAdmin);
    }
    tx.sign_off();
    crate::login::end_all(live, tx, uid, None, now)?;
    crate::token::api::revoke_all(live, tx, uid)?;
    address::forget(tx, &account)?;
    for identity in &account.identities {
        IDENTITIES.delete(tx, identity)?;
        admission::WAIVED.delete(tx, identity)?;
    }
    mandate::forget(tx, uid)?;
    NAMES.delete(tx, account.name.as_str())?;
    ACCOUNTS.delete(tx, uid)?;
    live.note(tx, note(Event::AccountDeleted, &account))?;
    let (index, uid) = (Arc::clone(&live.accounts), *uid);
    tx.on_commit(move || index.remove(&uid));
    Ok(account)
}

/// Fills the in-memory index with every stored account. For start-up.
///
/// # Errors
/// Only of the store.
pub fn load_index(from: &Reader) -> Result<AccountIndex, StoreError> {
    let index = AccountIndex::default();
    let state = |_: &[u8], account: Account| Ok(state_of(&account));
    ACCOUNTS.load(from, state, |state| index.insert(state))?;
    Ok(index)
}

fn change(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    edit: impl FnOnce(&mut Account),
) -> Result<Account, AccountError> {
    let mut account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    let was_admin = account.is_admin && !account.disabled;
    edit(&mut account);
    save(live, tx, &account)?;
    if was_admin && !any_admin(tx)? {
        return Err(AccountError::LastAdmin);
    }
    Ok(account)
}

/// Writes the account, keeps [`ADMINS`] true, and lets the index follow the commit.
pub(super) fn save(live: &Live, tx: &mut Tx<'_>, account: &Account) -> Result<(), StoreError> {
    ACCOUNTS.put(tx, &account.uid, account)?;
    if account.is_admin && !account.disabled {
        ADMINS.put(tx, &account.uid, &())?;
    } else {
        ADMINS.delete(tx, &account.uid)?;
    }
    let index = Arc::clone(&live.accounts);
    let (uid, name, is_admin, disabled) = (
        account.uid,
        account.name.clone(),
        account.is_admin,
        account.disabled,
    );
    tx.on_commit(move || match index.get(&uid) {
        Some(state) => {
            state.set_admin(is_admin);
            state.set_disabled(disabled);
        }
        None => index.insert(AccountState::new(uid, name.as_str(), is_admin, disabled)),
    });
    Ok(())
}

/// Whether nobody but this account is an enabled admin.
pub(super) fn is_last_admin(from: &impl Read, uid: &Uid) -> Result<bool, StoreError> {
    let mut admins = ADMINS.scan(from, &[], None, Order::Ascending);
    Ok(match (admins.next().transpose()?, admins.next()) {
        (Some((key, ())), None) => key == uid.as_bytes(),
        _ => false,
    })
}

/// Whether anybody may administer.
pub(super) fn any_admin(from: &impl Read) -> Result<bool, StoreError> {
    Ok(ADMINS
        .scan(from, &[], None, Order::Ascending)
        .next()
        .transpose()?
        .is_some())
}

fn state_of(account: &Account) -> AccountState {
    AccountState::new(
        account.uid,
        account.name.as_str(),
        account.is_admin,
        account.disabled,
    )
}
