//! Reading a whole table in one go: what a start does.
//!
//! **Invariant:** a record is handed on only after its bucket is proven; each is read from disk
//! once, proof included. What comes from a brief was proven when the brief was written.

use std::sync::atomic::{AtomicU16, Ordering};

use super::{brief::Brief, error::StoreError, verify::Verified};

/// From so many records on two threads read them.
const MANY: u64 = 10_000;

/// Reads the buckets of `table` and hands on what `read` makes of their records, in no order. The
/// entries of buckets that `brief` still holds for go to `known` instead.
pub(super) fn load<T>(
    data: &Verified,
    table: u8,
    brief: Option<&Brief>,
    known: impl Fn(&[u8]) + Sync,
    read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError> + Sync,
    take: impl Fn(T) + Sync,
) -> Result<(), StoreError> {
    data.loading.fetch_add(1, Ordering::Relaxed);
    let loaded = load_all(data, table, brief, known, read, take);
    data.loading.fetch_sub(1, Ordering::Relaxed);
    loaded
}

fn load_all<T>(
    data: &Verified,
    table: u8,
    brief: Option<&Brief>,
    known: impl Fn(&[u8]) + Sync,
    read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError> + Sync,
    take: impl Fn(T) + Sync,
) -> Result<(), StoreError> {
    let next = AtomicU16::new(0);
    let work = || -> Result<(), StoreError> {
        let mut records = Vec::new();
        while let Ok(first) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
            let id = u16::from_be_bytes([table, first]);
            if let Some((brief, tally)) = brief.zip(data.tally(id))
                && let Some(entries) = brief.bucket(id, tally)
            {
                entries.for_each(&known);
                continue;
            }
            let mut fault = None;
            data.walk(id, |key, bytes| match read(key, bytes) {
                Ok(record) => records.push(record),
                Err(error) => fault = Some(error),
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            records.drain(..).for_each(&take);
        }
        Ok(())
    };
    if data.had(table) < MANY {
        return work();
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let this = work();
        let other = other.join().unwrap_or(Err(StoreError::Panicked));
        this.and(other)
    })
}
