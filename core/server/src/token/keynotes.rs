//! Which changes of the keys are in the audit trail.
//!
//! The keys lie in a file and the trail in the store: no transaction spans both. The file is changed
//! first, for a key that has leaked has to go whether or not the store takes writes. What the trail
//! does not have of it is owed, and noted by what the file says: within a minute or two, or at the
//! next start.
//!
//! **Invariant:** an entry and the note that it is there are one transaction, so each change of the
//! file is told of once, also when the server is killed between the two.

use serde::{Deserialize, Serialize};

use super::keyring::{KeyInfo, KeyState};
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    live::Live,
    store::{Order, Read, Record, StoreError, Table, Tx},
};

/// What the trail has of each key of the file, by its name. Goes with the keyring.
pub const KEY_NOTES: Table<str, Noted> = Table::new(31, "key-notes");

/// That a key was made, and perhaps retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    is_retired: bool,
}

impl Record for Noted {
    const VERSION: u8 = 1;
}

impl Noted {
    /// All there is to know of the key.
    fn of(key: &KeyInfo) -> Self {
        Self {
            is_retired: matches!(key.state, KeyState::Retired(_)),
        }
    }
}

/// Begins with these keys, whose making is no change.
///
/// # Errors
/// Only of the store.
pub(super) fn begin(tx: &mut Tx<'_>, keys: &[KeyInfo]) -> Result<(), StoreError> {
    let mut stored = stored(keys);
    stored.try_for_each(|key| KEY_NOTES.put(tx, &key.kid, &Noted::of(key)))
}

/// Notes the change that was just made to the key of this name, in these words.
///
/// # Errors
/// Only of the store: then it is owed.
pub fn note(
    live: &Live,
    tx: &mut Tx<'_>,
    keys: &[KeyInfo],
    kid: &str,
    entry: Entry,
) -> Result<(), StoreError> {
    let Some(key) = stored(keys).find(|key| key.kid == kid) else {
        return Ok(());
    };
    if matches!(key.state, KeyState::Retired(_)) {
        tx.sign_off();
    }
    tell(live, tx, key, Some(entry))
}

/// Whether the trail does not have a change that was made before `until`.
///
/// # Errors
/// Only of the store.
pub fn any_owed(from: &impl Read, keys: &[KeyInfo], until: Timestamp) -> Result<bool, StoreError> {
    for key in stored(keys).filter(|key| changed_at(key) < until) {
        if KEY_NOTES.get(from, &key.kid)? != Some(Noted::of(key)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes what is owed of the changes that were made before `until`: those after it are for who made
/// them to note. Forgets the keys that the file has forgotten.
///
/// # Errors
/// Only of the store.
pub fn settle(
    live: &Live,
    tx: &mut Tx<'_>,
    keys: &[KeyInfo],
    until: Timestamp,
) -> Result<(), StoreError> {
    for key in stored(keys).filter(|key| changed_at(key) < until) {
        tell(live, tx, key, None)?;
    }
    let known: Vec<_> = KEY_NOTES
        .scan(tx, &[], None, Order::Ascending)
        .collect::<Result<_, _>>()?;
    for (kid, _) in known {
        if keys.iter().all(|key| key.kid.as_bytes() != kid) {
            KEY_NOTES.delete_at(tx, &kid)?;
        }
    }
    Ok(())
}

/// Notes what the trail does not have of the key; its last change in the words of whoever made it,
/// if they tell.
fn tell(
    live: &Live,
    tx: &mut Tx<'_>,
    key: &KeyInfo,
    mut said: Option<Entry>,
) -> Result<(), StoreError> {
    let (known, now) = (KEY_NOTES.get(tx, &key.kid)?, Noted::of(key));
    if known == Some(now) {
        return Ok(());
    }
    let found = |event| {
        Entry::new(event)
            .reason("found in the keyring")
            .key(&key.kid)
    };
    if known.is_none() {
        let entry = said.take_if(|_| !now.is_retired);
        let made = || found(Event::KeyRotated).detail(key.algorithm.to_string());
        live.note(tx, entry.unwrap_or_else(made))?;
    }
    if now.is_retired {
        live.note(tx, said.unwrap_or_else(|| found(Event::KeyRetired)))?;
    }
    KEY_NOTES.put(tx, &key.kid, &now)
}

/// Those of the file: a secret of the configuration is told of with the configuration.
fn stored(keys: &[KeyInfo]) -> impl Iterator<Item = &KeyInfo> {
    keys.iter().filter(|key| !key.is_configured)
}

/// When the key was made or retired, whichever was last.
fn changed_at(key: &KeyInfo) -> Timestamp {
    match key.state {
        KeyState::Retired(at) => at,
        KeyState::Signing | KeyState::Verifying(_) => key.created.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::{
            Algorithm,
            house::{House, T0},
        },
        *,
    };
    use crate::audit::{Query, page};

    fn key(kid: &str, made: u64, state: KeyState) -> KeyInfo {
        KeyInfo {
            kid: kid.into(),
            algorithm: Algorithm::Hs256,
            state,
            is_configured: false,
            created: Some(T0.plus_seconds(made)),
            longest: 60,
        }
    }

    /// The events about keys, with their reasons, oldest first.
    fn told(house: &House) -> Vec<String> {
        let query = Query {
            after: Some(0),
            limit: 100,
            ..Query::default()
        };
        let found = page(&house.store.reader(), &query).unwrap();
        let lines = found.lines.iter().filter_map(|line| {
            let said: serde_json::Value = serde_json::from_str(&line.text).unwrap();
            let text = |name: &str| said[name].as_str().unwrap_or("-").to_owned();
            let is_it = text("event").starts_with("key.");
            is_it.then(|| [text("event"), text("target"), text("reason")].join(" "))
        });
        lines.collect()
    }

    fn settle_all(house: &House, keys: &[KeyInfo], until: u64) -> bool {
        let (live, all, until) = (house.live.clone(), keys.to_vec(), T0.plus_seconds(until));
        let owed = any_owed(&house.store.reader(), keys, until).unwrap();
        let write = move |tx: &mut Tx<'_>| settle(&live, tx, &all, until);
        house.store.write_blocking(write).unwrap();
        assert!(!any_owed(&house.store.reader(), keys, until).unwrap());
        owed
    }

    #[test]
    fn what_the_trail_does_not_have_is_told_once() {
        let house = House::new();
        let first = key("first", 0, KeyState::Verifying(None));
        let began = [first.clone()];
        let begin_with = began.clone();
        let write = move |tx: &mut Tx<'_>| begin(tx, &begin_with);
        house.store.write_blocking::<_, StoreError>(write).unwrap();
        assert!(!settle_all(&house, &began, 100));

        let second = key("second", 10, KeyState::Signing);
        let keys = [first, second.clone()];
        assert!(!settle_all(&house, &keys, 10), "its maker's to tell");
        assert!(settle_all(&house, &keys, 11));
        assert!(!settle_all(&house, &keys, 100));

        let first = key("first", 0, KeyState::Retired(T0.plus_seconds(20)));
        // Made and retired while nothing could be noted.
        let third = key("third", 15, KeyState::Retired(T0.plus_seconds(20)));
        let keys = [second, first, third];
        assert!(settle_all(&house, &keys, 100));
        assert!(!settle_all(&house, &keys, 100));
        let by_the_file = |text: &str| format!("{text} found in the keyring");
        assert_eq!(
            told(&house),
            [
                "key.rotated second",
                "key.retired first",
                "key.rotated third",
                "key.retired third"
            ]
            .map(by_the_file)
        );
    }

    #[test]
    fn who_makes_a_change_tells_it_in_their_words() {
        let house = House::new();
        let keys = vec![key("new", 5, KeyState::Signing)];
        let (live, all) = (house.live.clone(), keys.clone());
        let write = move |tx: &mut Tx<'_>| {
            let entry = Entry::new(Event::KeyRotated).key("new").reason("asked");
            note(&live, tx, &all, "new", entry.clone())?;
            note(&live, tx, &all, "new", entry.clone())?;
            note(&live, tx, &all, "another", entry)
        };
        house.store.write_blocking::<_, StoreError>(write).unwrap();
        assert!(!settle_all(&house, &keys, 100));
        assert_eq!(told(&house), ["key.rotated new asked"]);
    }

    #[test]
    fn keys_the_file_has_forgotten_are_forgotten() {
        let house = House::new();
        let old = [key("old", 0, KeyState::Retired(T0))];
        settle_all(&house, &old, 100);
        let new = [key("new", 0, KeyState::Signing)];
        settle_all(&house, &new, 100);
        let reader = house.store.reader();
        assert!(!KEY_NOTES.contains(&reader, "old").unwrap());
        assert!(KEY_NOTES.contains(&reader, "new").unwrap());
    }
}
