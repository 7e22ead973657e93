//! Sessions at issuers: which logins rest on which of them, so that an issuer can end them
//! (OpenID Connect Back-Channel Logout 1.0).
//!
//! **Invariant:** an issuer ends only logins of its own backend; with them ends what their accounts have
//! left to begin others with.

use omnigent_plugin::Ended;

use super::{LOGINS, Origin, end, gone::resting_on, pending};
use crate::{
    account::{IDENTITIES, IdentityKey},
    id::{LoginId, Uid},
    live::Live,
    store::{Key, Order, Read, StoreError, Table, Tx},
};

/// The account of each login that rests on a session at an issuer. An entry outlives its login
/// until it is swept.
pub const ISSUER_SESSIONS: Table<IssuerSession, Uid> = Table::new(25, "issuer-sessions");

/// A login, by the session at the issuer it rests on.
#[derive(Debug)]
pub struct IssuerSession {
    /// Backend, issuer and the session's id there.
    pub session: IdentityKey,
    /// The login.
    pub sid: LoginId,
}

impl Key for IssuerSession {
    fn encode(&self, out: &mut Vec<u8>) {
        self.session.encode(out);
        out.extend_from_slice(self.sid.as_bytes());
    }
}

pub(super) fn note(
    tx: &mut Tx<'_>,
    origin: &Origin,
    session: &str,
    uid: &Uid,
    sid: &LoginId,
) -> Result<(), StoreError> {
    let key = IssuerSession {
        session: key(&origin.backend, &origin.identity.0, session),
        sid: *sid,
    };
    ISSUER_SESSIONS.put(tx, &key, uid)
}

fn key(backend: &str, issuer: &str, last: &str) -> IdentityKey {
    IdentityKey {
        backend: backend.to_owned(),
        issuer: issuer.to_owned(),
        subject: last.to_owned(),
    }
}

/// Ends what the issuer behind `backend` says has ended. Says how many logins.
///
/// # Errors
/// Only of the store.
pub fn end_by_issuer(
    live: &Live,
    tx: &mut Tx<'_>,
    backend: &str,
    ended: &Ended,
) -> Result<usize, StoreError> {
    let issuer = ended.issuer.as_deref().unwrap_or_default();
    let owner = match &ended.subject {
        Some(subject) => match IDENTITIES.get(tx, &key(backend, issuer, subject))? {
            Some(linked) => Some(linked.uid),
            None => return Ok(0),
        },
        None => None,
    };
    let doomed: Vec<(Uid, LoginId)> = match (&ended.session, owner) {
        (Some(session), owner) => {
            let mut prefix = Vec::new();
            key(backend, issuer, session).encode(&mut prefix);
            let mut found = Vec::new();
            for entry in ISSUER_SESSIONS.scan(tx, &prefix, None, Order::Ascending) {
                let (entry, uid) = entry?;
                let sid = sid_of(&entry)?;
                found.push((uid, sid));
            }
            found.retain(|(uid, _)| owner.is_none_or(|owner| owner == *uid));
            found
        }
        (None, Some(uid)) => {
            let subject = ended.subject.as_deref().unwrap_or_default();
            let all = resting_on(tx, &uid, &key(backend, issuer, subject))?;
            all.into_iter().map(|sid| (uid, sid)).collect()
        }
        (None, None) => Vec::new(),
    };
    // Also where no login is left: what it approved may be.
    let mut concerned: Vec<Uid> = doomed.iter().map(|(uid, _)| *uid).collect();
    concerned.extend(owner.filter(|_| ended.session.is_none()));
    concerned.sort_unstable();
    concerned.dedup();
    for uid in concerned {
        pending::void(tx, &uid)?;
    }
    let mut count = 0;
    for (uid, sid) in doomed {
        count += usize::from(end(live, tx, &uid, &sid)?);
    }
    Ok(count)
}

/// Whether the login of an entry, given by its encoded key and value, is there.
///
/// # Errors
/// Only of the store.
pub(crate) fn has_login(from: &impl Read, uid: &Uid, entry: &[u8]) -> Result<bool, StoreError> {
    LOGINS.contains(from, &(*uid, sid_of(entry)?))
}

fn sid_of(entry: &[u8]) -> Result<LoginId, StoreError> {
    let sid = entry.last_chunk::<16>().copied();
    sid.map(LoginId::from_bytes)
        .ok_or_else(|| ISSUER_SESSIONS.corrupt(entry))
}
