//! Everything that must survive: typed tables, transactions, durability.
//!
//! Owns the data directory's database files, their integrity and the order of writes. Does not
//! know what the records mean. Only this folder knows the engine; nothing above may assume one
//! that is embedded.
//!
//! **Invariant:** a write that was acknowledged survives a kill and a power cut; damage is refused
//! at open or read, never served.
//!
//! How a write goes: `write` queues a transaction → the writer thread runs a group of them
//! against an overlay (`tx`) → adds the books (`ledger`) → one atomic batch, flush, fdatasync
//! (`engine`) → high-water file (`highwater`) → all answers (`writer`). How opening goes: `open`
//! holds database and high-water file together, `verify` proves the records against the books, `load` reads
//! whole tables for the start, proof included.

mod brief;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
mod highwater;
mod key;
mod ledger;
mod load;
mod open;
mod portable;
mod read;
mod record;
mod reserve;
mod snapshot;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod tx;
mod verify;
mod writer;

pub use brief::Books;
pub use error::{OpenError, StoreError};
pub use handle::{Options, Store};
pub use key::Key;
pub use open::{Claim, claim, wait_released};
pub use portable::{Exporter, Filler, Item, MAX_LINE, Parser, Portable, copy};
pub use read::{Entry, Order, Read, Reader};
pub use record::{MAX_KEY, MAX_RECORD, Record};
pub use snapshot::Snapshot;
pub use stats::{FLUSH_BOUNDS, Stats, Writing, disk};
pub use table::{KnownTable, Table};
pub use tx::Tx;
