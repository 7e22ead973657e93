//! What backups, exports, restores and imports leave in the audit trail, also where no server runs.
//!
//! An export has no trail: its seal is worth nothing without the keys. What it is imported into begins a
//! trail of its own, and its entry of the import names the entry at which the other one stood.
//!
//! **Invariant:** nothing is written with a keyring that is not the store's: the seal would be in doubt
//! for ever.

use std::path::Path;

use super::{ArchiveError, Kind, Summary};
use crate::{
    audit::{self, Audit, Ends, Entry, Event, Scene},
    clock::{Clock, Timestamp},
    store::{Store, StoreError},
    token::{installation, keycopy},
};

/// That the operator reads so many records.
pub fn reading(kind: Kind, records: u64) -> Entry {
    of(Event::DataRead, kind).detail(format!("{records} records"))
}

/// Writes the entry into a store that no server has open, on the operator's behalf. `keys` is the folder
/// of its keyring. Says where the trail stands then; nothing was written when there is no keyring, or it
/// is not the store's. Blocks.
///
/// # Errors
/// Those of the keyring and of the store.
pub fn note(
    store: &Store,
    keys: &Path,
    entry: Entry,
    now: Timestamp,
) -> Result<Option<Ends>, ArchiveError> {
    let Some(hasher) = keycopy::hasher(keys)? else {
        return Ok(None);
    };
    if !installation::fits(store, &hasher)? {
        return Ok(None);
    }
    let audit = Audit::new(hasher.into(), Clock::system());
    let write =
        move |tx: &mut crate::store::Tx<'_>| audit.record(tx, Some(&Scene::operator(now)), entry);
    store.write_blocking::<_, StoreError>(write)?;
    Ok(audit::ends(&store.reader())?)
}

/// That the archive was brought back.
pub(super) fn brought_back(
    summary: &Summary,
    left_out: u64,
    ended: Option<&crate::login::EndedAll>,
) -> Entry {
    let head = &summary.head;
    let made = audit::rfc3339(Timestamp::from_seconds(head.made_at));
    let mut said = format!("{} records, made {made}", summary.records);
    if left_out > 0 {
        said += &format!("; {left_out} of them not taken");
    }
    if let Some(ended) = ended {
        said += &format!(
            "; ended {} logins and {} API tokens",
            ended.logins, ended.api_tokens
        );
    }
    if let Some(trail) = head.trail.as_deref().filter(|text| is_place(text)) {
        said += &format!("; the trail there stood at {trail}");
    }
    of(Event::DataRestored, head.omnigent).detail(said)
}

fn of(event: Event, kind: Kind) -> Entry {
    Entry::new(event).reason(match kind {
        Kind::Backup => "backup",
        Kind::Export => "export",
    })
}

/// Whether the text is the number and hash of an entry.
fn is_place(text: &str) -> bool {
    text.split_once(':').is_some_and(|(seq, hash)| {
        seq.parse::<u64>().is_ok()
            && hash.len() == 64
            && hash.bytes().all(|b| b.is_ascii_hexdigit())
    })
}
