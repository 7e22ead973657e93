//! A backend's own key-value namespace, inside the store.
//!
//! **Invariants:** a key is prefixed with its backend's name, which the host gives, and a zero
//! byte, which no name holds: no backend reaches another's; what a backend keeps is bounded by
//! [`MAX_KEYS`] and [`MAX_BYTES`], each record by [`MAX_KEY`] and [`MAX_VALUE`]; what it keeps under
//! [`Kv::SECRET`] is of this installation only ([`stays`]).

use std::collections::BTreeMap;

use omnigent_plugin::{BackendError, Change, Expect, Kv, contract::KvCall};
use serde::{Deserialize, Serialize};

use crate::store::{KnownTable, Order, Read, Record, Store, StoreError, Table, Tx};

/// All namespaces: backend, zero, key.
const KV: Table<[u8], Vec<u8>> = Table::new(11, "plugin-kv");
/// What each backend has used up.
const USAGE: Table<str, Usage> = Table::new(14, "plugin-kv-usage");

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![KV.known(), USAGE.known()]
}

/// Room for the passwords of some million people.
const MAX_KEYS: u64 = 4_000_000;
const MAX_BYTES: u64 = 1 << 30;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 16 * 1024;
const MAX_LISTED: usize = 1000;
/// Writes of one change: they hold up the one writer of all.
const MAX_WRITES: usize = 64;

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Usage {
    keys: u64,
    bytes: u64,
}

impl Record for Usage {
    const VERSION: u8 = 1;
}

/// Whether the record under this key of this table stays with the installation: what a backend keeps
/// under [`Kv::SECRET`], and what is counted of all it keeps, which [`count_anew`] makes elsewhere.
pub(crate) fn stays(table: u8, key: &[u8]) -> bool {
    let is_secret = || split(key).is_some_and(|(_, own)| own.starts_with(Kv::SECRET.as_bytes()));
    table == USAGE.known().id || (table == KV.known().id && is_secret())
}

/// Counts what each backend has used up, in a store that was filled without. Blocks.
///
/// # Errors
/// [`StoreError::Corrupt`] when there is a record of no backend; those of reading and writing.
pub(crate) fn count_anew(store: &Store) -> Result<(), StoreError> {
    let mut all = BTreeMap::<String, Usage>::new();
    for entry in KV.scan(&store.reader(), &[], None, Order::Ascending) {
        let (key, value) = entry?;
        let (backend, own) = split(&key).ok_or_else(|| KV.corrupt(&key))?;
        let usage = all.entry(backend.to_owned()).or_default();
        usage.keys += 1;
        usage.bytes += (own.len() + value.len()) as u64;
    }
    store.write_blocking(move |tx| {
        let mut put = |(backend, usage): (&String, &Usage)| USAGE.put(tx, backend, usage);
        all.iter().try_for_each(&mut put)
    })
}

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
    if change.writes.len() > MAX_WRITES {
        return Err(refused(format!("a change has at most {MAX_WRITES} writes")));
    }
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
        let value = write.value.as_deref();
        set(tx, backend, &write.key, found.as_deref(), value)?;
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

/// Whether the backend keeps anything.
pub(crate) fn keeps_anything(from: &impl Read, backend: &str) -> Result<bool, StoreError> {
    KV.has_any(from, &full(backend, ""))
}

/// `kv.put`
pub(super) fn put(tx: &mut Tx<'_>, backend: &str, call: &KvCall) -> Result<(), ApplyError> {
    let found = get(tx, backend, &call.key)?;
    let value = call.value.as_deref();
    set(tx, backend, &call.key, found.as_deref(), value)
}

/// `kv.swap`: whether what was expected was there.
pub(super) fn swap(tx: &mut Tx<'_>, backend: &str, call: &KvCall) -> Result<bool, ApplyError> {
    let found = get(tx, backend, &call.key)?;
    let is_expected = found == call.expect;
    if is_expected {
        let value = call.value.as_deref();
        set(tx, backend, &call.key, found.as_deref(), value)?;
    }
    Ok(is_expected)
}

/// `kv.list`
pub(super) fn list(
    from: &impl Read,
    backend: &str,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let own = full(backend, "").len();
    let after = after.map(|after| full(backend, after));
    let prefix = full(backend, prefix);
    KV.scan(from, &prefix, after.as_deref(), Order::Ascending)
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
    found: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), ApplyError> {
    if key.len() > MAX_KEY || value.is_some_and(|value| value.len() > MAX_VALUE) {
        let limits = format!("a key has at most {MAX_KEY} bytes, a value {MAX_VALUE}");
        return Err(refused(limits));
    }
    let size = |value: Option<&[u8]>| value.map_or(0, |value| (key.len() + value.len()) as u64);
    let before = USAGE.get(tx, backend)?.unwrap_or_default();
    let after = Usage {
        keys: (before.keys + u64::from(value.is_some())).saturating_sub(u64::from(found.is_some())),
        bytes: (before.bytes + size(value)).saturating_sub(size(found)),
    };
    let grows = after.keys > before.keys || after.bytes > before.bytes;
    if grows && (after.keys > MAX_KEYS || after.bytes > MAX_BYTES) {
        let quota =
            format!("the backend's quota of {MAX_KEYS} keys and {MAX_BYTES} bytes is used up");
        return Err(refused(quota));
    }
    let full = full(backend, key);
    match value {
        Some(value) => KV.put(tx, &full, &value.to_vec())?,
        None => drop(KV.delete(tx, &full)?),
    }
    if after != before {
        USAGE.put(tx, backend, &after)?;
    }
    Ok(())
}

fn refused(why: String) -> ApplyError {
    ApplyError::Refused(BackendError::internal(why))
}

fn full(backend: &str, key: &str) -> Vec<u8> {
    [backend.as_bytes(), &[0], key.as_bytes()].concat()
}

/// The backend and its own key; nothing when it is the key of no backend.
fn split(full: &[u8]) -> Option<(&str, &[u8])> {
    let at = full.iter().position(|byte| *byte == 0)?;
    let backend = std::str::from_utf8(full.get(..at)?).ok()?;
    Some((backend, full.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use omnigent_plugin::Identity;

    use super::*;
    use crate::store::{Options, Store};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        (dir, store)
    }

    fn apply(store: &Store, backend: &'static str, change: Change) -> Result<(), ApplyError> {
        store.write_blocking(move |tx| apply_change(tx, backend, &change))
    }

    fn change() -> Change {
        Change::new(Identity::new("alice"))
    }

    #[test]
    fn a_change_is_applied_whole_or_not_at_all() {
        let (_dir, store) = store();
        apply(&store, "a", change().insert("x", b"1".into())).unwrap();
        let half = change().insert("y", b"2".into()).insert("x", b"3".into());
        assert!(matches!(
            apply(&store, "a", half),
            Err(ApplyError::Conflict)
        ));
        assert_eq!(get(&store.reader(), "a", "y"), Ok(None));
        let stale = change().replace("x", b"0".into(), b"3".into());
        assert!(matches!(
            apply(&store, "a", stale),
            Err(ApplyError::Conflict)
        ));
        apply(&store, "a", change().replace("x", b"1".into(), b"3".into())).unwrap();
        assert_eq!(get(&store.reader(), "a", "x"), Ok(Some(b"3".into())));
    }

    #[test]
    fn no_backend_reaches_anothers_keys() {
        let (_dir, store) = store();
        apply(&store, "a", change().insert("x", b"1".into())).unwrap();
        apply(&store, "ab", change().insert("x", b"2".into())).unwrap();
        assert_eq!(get(&store.reader(), "a", "x"), Ok(Some(b"1".into())));
        assert_eq!(get(&store.reader(), "b", "x"), Ok(None));
        assert_eq!(list(&store.reader(), "a", "", None), Ok(vec!["x".into()]));
        assert_eq!(list(&store.reader(), "a", "", Some("x")), Ok(vec![]));
    }

    #[test]
    fn only_what_is_under_the_prefix_and_the_count_stays() {
        for (table, key, expected) in [
            (11, "a\0secret/x", true),
            (11, "a\0secret/", true),
            (14, "a", true),
            (11, "a\0secret", false),
            (11, "a\0secrets/x", false),
            (11, "a\0Secret/x", false),
            (11, "a\0x\0secret/x", false),
            (11, "a\0x/secret/x", false),
            (11, "secret/x\0y", false),
            (11, "secret/x", false),
            (1, "a\0secret/x", false),
        ] {
            assert_eq!(stays(table, key.as_bytes()), expected, "{table} {key:?}");
        }
        assert_eq!(split(b"\xff\0secret/x"), None);
    }

    #[test]
    fn counting_anew_comes_to_what_was_counted() {
        let (_dir, store) = store();
        apply(&store, "a", change().insert("x", b"123".into())).unwrap();
        apply(&store, "a", change().insert("secret/y", b"45".into())).unwrap();
        apply(&store, "ab", change().insert("z", b"".into())).unwrap();
        let used = |name: &str| USAGE.get(&store.reader(), name).unwrap();
        let counted = [used("a"), used("ab")];
        let forget = |tx: &mut Tx<'_>| USAGE.delete(tx, "a").and(USAGE.delete(tx, "ab"));
        assert!(store.write_blocking(forget).unwrap() && used("a").is_none());
        count_anew(&store).unwrap();
        assert!([used("a"), used("ab")] == counted && counted[0].is_some());
        let of_nobody = |tx: &mut Tx<'_>| KV.put(tx, b"no backend", &vec![]);
        store.write_blocking(of_nobody).unwrap();
        assert!(matches!(
            count_anew(&store),
            Err(StoreError::Corrupt { .. })
        ));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let (_dir, store) = store();
        let value = |size| vec![0; size];
        for bad in [
            change().insert("k".repeat(257), value(1)),
            change().insert("x", value(16 * 1024 + 1)),
            (0..65).fold(change(), |change, i| change.insert(i.to_string(), value(1))),
        ] {
            assert!(matches!(
                apply(&store, "a", bad),
                Err(ApplyError::Refused(_))
            ));
        }
        apply(
            &store,
            "a",
            change().insert("k".repeat(256), value(16 * 1024)),
        )
        .unwrap();
    }

    #[test]
    fn the_quota_counts_what_is_there_and_lets_it_shrink() {
        let (_dir, store) = store();
        apply(&store, "a", change().insert("x", b"123".into())).unwrap();
        let used = |store: &Store| USAGE.get(&store.reader(), "a").unwrap().unwrap();
        assert!(used(&store) == Usage { keys: 1, bytes: 4 });
        store
            .write_blocking(|tx| {
                USAGE.put(
                    tx,
                    "a",
                    &Usage {
                        keys: 1,
                        bytes: MAX_BYTES,
                    },
                )
            })
            .map_err(|error: StoreError| error)
            .unwrap();
        let more = change().insert("y", b"1".into());
        assert!(matches!(
            apply(&store, "a", more),
            Err(ApplyError::Refused(_))
        ));
        apply(
            &store,
            "a",
            change().replace("x", b"123".into(), b"1".into()),
        )
        .unwrap();
        apply(&store, "a", change().remove("x")).unwrap();
        assert!(used(&store).keys == 0);
    }
}
