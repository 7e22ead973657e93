//! Reading: the same from outside and from inside a transaction.

use std::{fmt, ops::Range, sync::Arc};

use super::{error::StoreError, verify::Verified};

/// A record as it lies in the store: full key, stored bytes.
pub type Entry = Result<(Vec<u8>, Vec<u8>), StoreError>;

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By rising key.
    Ascending,
    /// By falling key.
    Descending,
}

/// Bytes by key, from wherever. Domain code goes through [`super::Table`].
pub trait Read {
    /// The bytes under the full key.
    ///
    /// # Errors
    /// Whatever the engine meets.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Walks the full keys of the range, lazily.
    fn range<'r>(
        &'r self,
        range: Range<Vec<u8>>,
        order: Order,
    ) -> Box<dyn Iterator<Item = Entry> + 'r>;
}

/// The store seen from outside a transaction: each read gives the latest group's state. Two reads
/// may see two states; what must hold together is read in a transaction.
#[derive(Clone)]
pub struct Reader {
    pub(super) engine: Arc<Verified>,
}

impl Read for Reader {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)
    }

    fn range<'r>(
        &'r self,
        range: Range<Vec<u8>>,
        order: Order,
    ) -> Box<dyn Iterator<Item = Entry> + 'r> {
        Box::new(self.engine.range(range, order))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}
