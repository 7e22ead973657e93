//! Linked identities: what names a person at a backend, and the account it leads to.

use serde::{Deserialize, Serialize};

use super::{ACCOUNTS, Account, AccountError, IDENTITIES, address, admission, roster};
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

impl IdentityKey {
    /// What the encoded keys of a backend begin with.
    pub(super) fn prefix(backend: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode_part(backend, &mut out);
        out
    }

    /// Whether the same issuer, behind the same backend, means somebody else by `other`.
    pub(super) fn is_another_of(&self, other: &Self) -> bool {
        let plain = |key: &Self| key.issuer.trim_end_matches('/').to_owned();
        self.backend == other.backend
            && plain(self) == plain(other)
            && self.subject != other.subject
    }
}

impl Key for IdentityKey {
    fn encode(&self, out: &mut Vec<u8>) {
        for part in [&self.backend, &self.issuer, &self.subject] {
            encode_part(part, out);
        }
    }
}

/// Its length first: no choice of texts can make two keys one.
fn encode_part(part: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part.as_bytes());
}

/// The account an identity leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The account.
    pub uid: Uid,
    /// Since when.
    pub linked_at: Timestamp,
    /// The e-mail address it proved when it was last seen.
    pub address: Option<String>,
    /// Whether it was written before that was noted.
    #[serde(skip)]
    pub(super) is_unnoted: bool,
}

impl LinkedIdentity {
    /// One that is linked now, and has proven nothing.
    pub(super) const fn new(uid: Uid, now: Timestamp) -> Self {
        Self {
            uid,
            linked_at: now,
            address: None,
            is_unnoted: false,
        }
    }
}

impl Record for LinkedIdentity {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        // Before it was noted who proved an address.
        if version != 1 {
            return None;
        }
        let (uid, linked_at) = postcard::from_bytes(payload).ok()?;
        Some(Self {
            is_unnoted: true,
            ..Self::new(uid, linked_at)
        })
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
    IDENTITIES.put(tx, &key, &LinkedIdentity::new(*uid, now))?;
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

/// Takes the identity away from the account it leads to, with what it was waived and the address it
/// proved. What its person signed in with ends.
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
    address::disprove(tx, &account, key)?;
    account.identities.retain(|own| own != key);
    IDENTITIES.delete(tx, key)?;
    admission::WAIVED.delete(tx, key)?;
    roster::save(live, tx, &account)?;
    live.note(tx, note(Event::IdentityUnlinked, &account, key))?;
    crate::login::end_resting_on(live, tx, uid, key)?;
    live.forget_identities(tx);
    Ok(())
}

/// Takes all identities of the backend away from the account, as [`unlink`] does each. Says how many.
///
/// # Errors
/// [`AccountError::NotFound`] when there is no such account.
pub fn unlink_all(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    backend: &str,
) -> Result<usize, AccountError> {
    let account = ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)?;
    let of_it = |key: &&IdentityKey| key.backend == backend;
    let mut count = 0;
    for key in account.identities.iter().filter(of_it) {
        unlink(live, tx, uid, key)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_link_of_before_addresses_were_noted_has_none() {
        let first = (Uid::from_bytes([7; 16]), Timestamp::from_seconds(1));
        let payload = postcard::to_extend(&first, Vec::new()).unwrap();
        let linked = LinkedIdentity::upgrade(1, &payload).unwrap();
        assert_eq!((linked.uid, linked.linked_at), first);
        assert!(linked.address.is_none() && linked.is_unnoted);
        assert!(LinkedIdentity::upgrade(3, &payload).is_none());
    }

    #[test]
    fn another_subject_is_of_the_same_backend_and_issuer() {
        let key = |backend: &str, issuer: &str, subject: &str| IdentityKey {
            backend: backend.into(),
            issuer: issuer.into(),
            subject: subject.into(),
        };
        let ada = key("corp", "https://id.example", "1");
        assert!(ada.is_another_of(&key("corp", "https://id.example", "2")));
        assert!(ada.is_another_of(&key("corp", "https://id.example/", "2")));
        for same_or_elsewhere in [
            key("corp", "https://id.example", "1"),
            key("corp", "https://id.example/", "1"),
            key("corp2", "https://id.example", "2"),
            key("corp", "https://id.example.org", "2"),
        ] {
            assert!(!ada.is_another_of(&same_or_elsewhere));
        }
    }
}
