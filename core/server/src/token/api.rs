//! API tokens: made by a person for a program, listed, rotated, revoked (CONTRACT section 4).
//!
//! **Invariant:** the token's text is shown once and never stored; the record is found by the
//! `sid` in its claims, and that id is what revocation works on.

pub mod policy;
mod retiring;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Scopes;
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::{LoginId, Uid},
    live::Live,
    store::{Order, Read, Record, StoreError, Table, Tx},
};

pub use retiring::Retiring;

/// API tokens by account and id.
pub const API_TOKENS: Table<(Uid, LoginId), ApiToken> = Table::new(10, "api-tokens");

/// How many API tokens one account may have.
pub const MAX_PER_ACCOUNT: usize = 1000;

/// What is kept of an API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// What its owner calls it.
    pub name: String,
    /// What it is restricted to (RFC 6749 section 3.3), if anything.
    pub scope: Option<String>,
    /// The `provider` claim of the login that made it.
    pub provider: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself; nothing where the operator allows tokens without end.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_used_ip: Option<String>,
    /// The key that signed it; nothing where it was not noted.
    pub kid: Option<String>,
}

impl Record for ApiToken {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        /// Before the key was noted.
        #[derive(Deserialize)]
        struct First {
            name: String,
            scope: Option<String>,
            provider: String,
            created_at: Timestamp,
            expires_at: Option<Timestamp>,
            last_used_at: Option<Timestamp>,
            last_used_ip: Option<String>,
        }
        if version != 1 {
            return None;
        }
        let first: First = postcard::from_bytes(payload).ok()?;
        Some(Self {
            name: first.name,
            scope: first.scope,
            provider: first.provider,
            created_at: first.created_at,
            expires_at: first.expires_at,
            last_used_at: first.last_used_at,
            last_used_ip: first.last_used_ip,
            kid: None,
        })
    }
}

impl ApiToken {
    /// The scopes, when restricted. A scope this server does not know permits nothing.
    pub fn scopes(&self) -> Option<Scopes> {
        self.scope
            .as_ref()
            .map(|text| text.parse().unwrap_or_default())
    }
}

/// Stores a token under a new id.
///
/// # Errors
/// `Ok(None)` when the account has [`MAX_PER_ACCOUNT`] already.
pub fn create(tx: &mut Tx<'_>, uid: &Uid, token: &ApiToken) -> Result<Option<LoginId>, StoreError> {
    if API_TOKENS
        .scan(tx, uid.as_bytes(), None, Order::Ascending)
        .take(MAX_PER_ACCOUNT)
        .count()
        == MAX_PER_ACCOUNT
    {
        return Ok(None);
    }
    let id = LoginId::random();
    API_TOKENS.put(tx, &(*uid, id), token)?;
    Ok(Some(id))
}

/// The account's API tokens, expired ones not yet swept included.
///
/// # Errors
/// Only of the store.
pub fn list(from: &impl Read, uid: &Uid) -> Result<Vec<(LoginId, ApiToken)>, StoreError> {
    API_TOKENS
        .scan(from, uid.as_bytes(), None, Order::Ascending)
        .map(|entry| {
            let (key, token) = entry?;
            let half = key
                .get(16..32)
                .and_then(|half| <[u8; 16]>::try_from(half).ok());
            let id = half
                .map(LoginId::from_bytes)
                .ok_or_else(|| API_TOKENS.corrupt(&key))?;
            Ok((id, token))
        })
        .collect()
}

/// Ends one API token from the commit on. True when there was one.
///
/// # Errors
/// Only of the store.
pub fn revoke(live: &Live, tx: &mut Tx<'_>, uid: &Uid, id: &LoginId) -> Result<bool, StoreError> {
    let Some(token) = API_TOKENS.get(tx, &(*uid, *id))? else {
        return Ok(false);
    };
    finish(live, tx, uid, id, &token)?;
    live.note_of(tx, uid, Entry::new(Event::TokenRevoked).login(id))?;
    Ok(true)
}

fn finish(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    id: &LoginId,
    token: &ApiToken,
) -> Result<(), StoreError> {
    API_TOKENS.delete(tx, &(*uid, *id))?;
    live.revoke(tx, *id.as_bytes(), token.expires_at)?;
    let (retiring, id) = (Arc::clone(&live.retiring), *id);
    tx.on_commit(move || retiring.forget(&id));
    Ok(())
}

/// Ends all API tokens of the account.
///
/// # Errors
/// Only of the store.
pub fn revoke_all(live: &Live, tx: &mut Tx<'_>, uid: &Uid) -> Result<(), StoreError> {
    let all = list(tx, uid)?;
    for (id, token) in &all {
        finish(live, tx, uid, id, token)?;
    }
    if !all.is_empty() {
        let revoked = Entry::new(Event::TokenRevoked).count(all.len() as u64);
        live.note_of(tx, uid, revoked)?;
    }
    Ok(())
}

/// Notes when and from where tokens were used. Called with a minute's worth at a time: a use is
/// not worth a disk write of its own.
///
/// # Errors
/// Only of the store.
pub fn note_uses(
    tx: &mut Tx<'_>,
    uses: &[(Uid, LoginId, Timestamp, std::net::IpAddr)],
) -> Result<(), StoreError> {
    for (uid, id, at, address) in uses {
        if let Some(mut token) = API_TOKENS.get(tx, &(*uid, *id))? {
            token.last_used_at = Some(*at);
            token.last_used_ip = Some(address.to_string());
            API_TOKENS.put(tx, &(*uid, *id), &token)?;
        }
    }
    Ok(())
}

/// API tokens that end before their time, by when: the old ones of rotations with an overlap.
pub const RETIREMENTS: Table<(Timestamp, Uid, LoginId), ()> = Table::new(15, "retirements");

/// Ends the token at `at`: now, or when [`retire_due`] is called after it.
///
/// # Errors
/// Only of the store.
pub fn retire(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    id: &LoginId,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    if at <= now {
        return revoke(live, tx, uid, id).map(drop);
    }
    RETIREMENTS.put(tx, &(at, *uid, *id), &())?;
    let (retiring, id) = (Arc::clone(&live.retiring), *id);
    tx.on_commit(move || retiring.note(id, at));
    Ok(())
}

/// Ends up to 1000 tokens whose retirement has come. True when any is due.
///
/// # Errors
/// Only of the store.
pub fn retire_due(live: &Live, tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let mut any = false;
    for key in due(tx, now, 1000)? {
        let parts = (key.get(8..24), key.get(24..40));
        let (Some(Ok(uid)), Some(Ok(id))) = (
            parts.0.map(<[u8; 16]>::try_from),
            parts.1.map(<[u8; 16]>::try_from),
        ) else {
            return Err(RETIREMENTS.corrupt(&key));
        };
        let (uid, id) = (Uid::from_bytes(uid), LoginId::from_bytes(id));
        revoke(live, tx, &uid, &id)?;
        let at = key
            .first_chunk::<8>()
            .map_or(0, |at| u64::from_be_bytes(*at));
        RETIREMENTS.delete(tx, &(Timestamp::from_millis(at), uid, id))?;
        any = true;
    }
    Ok(any)
}

/// Whether any retirement has come.
///
/// # Errors
/// Only of the store.
pub fn any_due(from: &impl Read, now: Timestamp) -> Result<bool, StoreError> {
    Ok(!due(from, now, 1)?.is_empty())
}

fn due(from: &impl Read, now: Timestamp, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    for entry in RETIREMENTS
        .scan(from, &[], None, Order::Ascending)
        .take(most)
    {
        let (key, ()) = entry?;
        if key
            .first_chunk::<8>()
            .is_some_and(|at| u64::from_be_bytes(*at) > now.millis())
        {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}
