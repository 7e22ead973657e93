//! Invites: a single-use right to register.

use serde::{Deserialize, Serialize};

use super::AccountError;
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::Uid,
    live::Live,
    secret::Secret,
    store::{Read, Record, Table, Tx},
    token::hash::{self, Kind},
};

/// Open invites by the keyed hash of their token; the token itself is never stored.
pub const INVITES: Table<[u8; 32], Invite> = Table::new(8, "invites");

/// A right to register, not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Whether the new account will be an admin.
    pub is_admin: bool,
    /// Who invited; nothing when the operator did on the host.
    pub invited_by: Option<Uid>,
    /// The moment from which it is worth nothing.
    pub expires_at: Timestamp,
}

impl Record for Invite {
    const VERSION: u8 = 1;
}

/// Stores `invite` and returns its token.
///
/// # Errors
/// Only of the store.
pub fn issue_invite(
    live: &Live,
    tx: &mut Tx<'_>,
    invite: &Invite,
) -> Result<Secret<String>, AccountError> {
    let token = hash::generate();
    INVITES.put(
        tx,
        &live.hasher.hash(Kind::Invite, token.expose().as_bytes()),
        invite,
    )?;
    live.note(tx, note(Event::InviteCreated, invite))?;
    Ok(token)
}

fn note(event: Event, invite: &Invite) -> Entry {
    let entry = Entry::new(event);
    match invite.is_admin {
        true => entry.detail("as admin"),
        false => entry,
    }
}

/// Whether the invite would be honoured now. Uses nothing up.
///
/// # Errors
/// [`AccountError::Invite`] for unknown, used and expired ones alike.
pub fn verify_invite(
    live: &Live,
    from: &impl Read,
    token: &str,
    now: Timestamp,
) -> Result<Invite, AccountError> {
    let invite = INVITES.get(from, &live.hasher.hash(Kind::Invite, token.as_bytes()))?;
    invite
        .filter(|invite| now < invite.expires_at)
        .ok_or(AccountError::Invite)
}

/// Uses the invite up.
///
/// # Errors
/// [`AccountError::Invite`] for unknown, used and expired ones alike.
pub fn redeem_invite(
    live: &Live,
    tx: &mut Tx<'_>,
    token: &str,
    now: Timestamp,
) -> Result<Invite, AccountError> {
    let invite = verify_invite(live, tx, token, now)?;
    INVITES.delete(tx, &live.hasher.hash(Kind::Invite, token.as_bytes()))?;
    live.note(tx, note(Event::InviteUsed, &invite))?;
    Ok(invite)
}
