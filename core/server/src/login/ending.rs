//! Ending everything at once: for a restore that must not bring back what was ended since.

use super::{ISSUER_SESSIONS, LOGINS, device, login_id, ticket};
use crate::{
    account::{INVITES, MAGIC_LINKS},
    id::LoginId,
    store::{Key, Order, Record, Store, StoreError, Table, Tx},
    token::{
        api::{API_TOKENS, RETIREMENTS},
        grant::GRANTS,
        revoke,
    },
};

/// Records dealt with in one transaction.
const PAGE: usize = 1000;

/// How much was ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedAll {
    /// Logins, with what refreshes them.
    pub logins: u64,
    /// API tokens.
    pub api_tokens: u64,
}

/// Revokes every login and API token there is, and deletes everything else by which somebody gets
/// in: grants, invites, magic links, tickets, device grants. Passwords and identities stay. For a
/// store that nobody serves. Blocks.
///
/// # Errors
/// Only of the store.
pub fn end_everything(store: &Store) -> Result<EndedAll, StoreError> {
    let logins = drain(store, LOGINS, |tx, key, login| {
        revoke(tx, *login_id(key)?.as_bytes(), Some(login.expires_at))
    })?;
    let api_tokens = drain(store, API_TOKENS, |tx, key, token| {
        let id = key.last_chunk::<16>().copied().map(LoginId::from_bytes);
        let id = id.ok_or_else(|| API_TOKENS.corrupt(key))?;
        revoke(tx, *id.as_bytes(), token.expires_at)
    })?;
    let mut others = clear(store, GRANTS)? + clear(store, RETIREMENTS)?;
    others += clear(store, ISSUER_SESSIONS)? + clear(store, INVITES)? + clear(store, MAGIC_LINKS)?;
    others += clear(store, ticket::TICKETS)? + clear(store, ticket::CODES)?;
    others += clear(store, device::DEVICES)? + clear(store, device::CODES)?;
    others += clear(store, device::ASKED)?;
    tracing::debug!(logins, api_tokens, others, "everything was ended");
    Ok(EndedAll { logins, api_tokens })
}

fn clear<K: Key + ?Sized + 'static, V: Record + 'static>(
    store: &Store,
    table: Table<K, V>,
) -> Result<u64, StoreError> {
    drain(store, table, |_, _, _| Ok(()))
}

/// Deletes all records, having shown each to `last`.
fn drain<K: Key + ?Sized + 'static, V: Record + 'static>(
    store: &Store,
    table: Table<K, V>,
    last: fn(&mut Tx<'_>, &[u8], &V) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut all = 0;
    loop {
        let done = store.write_blocking(move |tx| {
            let page: Vec<_> = table
                .scan(tx, &[], None, Order::Ascending)
                .take(PAGE)
                .collect::<Result<_, StoreError>>()?;
            for (key, value) in &page {
                last(tx, key, value)?;
                table.delete_at(tx, key)?;
            }
            Ok::<_, StoreError>(page.len())
        })?;
        all += u64::try_from(done).unwrap_or(0);
        if done < PAGE {
            return Ok(all);
        }
    }
}
