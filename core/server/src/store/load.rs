//! Reading a whole table in one go: what a start does.
//!
//! **Invariant:** a record is handed on only after its bucket is proven; each is read from disk
//! once, proof included.

use std::sync::atomic::{AtomicU16, Ordering};

use super::{error::StoreError, verify::Verified};

/// From so many records on two threads read them.
const MANY: u64 = 10_000;

/// Reads the buckets of `table` and hands on what `read` makes of their records, in no order.
pub(super) fn load<T>(
    data: &Verified,
    table: u8,
    read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError> + Sync,
    take: impl Fn(T) + Sync,
) -> Result<(), StoreError> {
    data.loading.fetch_add(1, Ordering::Relaxed);
    let loaded = load_all(data, table, read, take);
    data.loading.fetch_sub(1, Ordering::Relaxed);
    loaded
}

fn load_all<T>(
    data: &Verified,
    table: u8,
    read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError> + Sync,
    take: impl Fn(T) + Sync,
) -> Result<(), StoreError> {
    let next = AtomicU16::new(0);
    let work = || -> Result<(), StoreError> {
        let mut records = Vec::new();
        while let Ok(first) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
            let mut fault = None;
            data.walk(
                u16::from_be_bytes([table, first]),
                |key, bytes| match read(key, bytes) {
                    Ok(record) => records.push(record),
                    Err(error) => fault = Some(error),
                },
            )?;
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
