//! Who else may do what with a session.

use super::{Level, PERMISSIONS, PLACES, Place, SHARED_WITH, SessionError, Viewer, get, require};
use crate::{
    clock::Timestamp,
    id::{SessionId, Uid},
    store::{Key, Order, Read, StoreError, Tx},
};

/// With whom a session is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// An account.
    Account(Uid),
    /// Everybody who is signed in. Reading only.
    Public,
}

/// The key of [`Grantee::Public`]: no random id is all ones.
const PUBLIC: [u8; 16] = [0xff; 16];

impl Key for Grantee {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Account(uid) => uid.as_bytes(),
            Self::Public => &PUBLIC,
        });
    }
}

/// The grantee in a key of [`PERMISSIONS`].
pub(super) fn grantee(key: &[u8]) -> Result<Grantee, StoreError> {
    let half = key
        .get(16..32)
        .and_then(|half| <[u8; 16]>::try_from(half).ok());
    match half {
        Some(PUBLIC) => Ok(Grantee::Public),
        Some(uid) => Ok(Grantee::Account(Uid::from_bytes(uid))),
        None => Err(PERMISSIONS.corrupt(key)),
    }
}

/// What the viewer may do with a session; nothing when they may not know of it.
///
/// # Errors
/// Only of the store.
pub fn level(
    from: &impl Read,
    viewer: &Viewer,
    id: &SessionId,
    place: &Place,
) -> Result<Option<Level>, StoreError> {
    if place.owner == viewer.uid {
        return Ok(Some(Level::Owner));
    }
    let granted = PERMISSIONS.get(from, &(*id, Grantee::Account(viewer.uid)))?;
    if let Some(level) = granted.and_then(Level::from_number) {
        return Ok(Some(level));
    }
    let is_public = viewer.sees_public && PERMISSIONS.contains(from, &(*id, Grantee::Public))?;
    Ok((is_public || viewer.is_admin).then_some(Level::Read))
}

/// Whether the viewer may say who else sees a session.
///
/// # Errors
/// [`SessionError::NotFound`] for whoever has no right to it, [`SessionError::Forbidden`] below
/// [`Level::Manage`].
pub fn manage(from: &impl Read, viewer: &Viewer, id: &SessionId) -> Result<(), SessionError> {
    let (_, own) = get(from, viewer, id)?;
    require(own, Level::Manage)
}

/// Shares a session at a level, or changes the level.
///
/// # Errors
/// [`SessionError::Forbidden`] below [`Level::Manage`], and with oneself or the owner.
pub fn share(
    tx: &mut Tx<'_>,
    viewer: &Viewer,
    id: &SessionId,
    grantee: Grantee,
    level: Level,
) -> Result<(), SessionError> {
    let (session, own) = get(tx, viewer, id)?;
    require(own, Level::Manage)?;
    match grantee {
        Grantee::Public if level != Level::Read => {
            return Err(SessionError::Invalid(
                "everybody can be given read access only",
            ));
        }
        Grantee::Account(uid) if uid == viewer.uid => {
            return Err(SessionError::Forbidden("Cannot change one's own access"));
        }
        Grantee::Account(uid) if uid == session.owner => {
            return Err(SessionError::Forbidden("Cannot change the owner's access"));
        }
        _ => {}
    }
    PERMISSIONS.put(tx, &(*id, grantee), &level.number())?;
    if let Grantee::Account(uid) = grantee {
        let place = Place {
            owner: session.owner,
            created_at: session.created_at,
        };
        SHARED_WITH.put(tx, &(uid, session.created_at, *id), &place)?;
    }
    Ok(())
}

/// Stops sharing a session with somebody: whoever manages it may, and the grantee themself.
///
/// # Errors
/// [`SessionError::Forbidden`] otherwise, and for the owner.
pub fn unshare(
    tx: &mut Tx<'_>,
    viewer: &Viewer,
    id: &SessionId,
    grantee: Grantee,
) -> Result<(), SessionError> {
    let (session, own) = get(tx, viewer, id)?;
    if grantee == Grantee::Account(session.owner) {
        return Err(SessionError::Forbidden(
            "The owner's access cannot be removed",
        ));
    }
    if grantee != Grantee::Account(viewer.uid) {
        require(own, Level::Manage)?;
    }
    forget(tx, id, grantee, session.created_at)?;
    Ok(())
}

pub(super) fn forget(
    tx: &mut Tx<'_>,
    id: &SessionId,
    grantee: Grantee,
    created_at: Timestamp,
) -> Result<(), StoreError> {
    PERMISSIONS.delete(tx, &(*id, grantee))?;
    if let Grantee::Account(uid) = grantee {
        SHARED_WITH.delete(tx, &(uid, created_at, *id))?;
    }
    Ok(())
}

/// With whom a session is shared, and at what level.
///
/// # Errors
/// [`SessionError::NotFound`] for whoever has no right to it.
pub fn permissions(
    from: &impl Read,
    viewer: &Viewer,
    id: &SessionId,
) -> Result<Vec<(Grantee, u64)>, SessionError> {
    let place = PLACES.get(from, id)?.ok_or(SessionError::NotFound)?;
    level(from, viewer, id, &place)?.ok_or(SessionError::NotFound)?;
    let grants = PERMISSIONS
        .scan(from, id.as_bytes(), None, Order::Ascending)
        .map(|entry| {
            let (key, level) = entry?;
            Ok((grantee(&key)?, level))
        });
    grants.collect()
}
