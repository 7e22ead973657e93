//! Linked identities: what names a person at a backend, and the account it leads to.

use serde::{Deserialize, Serialize};

use super::{ACCOUNTS, Account, AccountError, IDENTITIES, admission, roster};
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::Uid,
    live::Live,
    store::{Key, Record, Tx},
};

/// What names a person at a backend. The backend's name is the operator's, given by the host: a
/// plugin cannot speak for another backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    let linked = note(Event::IdentityLinked, &account, &key);
    account.identities.push(key);
    roster::save(live, tx, &account)?;
    live.note(tx, linked.by_themselves())?;
    Ok(())
}

fn note(event: Event, account: &Account, key: &IdentityKey) -> Entry {
    let identity = format!("{} {}", key.issuer, key.subject);
    Entry::new(event)
        .account(account.uid, account.name.as_str())
        .backend(&key.backend)
        .detail(identity.trim())
}

/// Takes the identity away from the account it leads to, and what it was waived. What its person
/// signed in with ends.
///
/// # Errors
/// [`AccountError::NotFound`] when it does not lead to this account.
pub fn unlink(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    key: &IdentityKey,
) -> Result<(), AccountError> {
    match IDENTITIES.get(tx, key)? {
        Some(linked) if linked.uid == *uid => {}
        _ => return Err(AccountError::NotFound),
    }
    let mut account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    account.identities.retain(|own| own != key);
    IDENTITIES.delete(tx, key)?;
    admission::WAIVED.delete(tx, key)?;
    roster::save(live, tx, &account)?;
    live.note(tx, note(Event::IdentityUnlinked, &account, key))?;
    for (sid, login) in crate::login::list(tx, uid)? {
        if login.backend == key.backend
            && login.identity == (key.issuer.clone(), key.subject.clone())
        {
            crate::login::end(live, tx, uid, &sid)?;
        }
    }
    live.forget_identities(tx);
    Ok(())
}
