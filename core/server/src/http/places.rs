//! How many connections there are, in all, from one address and from the network around it (THREATS T2).
//!
//! **Invariants:** past a limit a connection is closed at once, which is better than a queue nobody
//! sees; a place is given back when its connection ends, however it ends.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::login::throttle::Network;

/// Places for connections.
pub(super) struct Places {
    most: usize,
    all: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
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
    networks: [Network; 2],
    taken: Arc<Mutex<Taken>>,
}

/// Connections of each network that has any: a seat is counted in two of different sizes.
type Taken = HashMap<Network, usize>;

/// How many times as much a wider network may, as long as that is not more than half of all.
const AROUND: usize = 4;

/// How often refused connections are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
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

    /// Counts the place as one of `address`. False when that has `most` of them, or the wider network
    /// around it what all of that may have: else one who has many addresses would take all places.
    pub(super) fn seat(&self, place: &mut Place, address: IpAddr, most: usize) -> bool {
        let around = most.saturating_mul(AROUND).min(self.most / 2).max(most);
        let networks = [Network::of(address), Network::around(address)];
        let mut taken = self.taken.lock();
        let has = |network| taken.get(network).copied().unwrap_or(0);
        if has(&networks[0]) >= most || has(&networks[1]) >= around {
            drop(taken);
            self.refuse("max_connections_per_address");
            return false;
        }
        for network in networks {
            *taken.entry(network).or_default() += 1;
        }
        drop(taken);
        place.of_address = Some(Seat {
            networks,
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
        for network in self.networks {
            if let Some(count) = taken.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&network);
                }
            }
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
        let other = seated("203.0.113.2");
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

    /// How many of these get a place, when an address may have `each` of `all`.
    fn served(all: usize, each: usize, addresses: impl Iterator<Item = String>) -> usize {
        let places = Places::new(all);
        let seated = |text: String| {
            let mut place = places.take()?;
            places
                .seat(&mut place, address(&text), each)
                .then_some(place)
        };
        addresses.filter_map(seated).collect::<Vec<_>>().len()
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let hosts = (0..9).map(|host| format!("2001:db8::{host}"));
        assert_eq!(served(100, 2, hosts), 2);
    }

    #[test]
    fn one_customer_cannot_take_all_places() {
        let nets = || (0..100).map(|net| format!("2001:db8:0:{net:x}::1"));
        assert_eq!(served(100, 5, nets()), 20, "four times one address");
        assert_eq!(served(100, 20, nets()), 50, "no more than half of all");
        assert_eq!(served(100, 70, nets()), 70, "no less than one address");
        let v4 = (0..100).map(|host| format!("192.0.2.{host}"));
        assert_eq!(served(100, 5, v4), 20, "a /24 of IPv4");
        let others = (0..100).map(|net| format!("2001:db8:{net:x}::1"));
        assert_eq!(served(100, 5, others), 100, "they are strangers");
    }
}
