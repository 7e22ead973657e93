//! From which networks an account was signed in to.
//!
//! Only a right password gets in here, and an account has at most [`NETWORKS`] of them, so nobody
//! can push out what is known of others by failing, nor by signing in to an account of their own.

use super::buckets::Buckets;
use crate::clock::Timestamp;

const WAYS: usize = 4;
const NETWORKS: usize = 8;

/// For how long a network is known, in hours.
const LASTS_HOURS: u32 = 30 * 24;

#[derive(Clone, Copy, Debug, Default)]
struct Friends {
    /// Zero: nobody's.
    account: u64,
    networks: [u32; NETWORKS],
    /// The hour of the last success; zero: none.
    hours: [u32; NETWORKS],
}

pub(super) struct Known(Buckets<[Friends; WAYS]>);

impl Known {
    pub(super) fn new(accounts: usize) -> Self {
        Self(Buckets::new(accounts / WAYS))
    }

    pub(super) fn contains(&mut self, account: u64, network: u32, now: Timestamp) -> bool {
        let Some(bucket) = self.0.of(account) else {
            return false;
        };
        let friends = bucket.iter().filter(|friends| friends.account == account);
        friends
            .flat_map(|friends| friends.networks.iter().zip(&friends.hours))
            .any(|(known, hour)| {
                *known == network && *hour != 0 && hours(now).saturating_sub(*hour) < LASTS_HOURS
            })
    }

    pub(super) fn note(&mut self, account: u64, network: u32, now: Timestamp) {
        let bucket = self.0.of(account).get_or_insert_default();
        let latest = |friends: &Friends| friends.hours.iter().max().copied().unwrap_or(0);
        let at = bucket.iter().position(|friends| friends.account == account);
        let at = at.or_else(|| (0..WAYS).min_by_key(|at| latest(&bucket[*at])));
        let Some(friends) = at.and_then(|at| bucket.get_mut(at)) else {
            return;
        };
        if friends.account != account {
            *friends = Friends {
                account,
                ..Friends::default()
            };
        }
        let at =
            (0..NETWORKS).find(|at| friends.networks[*at] == network && friends.hours[*at] != 0);
        if let Some(at) = at.or_else(|| (0..NETWORKS).min_by_key(|at| friends.hours[*at])) {
            (friends.networks[at], friends.hours[at]) = (network, hours(now));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

fn hours(now: Timestamp) -> u32 {
    u32::try_from(now.seconds() / 3600)
        .unwrap_or(u32::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_000_000_000);

    #[test]
    fn a_network_is_known_for_a_month() {
        let mut known = Known::new(100);
        known.note(7, 1, T0);
        assert!(known.contains(7, 1, T0.plus_seconds(29 * 86_400)));
        assert!(!known.contains(7, 1, T0.plus_seconds(31 * 86_400)));
        assert!(!known.contains(7, 2, T0) && !known.contains(8, 1, T0));
    }

    #[test]
    fn the_longest_unused_of_an_account_gives_way_and_of_no_other() {
        let mut known = Known::new(4);
        known.note(9, 1, T0);
        for i in 0..1000 {
            known.note(7, i, T0.plus_seconds(3600 * u64::from(i)));
        }
        let now = T0.plus_seconds(3600 * 500);
        assert!(known.contains(9, 1, now));
        assert!((992..1000).all(|i| known.contains(7, i, now)));
        assert!(!known.contains(7, 991, now));
        assert_eq!(known.bytes(), 8 + 4 * size_of::<Friends>());
    }
}
