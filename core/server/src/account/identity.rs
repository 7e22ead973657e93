//! Linked identities: which account a backend's assertion leads to (DESIGN section 5).

use serde::{Deserialize, Serialize};

use super::{ACCOUNTS, Account, AccountError, AccountName, IDENTITIES, roster};
use crate::{
    clock::Timestamp,
    id::Uid,
    live::Live,
    store::{Key, Record, Tx},
};

/// What names a person at a backend. The backend's name is the operator's, given by the host: a
/// plugin cannot speak for another backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdentityKey {
    /// The configured name of the backend.
    pub backend: String,
    /// Who vouches, where a backend has several (an OIDC issuer); else empty.
    pub issuer: String,
    /// The person, unchanging, as the issuer names them.
    pub subject: String,
}

impl Key for IdentityKey {
    fn encode(&self, out: &mut Vec<u8>) {
        // Lengths first: no choice of texts can make two keys one.
        for part in [&self.backend, &self.issuer, &self.subject] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// The account an identity leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The account.
    pub uid: Uid,
    /// Since when.
    pub linked_at: Timestamp,
}

impl Record for LinkedIdentity {
    const VERSION: u8 = 1;
}

/// What becomes of an identity that is not linked yet: the backend's `accounts` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// A new account named after it; refused, never merged, when the name is taken.
    Create,
    /// Refused: it must have been linked or invited before.
    Existing,
}

/// An identity as the backend asserted it.
#[derive(Clone, Debug)]
pub struct Asserted {
    /// Who, at which backend.
    pub key: IdentityKey,
    /// The name a new account would get: the username, or the verified e-mail address.
    pub name: String,
}

/// The account `asserted` leads to, made by the rule `linking` when it is new.
///
/// # Errors
/// [`AccountError::NameTaken`], [`AccountError::Name`] or [`AccountError::NotAdmitted`].
pub fn identify(
    live: &Live,
    tx: &mut Tx<'_>,
    asserted: &Asserted,
    linking: Linking,
    now: Timestamp,
) -> Result<Account, AccountError> {
    if let Some(linked) = IDENTITIES.get(tx, &asserted.key)? {
        return ACCOUNTS.get(tx, &linked.uid)?.ok_or(AccountError::NotFound);
    }
    match linking {
        Linking::Existing => Err(AccountError::NotAdmitted),
        Linking::Create => {
            let name = AccountName::parse(&asserted.name)?;
            let is_admin = live.is_listed_admin(&name);
            roster::create(live, tx, name, is_admin, Some(asserted.key.clone()), now)
        }
    }
}

/// Lets the identity `key` lead to the account from now on.
///
/// # Errors
/// [`AccountError::IdentityTaken`] when it leads to another account.
pub fn link(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    key: IdentityKey,
    now: Timestamp,
) -> Result<(), AccountError> {
    match IDENTITIES.get(tx, &key)? {
        Some(linked) if linked.uid == *uid => return Ok(()),
        Some(_) => return Err(AccountError::IdentityTaken),
        None => {}
    }
    let mut account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    IDENTITIES.put(
        tx,
        &key,
        &LinkedIdentity {
            uid: *uid,
            linked_at: now,
        },
    )?;
    account.identities.push(key);
    roster::save(live, tx, &account)?;
    Ok(())
}
