//! What is counted and timed, and the page Prometheus reads it from.
//!
//! Owns: the kinds of meter, what a request adds to them, and the page. Does not: decide what is
//! worth counting elsewhere; the store, the hashing pool, the verifier and each backend keep meters
//! of their own, and `page` reads them when somebody asks.
//!
//! **Invariants:** a label's values come from the configuration or from this code, never from a
//! client, so the number of series is bounded; no name of a person, address, path or secret is in
//! any; a request costs two readings of the clock and three additions nobody else waits for.

mod calls;
mod connections;
mod counter;
mod family;
mod histogram;
mod logins;
mod page;
mod process;
mod requests;
mod spans;

pub use calls::{Calls, Fate, known_method};
pub use connections::{Connections, Door, Open};
pub use counter::Counter;
pub use histogram::Histogram;
pub use logins::Logins;
pub use page::page;
pub use requests::{Requests, UNMATCHED};
pub use spans::{SpanFate, Spans};

/// The meters of what passes through the whole server, from its start to its end.
#[derive(Debug)]
pub struct Meters {
    /// Requests by route.
    pub requests: Requests,
    /// Connections by where they come in.
    pub connections: Connections,
    /// Sign-ins by backend.
    pub logins: Logins,
    /// Spans of traces.
    pub spans: Spans,
}

impl Meters {
    /// Meters of a server with these routes: method and path of each, in the order of its table.
    pub fn new(routes: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        Self {
            requests: Requests::new(routes),
            connections: Connections::default(),
            logins: Logins::default(),
            spans: Spans::default(),
        }
    }
}
