//! A backend's own key-value namespace, inside the store.
//!
//! **Invariants:** a key is prefixed with its backend's name, which the host gives, and a zero
//! byte, which no name holds: no backend reaches another's; what a backend keeps is bounded by
//! [`MAX_KEYS`], [`MAX_KEY`] and [`MAX_VALUE`].

use omnigent_plugin::{BackendError, Change, Expect, contract::KvCall};

use crate::store::{Order, Read, StoreError, Table, Tx};

/// All namespaces: backend, zero, key.
const KV: Table<[u8], Vec<u8>> = Table::new(11, "plugin-kv");
/// How many keys each backend has.
const COUNTS: Table<str, u64> = Table::new(14, "plugin-kv-counts");

const MAX_KEYS: u64 = 4_000_000;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 16 * 1024;
const MAX_LISTED: usize = 1000;

/// Why a [`Change`] was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something else is there than it expected.
    #[error("the backend's data changed meanwhile")]
    Conflict,
    /// More than a backend may keep.
    #[error("{0}")]
    Refused(BackendError),
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the writes of a backend's change part of the transaction.
///
/// # Errors
/// [`ApplyError::Conflict`] when one of them does not find what it expects: the transaction must
/// then fail.
pub fn apply_change(tx: &mut Tx<'_>, backend: &str, change: &Change) -> Result<(), ApplyError> {
    for write in &change.writes {
        let found = get(tx, backend, &write.key)?;
        let is_expected = match &write.expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Exactly(bytes) => found.as_ref() == Some(bytes),
        };
        if !is_expected {
            return Err(ApplyError::Conflict);
        }
        set(
            tx,
            backend,
            &write.key,
            found.is_some(),
            write.value.as_ref(),
        )?;
    }
    Ok(())
}

pub(super) fn get(
    from: &impl Read,
    backend: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    KV.get(from, &full(backend, key))
}

/// `kv.put`
pub(super) fn put(tx: &mut Tx<'_>, backend: &str, call: &KvCall) -> Result<(), ApplyError> {
    let was_there = KV.contains(tx, &full(backend, &call.key))?;
    set(tx, backend, &call.key, was_there, call.value.as_ref())
}

/// `kv.swap`: whether what was expected was there.
pub(super) fn swap(tx: &mut Tx<'_>, backend: &str, call: &KvCall) -> Result<bool, ApplyError> {
    let found = get(tx, backend, &call.key)?;
    let is_expected = found == call.expect;
    if is_expected {
        set(tx, backend, &call.key, found.is_some(), call.value.as_ref())?;
    }
    Ok(is_expected)
}

/// `kv.list`
pub(super) fn list(
    from: &impl Read,
    backend: &str,
    prefix: &str,
) -> Result<Vec<String>, StoreError> {
    let own = full(backend, "").len();
    KV.scan(from, &full(backend, prefix), None, Order::Ascending)
        .take(MAX_LISTED)
        .map(|entry| {
            let (key, _) = entry?;
            let name = key
                .get(own..)
                .and_then(|name| std::str::from_utf8(name).ok());
            name.map(str::to_owned).ok_or_else(|| KV.corrupt(&key))
        })
        .collect()
}

fn set(
    tx: &mut Tx<'_>,
    backend: &str,
    key: &str,
    was_there: bool,
    value: Option<&Vec<u8>>,
) -> Result<(), ApplyError> {
    if key.len() > MAX_KEY || value.is_some_and(|value| value.len() > MAX_VALUE) {
        let limits = format!("a key has at most {MAX_KEY} bytes, a value {MAX_VALUE}");
        return Err(ApplyError::Refused(BackendError::internal(limits)));
    }
    let keys = COUNTS.get(tx, backend)?.unwrap_or(0);
    let full = full(backend, key);
    match value {
        Some(_) if !was_there && keys >= MAX_KEYS => {
            let full = format!("the backend's quota of {MAX_KEYS} keys is used up");
            return Err(ApplyError::Refused(BackendError::internal(full)));
        }
        Some(value) => KV.put(tx, &full, value)?,
        None => drop(KV.delete(tx, &full)?),
    }
    let now = keys + u64::from(value.is_some() && !was_there)
        - u64::from(value.is_none() && was_there && keys > 0);
    if now != keys {
        COUNTS.put(tx, backend, &now)?;
    }
    Ok(())
}

fn full(backend: &str, key: &str) -> Vec<u8> {
    [backend.as_bytes(), &[0], key.as_bytes()].concat()
}
