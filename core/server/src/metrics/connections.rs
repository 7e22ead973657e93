//! Connections, by the door they come in at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Where connections come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// From the network.
    Network = 0,
    /// From a proxy on the Unix socket.
    Socket = 1,
    /// From the operator.
    Operator = 2,
}

impl Door {
    pub(super) const ALL: [(Self, &'static str); 3] = [
        (Self::Network, "tcp"),
        (Self::Socket, "unix"),
        (Self::Operator, "operator"),
    ];
}

#[derive(Debug, Default)]
struct Numbers {
    opened: [AtomicU64; 3],
    closed: [AtomicU64; 3],
    refused: [AtomicU64; 3],
}

/// The connections so far.
#[derive(Debug, Default)]
pub struct Connections(Arc<Numbers>);

impl Connections {
    /// One was opened; it is open until what this returns is dropped.
    pub fn open(&self, door: Door) -> Open {
        self.0.opened[door as usize].fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0), door)
    }

    /// One was turned away because as many were open as may be.
    pub fn refuse(&self, door: Door) {
        self.0.refused[door as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were opened, are open now, and were turned away.
    pub(super) fn numbers(&self, door: Door) -> (u64, u64, u64) {
        let read = |numbers: &[AtomicU64; 3]| numbers[door as usize].load(Ordering::Relaxed);
        // Closed first: what is closed was opened.
        let closed = read(&self.0.closed);
        let opened = read(&self.0.opened);
        (opened, opened.saturating_sub(closed), read(&self.0.refused))
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open(Arc<Numbers>, Door);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed[self.1 as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let connections = Connections::default();
        let one = connections.open(Door::Network);
        let two = connections.open(Door::Network);
        drop(one);
        connections.refuse(Door::Network);
        assert_eq!(connections.numbers(Door::Network), (2, 1, 1));
        assert_eq!(connections.numbers(Door::Operator), (0, 0, 0));
        drop(two);
        assert_eq!(connections.numbers(Door::Network), (2, 0, 1));
    }
}
