//! Magic links: a single-use way to take a login to another browser.

use serde::{Deserialize, Serialize};

use super::AccountError;
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::Uid,
    live::Live,
    secret::Secret,
    store::{Record, Table, Tx},
    token::hash::{self, Kind},
};

/// Open magic links by the keyed hash of their token.
pub const MAGIC_LINKS: Table<[u8; 32], MagicLink> = Table::new(9, "magic-links");

/// A link that signs somebody in, not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagicLink {
    /// Whom it signs in.
    pub uid: Uid,
    /// The moment from which it is worth nothing.
    pub expires_at: Timestamp,
}

impl Record for MagicLink {
    const VERSION: u8 = 1;
}

/// Stores `link` and returns its token.
///
/// # Errors
/// Only of the store.
pub fn issue_magic(
    live: &Live,
    tx: &mut Tx<'_>,
    link: &MagicLink,
) -> Result<Secret<String>, AccountError> {
    let token = hash::generate();
    MAGIC_LINKS.put(
        tx,
        &live.hasher.hash(Kind::Magic, token.expose().as_bytes()),
        link,
    )?;
    live.note_of(tx, &link.uid, Entry::new(Event::MagicLinkCreated))?;
    Ok(token)
}

/// Uses the link up and says whom it signs in.
///
/// # Errors
/// [`AccountError::Magic`] for unknown, used and expired ones alike.
pub fn redeem_magic(
    live: &Live,
    tx: &mut Tx<'_>,
    token: &str,
    now: Timestamp,
) -> Result<Uid, AccountError> {
    let key = live.hasher.hash(Kind::Magic, token.as_bytes());
    let link = MAGIC_LINKS.get(tx, &key)?.ok_or(AccountError::Magic)?;
    MAGIC_LINKS.delete(tx, &key)?;
    if now < link.expires_at {
        let used = Entry::new(Event::MagicLinkUsed).by_themselves();
        live.note_of(tx, &link.uid, used)?;
        Ok(link.uid)
    } else {
        Err(AccountError::Magic)
    }
}
