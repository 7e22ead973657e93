//! Sessions: the resource under `/v1/sessions`, and who shares in it (CONTRACT section 9).
//!
//! Owns: session records, their indexes, their sharing. Does not: run agents (the upstream does),
//! know HTTP.
//!
//! A record is clustered under its owner by creation time, so a page of the default listing is one
//! contiguous walk and costs the same however many sessions there are. Listing by update time and
//! what others shared go through small indexes.
//!
//! **Invariants:** whoever has no right to a session cannot tell it from one that does not exist;
//! an owner is a `uid`, so a re-created account inherits nothing; indexes change in the transaction
//! that changes the record.

mod list;
mod share;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::{AgentId, SessionId, Uid},
    store::{KnownTable, Order, Read, Record, StoreError, Table, Tx},
};

pub use list::{Direction, Filter, Page, Query, SortBy, list};
pub use share::{Grantee, level, manage, permissions, share, unshare};

/// Records, clustered by owner and creation time.
pub const SESSIONS: Table<(Uid, Timestamp, SessionId), Session> = Table::new(20, "sessions");
/// Where each session's record lies.
pub const PLACES: Table<SessionId, Place> = Table::new(21, "session-ids");
/// The owner's sessions by the time of their last change.
pub const BY_UPDATE: Table<(Uid, Timestamp, SessionId), ()> = Table::new(22, "session-updates");
/// What others shared with somebody, by creation time.
pub const SHARED_WITH: Table<(Uid, Timestamp, SessionId), Place> = Table::new(23, "shared-with");
/// Levels by session and grantee.
pub const PERMISSIONS: Table<(SessionId, Grantee), u64> = Table::new(24, "permissions");

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![
        SESSIONS.known(),
        PLACES.known(),
        BY_UPDATE.known(),
        SHARED_WITH.known(),
        PERMISSIONS.known(),
    ]
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Uid,
    /// The agent it runs.
    pub agent: AgentId,
    /// What that agent was called.
    pub agent_name: String,
    /// What its owner calls it.
    pub title: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How hard the agent is to think.
    pub reasoning_effort: Option<String>,
    /// Another model than the agent's own.
    pub model_override: Option<String>,
    /// Where the agent works.
    pub workspace: Option<String>,
    /// The session that started it.
    pub parent: Option<SessionId>,
    /// What it is called elsewhere.
    pub external_id: Option<String>,
    /// Put away.
    pub archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Record for Session {
    const VERSION: u8 = 1;
}

/// Where a session's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Whose it is.
    pub owner: Uid,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Record for Place {
    const VERSION: u8 = 1;
}

/// How much somebody may do with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Read it.
    Read = 1,
    /// Change it.
    Edit = 2,
    /// Share it.
    Manage = 3,
    /// Everything.
    Owner = 4,
}

impl Level {
    /// The level of this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Read),
            2 => Some(Self::Edit),
            3 => Some(Self::Manage),
            4 => Some(Self::Owner),
            _ => None,
        }
    }

    /// The number of this level.
    pub const fn number(self) -> u64 {
        self as u64
    }
}

/// Who looks.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// Their account.
    pub uid: Uid,
    /// Admins may read any session by its id.
    pub is_admin: bool,
    /// Whether sharing with everybody counts.
    pub sees_public: bool,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It does not exist, or one may not know that it does.
    #[error("Conversation not found")]
    NotFound,
    /// Some right, but too little.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Of the right shape, but not possible.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a session's time is moved, in milliseconds, to come after the one before it. Past that
/// the clock was set back, and is right.
const NUDGE: u64 = 1000;

/// Stores a new session, and says how it is stored. It comes after the owner's newest, also when both are made in the same
/// millisecond.
///
/// # Errors
/// Only of the store.
pub fn create(tx: &mut Tx<'_>, mut session: Session) -> Result<Session, StoreError> {
    let newest = SESSIONS
        .scan(tx, session.owner.as_bytes(), None, Order::Descending)
        .next()
        .transpose()?;
    if let Some((_, newest)) = newest
        && newest.created_at >= session.created_at
        && newest.created_at.millis_since(session.created_at) < NUDGE
    {
        let next = Timestamp::from_millis(newest.created_at.millis() + 1);
        session.created_at = next;
        session.updated_at = next.max(session.updated_at);
    }
    let Session {
        owner,
        created_at,
        updated_at,
        id,
        ..
    } = session;
    SESSIONS.put(tx, &(owner, created_at, id), &session)?;
    PLACES.put(tx, &id, &Place { owner, created_at })?;
    BY_UPDATE.put(tx, &(owner, updated_at, id), &())?;
    Ok(session)
}

/// The session, and what the viewer may do with it.
///
/// # Errors
/// [`SessionError::NotFound`] for whoever has no right to it.
pub fn get(
    from: &impl Read,
    viewer: &Viewer,
    id: &SessionId,
) -> Result<(Session, Level), SessionError> {
    let place = PLACES.get(from, id)?.ok_or(SessionError::NotFound)?;
    let level = level(from, viewer, id, &place)?.ok_or(SessionError::NotFound)?;
    let session = SESSIONS.get(from, &(place.owner, place.created_at, *id))?;
    Ok((session.ok_or(SessionError::NotFound)?, level))
}

/// What a change sets; nothing leaves things as they are.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The title.
    pub title: Option<String>,
    /// Labels to add or replace.
    pub labels: BTreeMap<String, String>,
    /// The effort; an inner nothing clears it.
    pub reasoning_effort: Option<Option<String>>,
    /// The model; an inner nothing clears it.
    pub model_override: Option<Option<String>>,
    /// What it is called elsewhere.
    pub external_id: Option<String>,
    /// Put away, or taken out again: the owner's alone.
    pub archived: Option<bool>,
}

/// The most labels a session may have.
pub const MAX_LABELS: usize = 64;

/// Changes a session.
///
/// # Errors
/// [`SessionError::Forbidden`] below [`Level::Edit`], or below [`Level::Owner`] for archiving.
pub fn change(
    tx: &mut Tx<'_>,
    viewer: &Viewer,
    id: &SessionId,
    change: Change,
    now: Timestamp,
) -> Result<(Session, Level), SessionError> {
    let (mut session, level) = get(tx, viewer, id)?;
    let needed = if change.archived.is_some() {
        Level::Owner
    } else {
        Level::Edit
    };
    require(level, needed)?;
    let before = (session.owner, session.updated_at, *id);
    session.title = change.title.or(session.title);
    session.labels.extend(change.labels);
    if session.labels.len() > MAX_LABELS {
        return Err(SessionError::Invalid("a session has at most 64 labels"));
    }
    session.reasoning_effort = change.reasoning_effort.unwrap_or(session.reasoning_effort);
    session.model_override = change.model_override.unwrap_or(session.model_override);
    session.external_id = change.external_id.or(session.external_id);
    session.archived = change.archived.unwrap_or(session.archived);
    session.updated_at = now.max(session.updated_at);
    SESSIONS.put(tx, &(session.owner, session.created_at, *id), &session)?;
    BY_UPDATE.delete(tx, &before)?;
    BY_UPDATE.put(tx, &(session.owner, session.updated_at, *id), &())?;
    Ok((session, level))
}

/// Deletes a session and all sharing in it.
///
/// # Errors
/// [`SessionError::Forbidden`] to all but the owner.
pub fn delete(tx: &mut Tx<'_>, viewer: &Viewer, id: &SessionId) -> Result<(), SessionError> {
    let (session, level) = get(tx, viewer, id)?;
    require(level, Level::Owner)?;
    let grants: Vec<_> = PERMISSIONS
        .scan(tx, id.as_bytes(), None, Order::Ascending)
        .collect::<Result<_, _>>()?;
    for (key, _) in grants {
        let grantee = share::grantee(&key)?;
        share::forget(tx, id, grantee, session.created_at)?;
    }
    SESSIONS.delete(tx, &(session.owner, session.created_at, *id))?;
    BY_UPDATE.delete(tx, &(session.owner, session.updated_at, *id))?;
    PLACES.delete(tx, id)?;
    Ok(())
}

fn require(level: Level, needed: Level) -> Result<(), SessionError> {
    if level >= needed {
        return Ok(());
    }
    Err(SessionError::Forbidden(match needed {
        Level::Read | Level::Edit => "Edit access is needed",
        Level::Manage => "Manage access is needed",
        Level::Owner => "Only the owner can do this",
    }))
}
