//! What the bodies of all requests together may take (THREATS T2).
//!
//! `incoming` bounds each of them, and HTTP/2 lets one connection send many: this bounds them all,
//! from their first byte until their request is answered or given up.
//!
//! **Invariants:** beyond its first [`FREE`] bytes no body grows unless there is room for it, in all
//! and for its network; nobody waits for room, and what is taken is given back. A sign-in needs none:
//! who takes it all keeps nobody out.

use std::{collections::BTreeMap, net::IpAddr};

use parking_lot::Mutex;

use crate::login::throttle::Network;

/// Bytes of each body that need no room. Of all requests that one address can have under way
/// (`max_connections_per_address`, `max_streams`) they are 32 MiB.
const FREE: usize = 2 * 1024;

/// Bytes for one network, unless a single body may be larger.
const EACH: usize = 8 << 20;

/// Networks that together take all.
const NETWORKS: usize = 8;

/// The room there is: one for the process, as its memory is.
pub(super) static ROOM: Room = Room::new();

/// Bytes that are taken.
pub(super) struct Room(Mutex<Taken>);

struct Taken {
    in_all: usize,
    by_network: BTreeMap<IpAddr, usize>,
}

impl Room {
    const fn new() -> Self {
        Self(Mutex::new(Taken {
            in_all: 0,
            by_network: BTreeMap::new(),
        }))
    }
}

/// What one body takes of it, as long as this lives.
pub(super) struct Share<'a> {
    room: &'a Room,
    client: IpAddr,
    /// Bytes for its network.
    most: usize,
    taken: usize,
}

impl<'a> Share<'a> {
    /// Of a body that is from `client` and no longer than `longest`.
    pub(super) fn new(room: &'a Room, client: IpAddr, longest: usize) -> Self {
        Self {
            room,
            client,
            most: longest.max(EACH),
            taken: 0,
        }
    }

    /// Takes what a body of `length` bytes needs. False when there is no room for more.
    pub(super) fn grow(&mut self, length: usize) -> bool {
        let more = length.saturating_sub(FREE).saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        let mut taken = self.room.0.lock();
        let network = Network::of(self.client).address();
        let of_network = taken.by_network.get(&network).copied().unwrap_or(0) + more;
        let in_all = taken.in_all + more;
        if of_network > self.most || in_all > self.most.saturating_mul(NETWORKS) {
            return false;
        }
        taken.by_network.insert(network, of_network);
        taken.in_all = in_all;
        self.taken += more;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.room.0.lock();
        taken.in_all -= self.taken;
        let network = Network::of(self.client).address();
        if let Some(of_network) = taken.by_network.get_mut(&network) {
            *of_network -= self.taken;
            if *of_network == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LARGE: usize = 1 << 20;

    /// As many large bodies as there is room for, of somebody at `address`.
    fn fill<'a>(room: &'a Room, address: &str) -> Vec<Share<'a>> {
        let client = address.parse().unwrap();
        let body = || {
            let mut share = Share::new(room, client, LARGE);
            // In pieces, as bodies come.
            (share.grow(LARGE / 2) && share.grow(LARGE)).then_some(share)
        };
        std::iter::from_fn(body).collect()
    }

    #[test]
    fn bodies_that_do_not_end_fill_the_share_of_their_network_and_not_that_of_others() {
        let room = Room::new();
        let held = fill(&room, "192.0.2.1");
        assert_eq!(held.len(), EACH / LARGE);
        assert!(fill(&room, "::ffff:192.0.2.1").is_empty());
        let other = fill(&room, "2001:db8::1");
        assert_eq!(other.len(), EACH / LARGE);
        assert!(fill(&room, "2001:db8::2").is_empty(), "of the same /64");
        drop(held);
        assert_eq!(fill(&room, "192.0.2.1").len(), EACH / LARGE, "given back");
    }

    #[test]
    fn all_together_take_no_more_than_there_is_and_a_sign_in_needs_none() {
        let room = Room::new();
        let held: Vec<_> = (0..100)
            .flat_map(|last| fill(&room, &format!("192.0.2.{last}")))
            .collect();
        assert_eq!(held.len(), NETWORKS * EACH / LARGE);
        assert!(room.0.lock().in_all <= NETWORKS * EACH);
        let client = "198.51.100.7".parse().unwrap();
        let mut small = Share::new(&room, client, LARGE);
        assert!(small.grow(200) && small.grow(FREE));
        assert!(!small.grow(LARGE));
        drop((held, small));
        let taken = room.0.lock();
        assert!(taken.in_all == 0 && taken.by_network.is_empty());
    }

    #[test]
    fn a_body_as_long_as_may_be_fits() {
        let room = Room::new();
        let longest = 2 * EACH;
        let client = "192.0.2.1".parse().unwrap();
        assert!(Share::new(&room, client, longest).grow(longest));
    }
}
