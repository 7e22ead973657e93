//! The audit trail: every security event, written once, chained, kept for as long as the operator says.
//!
//! Owns: the closed list of events, what an entry says, the chain and its proof, what becomes of
//! repeated refusals, retention, the log line of each entry. Does not: decide anything, know HTTP,
//! deliver anything (`webhook` does). Backends cannot reach it: what they say is never in an entry.
//!
//! **Invariants:** what changes something is in the trail by the same transaction that changes it,
//! so neither is there without the other; a refusal is in the trail within a second or two, and
//! repeated ones from the same place are summed, so that a flood costs a bounded number of
//! entries; nobody waits for the trail but those whose change it tells of; no secret is in it, and
//! no name somebody typed who may have typed a password there, unless an account is called that.
//!
//! How an entry comes about: `Live::note` in a transaction, or `Audit::report` for a refusal, which
//! the `keeper` sums and writes → `trail` chains it → after the commit the keeper writes the log
//! line. There is no other way to write one.
//!
//! | file | what |
//! |---|---|
//! | `event`, `entry`, `scene` | what happened, to whom, and on whose behalf |
//! | `trail`, `verify`, `prune` | the chain: written, proven, shortened |
//! | `reports`, `keeper` | refusals on their way, and who looks after all this |

mod entry;
mod event;
mod keeper;
mod prune;
mod reports;
mod scene;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::{
    clock::Clock,
    store::{KnownTable, StoreError, Tx},
    token::hash::Hasher,
};

pub use entry::Entry;
pub use event::Event;
pub(crate) use keeper::Keeper;
pub use prune::{Retention, prune};
use reports::Report;
pub use scene::{Scene, Who};
pub(crate) use trail::rfc3339;
pub use trail::{Ends, Line, Page, Query, ends, page};
pub use verify::{Checked, Fault, verify};

/// Refusals that may wait to be written.
const WAITING: usize = 4096;

/// The way into the trail. Clones share it.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    hasher: Arc<Hasher>,
    clock: Clock,
    reports: mpsc::Sender<Report>,
    /// The other end, until the keeper takes it.
    inbox: Mutex<Option<mpsc::Receiver<Report>>>,
    /// Refusals there was no room for.
    lost: AtomicU64,
    /// The sequence number of the newest entry.
    newest: watch::Sender<u64>,
}

impl Audit {
    /// A way in that seals with `hasher`'s key; `clock` is for what happens on nobody's behalf.
    pub fn new(hasher: Arc<Hasher>, clock: Clock) -> Self {
        let (reports, inbox) = mpsc::channel(WAITING);
        Self(Arc::new(Inner {
            hasher,
            clock,
            reports,
            inbox: Mutex::new(Some(inbox)),
            lost: AtomicU64::new(0),
            newest: watch::Sender::new(0),
        }))
    }

    /// Writes an entry by this transaction. Without a scene the server does it by itself.
    ///
    /// # Errors
    /// Only of the store.
    pub fn record(
        &self,
        tx: &mut Tx<'_>,
        scene: Option<&Scene>,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let by_itself;
        let scene = match scene {
            Some(scene) => scene,
            None => {
                by_itself = Scene::system(self.0.clock.now());
                &by_itself
            }
        };
        let seq = trail::append(&self.0.hasher, tx, scene, entry)?;
        let audit = self.clone();
        tx.on_commit(move || {
            audit.0.newest.send_replace(seq);
        });
        Ok(())
    }

    /// Tells of a refusal. Never waits: what there is no room for is counted, and the trail says
    /// how much that was.
    pub fn report(&self, scene: Scene, entry: Entry) {
        if self.0.reports.try_send(Report { scene, entry }).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The keys the trail is sealed with.
    pub fn hasher(&self) -> &Arc<Hasher> {
        &self.0.hasher
    }

    /// Tells of new entries.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }
}

/// The tables of the trail.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![
        trail::ENTRIES.known(),
        trail::ENDS.known(),
        keeper::LOGGED.known(),
        crate::webhook::TOLD.known(),
    ]
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit")
    }
}
