//! Typed tables: what the domain sees of the store.

use std::{fmt, marker::PhantomData, ops::Range};

use super::{
    brief::Brief,
    error::StoreError,
    key::Key,
    load,
    read::{Order, Read, Reader},
    record::{self, MAX_KEY, MAX_RECORD, Record},
    tx::Tx,
};

/// A named set of records of type `V` by keys of type `K`. A constant of the module that owns it.
pub struct Table<K: ?Sized, V> {
    id: u8,
    name: &'static str,
    types: PhantomData<fn(&K) -> V>,
}

/// A table as far as moving its records goes: its id, its name, and whether it can read one.
#[derive(Clone, Copy)]
pub struct KnownTable {
    /// Its id.
    pub id: u8,
    /// Its name, for people.
    pub name: &'static str,
    /// Whether these stored bytes, under this full key, are a record of it.
    pub(super) decodes: fn(&[u8], &[u8]) -> bool,
    /// What is written of what is read.
    #[cfg(any(test, fuzzing))]
    pub(super) rewritten: fn(&[u8], &[u8]) -> Option<Vec<u8>>,
    /// The layout that is written.
    #[cfg(any(test, fuzzing))]
    pub(super) version: u8,
}

impl fmt::Debug for KnownTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownTable({} {})", self.id, self.name)
    }
}

impl<K: Key + ?Sized, V: Record> Table<K, V> {
    /// The table `id` (1 to 254, for ever the same; 0 is the store's own). `name` is for messages.
    pub const fn new(id: u8, name: &'static str) -> Self {
        assert!(id > 0 && id < u8::MAX, "table ids go from 1 to 254");
        Self {
            id,
            name,
            types: PhantomData,
        }
    }

    /// What whoever moves whole stores needs of it.
    pub const fn known(&self) -> KnownTable {
        KnownTable {
            id: self.id,
            name: self.name,
            decodes: |key, bytes| record::decode::<V>(key, bytes).is_some(),
            #[cfg(any(test, fuzzing))]
            rewritten: |key, bytes| record::encode(key, &record::decode::<V>(key, bytes)?),
            #[cfg(any(test, fuzzing))]
            version: V::VERSION,
        }
    }

    /// The record under `key`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is damaged, and whatever the engine meets.
    pub fn get(&self, from: &impl Read, key: &K) -> Result<Option<V>, StoreError> {
        let key = self.full(key);
        from.get(&key)?
            .map(|bytes| self.decode(&key, &bytes))
            .transpose()
    }

    /// The record under an encoded key, as [`Table::scan`] gives it.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn get_at(&self, from: &impl Read, key: &[u8]) -> Result<Option<V>, StoreError> {
        let key = [&[self.id], key].concat();
        from.get(&key)?
            .map(|bytes| self.decode(&key, &bytes))
            .transpose()
    }

    /// Whether there is a record under `key`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn contains(&self, from: &impl Read, key: &K) -> Result<bool, StoreError> {
        Ok(from.get(&self.full(key))?.is_some())
    }

    /// Writes the record under `key`, over any that was there.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], and as [`Table::get`].
    pub fn put(&self, tx: &mut Tx<'_>, key: &K, value: &V) -> Result<(), StoreError> {
        let key = self.full(key);
        let bytes =
            record::encode(&key, value).ok_or(StoreError::Unserialisable { table: self.name })?;
        if bytes.len() > MAX_RECORD || key.len() > MAX_KEY {
            return Err(StoreError::TooLarge { table: self.name });
        }
        tx.set(key, Some(bytes)).map(|_| ())
    }

    /// Deletes the record under `key`. True when it was there.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn delete(&self, tx: &mut Tx<'_>, key: &K) -> Result<bool, StoreError> {
        tx.set(self.full(key), None)
    }

    /// Deletes the record under an encoded key, as [`Table::scan`] gives it.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn delete_at(&self, tx: &mut Tx<'_>, key: &[u8]) -> Result<bool, StoreError> {
        tx.set([&[self.id], key].concat(), None)
    }

    /// Whether there is a record whose encoded key starts with `prefix`.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn has_any(&self, from: &impl Read, prefix: &[u8]) -> Result<bool, StoreError> {
        let mut records = self.scan(from, prefix, None, Order::Ascending);
        Ok(records.next().transpose()?.is_some())
    }

    /// Lazily walks the records whose encoded key starts with `prefix`, in key order or backwards;
    /// with `start`, only those strictly past that encoded key. Keys come without the table byte.
    pub fn scan<'r, R: Read>(
        &self,
        from: &'r R,
        prefix: &[u8],
        start: Option<&[u8]>,
        order: Order,
    ) -> impl Iterator<Item = Result<(Vec<u8>, V), StoreError>> + use<'r, K, V, R> {
        let table = Self { ..*self };
        let range = bounds(self.id, prefix, start, order);
        from.range(range, order).map(move |entry| {
            let (mut key, bytes) = entry?;
            let value = table.decode(&key, &bytes)?;
            key.remove(0);
            Ok((key, value))
        })
    }

    /// Reads every record, on two threads when they are many, and hands on what `read` makes of
    /// encoded key and value. For start-up: the order is none, and `take` runs on both threads.
    ///
    /// # Errors
    /// As [`Table::get`], and those of `read`.
    pub fn load<T>(
        &self,
        from: &Reader,
        read: impl Fn(&[u8], V) -> Result<T, StoreError> + Sync,
        take: impl Fn(T) + Sync,
    ) -> Result<(), StoreError> {
        let read = |key: &[u8], bytes: &[u8]| {
            let value = self.decode(key, bytes)?;
            read(key.get(1..).unwrap_or_default(), value)
        };
        load::load(&from.engine, self.id, None, |_| {}, read, take)
    }

    /// As [`Table::load`], but of what is kept of the table in brief ([`Books::keep`]) where that
    /// still stands: those entries go to `known`. For start-up, before the first write.
    ///
    /// # Errors
    /// As [`Table::load`].
    pub fn load_brief<T, const W: usize>(
        &self,
        from: &Reader,
        known: impl Fn([u8; W]) + Sync,
        read: impl Fn(&[u8], V) -> Result<T, StoreError> + Sync,
        take: impl Fn(T) + Sync,
    ) -> Result<(), StoreError> {
        let brief = Brief::read(from.engine.dir(), self.id, W);
        let known = |entry: &[u8]| {
            entry
                .first_chunk::<W>()
                .copied()
                .into_iter()
                .for_each(&known)
        };
        let read = |key: &[u8], bytes: &[u8]| {
            let value = self.decode(key, bytes)?;
            read(key.get(1..).unwrap_or_default(), value)
        };
        load::load(&from.engine, self.id, brief.as_ref(), known, read, take)
    }

    pub(super) const fn id(&self) -> u8 {
        self.id
    }

    /// The encoded key, without the table byte: what [`Table::scan`] takes and gives.
    pub fn key(&self, key: &K) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        key.encode(&mut bytes);
        bytes
    }

    /// The error for a record of this table, under this encoded key, that makes no sense.
    pub fn corrupt(&self, key: &[u8]) -> StoreError {
        StoreError::Corrupt {
            table: self.name.into(),
            key: hex::encode(key),
        }
    }

    fn full(&self, key: &K) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(self.id);
        key.encode(&mut bytes);
        bytes
    }

    fn decode(&self, key: &[u8], bytes: &[u8]) -> Result<V, StoreError> {
        record::decode(key, bytes).ok_or_else(|| self.corrupt(key.get(1..).unwrap_or_default()))
    }
}

impl<K: ?Sized, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V> Copy for Table<K, V> {}

impl<K: ?Sized, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} {})", self.id, self.name)
    }
}

/// The range of full keys that start with `prefix` in table `id`, cut at `start`.
fn bounds(id: u8, prefix: &[u8], start: Option<&[u8]>, order: Order) -> Range<Vec<u8>> {
    let full = |rest: &[u8]| [&[id], rest].concat();
    let low = full(prefix);
    let high = past(&low);
    match (order, start.map(full)) {
        (_, None) => low..high,
        (Order::Ascending, Some(mut cut)) => {
            cut.push(0); // the first key past it
            cut.clamp(low, high.clone())..high
        }
        (Order::Descending, Some(cut)) => low.clone()..cut.clamp(low, high),
    }
}

/// The first key after all that start with `prefix`. Table ids end at 254, so there is one.
fn past(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
