//! How many connections there are, in all and from one address (THREATS T2).
//!
//! **Invariants:** past a limit a connection is closed at once, which is better than a queue nobody
//! sees; a place is given back when its connection ends, however it ends.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// Connections refused since that was last logged.
    refused: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

/// A place of a connection, as long as this lives.
pub(super) struct Place {
    _of_all: OwnedSemaphorePermit,
    of_address: Option<Seat>,
}

struct Seat {
    network: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// How often refused connections are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            taken: Arc::default(),
            refused: AtomicU64::new(0),
            logged: Mutex::new(None),
        }
    }

    /// A place among all.
    pub(super) fn take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        if permit.is_err() {
            self.refuse("max_connections");
        }
        Some(Place {
            _of_all: permit.ok()?,
            of_address: None,
        })
    }

    /// Counts the place as one of `address`. False when that has `most` of them.
    pub(super) fn seat(&self, place: &mut Place, address: IpAddr, most: usize) -> bool {
        let network = network(address);
        let mut taken = self.taken.lock();
        let count = taken.entry(network).or_default();
        if *count >= most {
            drop(taken);
            self.refuse("max_connections_per_address");
            return false;
        }
        *count += 1;
        drop(taken);
        place.of_address = Some(Seat {
            network,
            taken: Arc::clone(&self.taken),
        });
        true
    }

    /// Nobody's name is in the log: with a flood it would be the flood's.
    fn refuse(&self, limit: &str) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let mut logged = self.logged.lock();
        if logged.is_none_or(|at| now.duration_since(at) >= LOG_EVERY) {
            *logged = Some(now);
            self.refused.store(0, Ordering::Relaxed);
            tracing::warn!(
                limit,
                refused,
                "connections were refused: the limit is reached"
            );
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// Whose addresses count as one: of IPv6, whoever has one has a /64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::new(4);
        let seated = |text: &str| {
            let mut place = places.take()?;
            places.seat(&mut place, address(text), 2).then_some(place)
        };
        let (first, second) = (seated("192.0.2.1"), seated("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(seated("192.0.2.1").is_none());
        let other = seated("192.0.2.2");
        assert!(other.is_some());
        drop(first);
        let third = seated("192.0.2.1");
        assert!(third.is_some(), "a place was given back");
        let six = seated("2001:db8::1");
        assert!(six.is_some());
        assert!(seated("198.51.100.7").is_none(), "all are taken");
        drop((second, third, other, six));
        assert!(places.taken.lock().is_empty(), "nothing is remembered");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        assert_eq!(
            network(address("2001:db8::1")),
            network(address("2001:db8::ffff:2"))
        );
        assert_ne!(
            network(address("2001:db8::1")),
            network(address("2001:db8:0:1::1"))
        );
        assert_ne!(network(address("192.0.2.1")), network(address("192.0.2.2")));
    }
}
