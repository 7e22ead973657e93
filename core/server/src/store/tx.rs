//! A transaction: reads through, writes into the group's overlay, undone when it fails.

use std::{collections::BTreeMap, fmt, ops::Range};

use super::{
    error::StoreError,
    read::{Entry, Order, Read},
    record,
    verify::Verified,
};

/// What a group of transactions changes.
pub(super) type Overlay = BTreeMap<Vec<u8>, Change>;

/// What becomes of one key.
#[derive(Clone)]
pub(super) struct Change {
    /// The checksum of the record that lies in the store.
    pub(super) was: Option<u64>,
    /// The record it becomes; nothing when it is deleted.
    pub(super) value: Option<Vec<u8>>,
}

/// One transaction. It sees its own writes, those of earlier transactions and of no later one;
/// all of it is written or none.
pub struct Tx<'a> {
    engine: &'a Verified,
    overlay: &'a mut Overlay,
    /// Overlay entries as they were before this transaction, oldest first.
    undo: Vec<(Vec<u8>, Option<Change>)>,
    initialised: bool,
    is_sign_off: bool,
    hooks: Vec<Hook>,
}

/// What happens in memory once a transaction is durable.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

/// What a transaction that went well leaves to do.
pub(super) struct Finished {
    /// Whether the store is initialised with it.
    pub(super) initialised: bool,
    /// Whether it takes something away from somebody.
    pub(super) is_sign_off: bool,
    /// Whether it changes any record.
    pub(super) has_changes: bool,
    pub(super) hooks: Vec<Hook>,
}

impl<'a> Tx<'a> {
    /// `initialised`: whether the store is, or will be by an earlier transaction of the group.
    pub(super) fn new(engine: &'a Verified, overlay: &'a mut Overlay, initialised: bool) -> Self {
        Self {
            engine,
            overlay,
            undo: Vec::new(),
            initialised,
            is_sign_off: false,
            hooks: Vec::new(),
        }
    }

    /// Sets the durable mark that somebody has claimed this server: from the commit on, the store
    /// refuses to open empty.
    pub fn mark_initialised(&mut self) {
        self.initialised = true;
    }

    /// Whether somebody has claimed this server, earlier transactions included.
    pub fn initialised(&self) -> bool {
        self.initialised
    }

    /// This transaction takes something away from somebody: a login, a token, a right. It is
    /// written even when the disk is nearly full, from space that is kept for it.
    pub fn sign_off(&mut self) {
        self.is_sign_off = true;
    }

    /// Runs `hook` on the writer's thread once the transaction is durable and before its caller
    /// hears of it; never when it fails. Keeps memory in step with the store even if the caller is
    /// gone by then. Must be quick and must not panic.
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Writes or deletes. True when a record was there to be deleted; without meaning for a write.
    pub(super) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<bool, StoreError> {
        let (was, there) = match self.overlay.get(&key) {
            Some(change) => (change.was, change.value.is_some()),
            None => {
                // Whether a put writes over something is nobody's business but the books'.
                let stored = match &value {
                    Some(_) => self.engine.get_unproven(&key)?,
                    None => self.engine.get(&key)?,
                };
                (
                    stored.as_deref().and_then(record::stored_sum),
                    stored.is_some(),
                )
            }
        };
        if there || value.is_some() {
            let before = self.overlay.insert(key.clone(), Change { was, value });
            self.undo.push((key, before));
        }
        Ok(there)
    }

    /// What is left to do.
    pub(super) fn finish(&mut self) -> Finished {
        Finished {
            initialised: self.initialised,
            is_sign_off: self.is_sign_off,
            has_changes: !self.undo.is_empty(),
            hooks: std::mem::take(&mut self.hooks),
        }
    }

    /// Takes everything back.
    pub(super) fn roll_back(self) {
        for (key, before) in self.undo.into_iter().rev() {
            match before {
                Some(before) => self.overlay.insert(key, before),
                None => self.overlay.remove(&key),
            };
        }
    }
}

impl Read for Tx<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.overlay.get(key) {
            Some(change) => Ok(change.value.clone()),
            None => self.engine.get(key),
        }
    }

    fn range<'r>(
        &'r self,
        range: Range<Vec<u8>>,
        order: Order,
    ) -> Box<dyn Iterator<Item = Entry> + 'r> {
        let mut stored = self.engine.range(range.clone(), order).peekable();
        let changed = self
            .overlay
            .range(range)
            .map(|(key, change)| (key, change.value.as_deref()));
        let mut changed: Box<dyn Iterator<Item = _>> = match order {
            Order::Ascending => Box::new(changed),
            Order::Descending => Box::new(changed.rev()),
        };
        let mut ahead = changed.next();
        Box::new(std::iter::from_fn(move || {
            loop {
                let Some((key, value)) = ahead else {
                    return stored.next();
                };
                match stored.peek() {
                    Some(Err(_)) => return stored.next(),
                    Some(Ok((other, _)))
                        if other != key && (other < key) == (order == Order::Ascending) =>
                    {
                        return stored.next();
                    }
                    Some(Ok((other, _))) if other == key => drop(stored.next()),
                    _ => {}
                }
                let entry = value.map(|value| Ok((key.clone(), value.to_vec())));
                ahead = changed.next();
                if entry.is_some() {
                    return entry;
                }
            }
        }))
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tx({} changes)", self.undo.len())
    }
}
