//! Letting go of old entries, so that what is left can still be proven.
//!
//! **Invariant:** only the oldest go; the hash of the last one that went is the anchor the rest
//! begins from, under the seal, and the trail tells what went.

use super::{
    Audit, Entry, Event, Scene,
    trail::{ENTRIES, Seq, ends, open},
};
use crate::{
    clock::Timestamp,
    store::{StoreError, Tx},
};

/// For how long entries are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Seconds.
    pub age: u64,
    /// How many at most.
    pub count: u64,
}

/// Removes up to `budget` entries that are too old or too many; says whether there may be more.
///
/// # Errors
/// Only of the store.
pub fn prune(
    audit: &Audit,
    tx: &mut Tx<'_>,
    keep: Retention,
    budget: u64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if ends(tx)?.is_none() {
        return Ok(false);
    }
    let scene = Scene::system(now);
    let mut ends = open(audit.hasher(), tx, &scene)?;
    let (began, mut gone) = (ends.first, 0);
    while gone < budget && ends.count() > 1 {
        let Some(link) = ENTRIES.get(tx, &Seq(ends.first))? else {
            // Somebody was here before: what is missing stays missing, and is found.
            break;
        };
        let is_old = link.at.plus_seconds(keep.age) <= now;
        if !is_old && ends.count() <= keep.count {
            break;
        }
        ENTRIES.delete(tx, &Seq(ends.first))?;
        ends.anchor = link.hash;
        ends.first += 1;
        gone += 1;
    }
    if gone == 0 {
        return Ok(false);
    }
    let last = ends.first - 1;
    let anchor = hex::encode(ends.anchor);
    ends.put(audit.hasher(), tx)?;
    let entry = Entry::new(Event::AuditPruned)
        .detail(format!("entries {began} to {last}, ending in {anchor}"))
        .count(gone);
    audit.record(tx, Some(&scene), entry)?;
    Ok(gone == budget)
}
