//! Whose an address is, as far as an address tells.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses that count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: u128,
    /// Leading bits, of an IPv4-mapped address too.
    length: u8,
}

impl Network {
    /// What one customer has: an IPv4 address, or an IPv6 /64. An IPv4 address written as an IPv6
    /// one is itself.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::cut(v4.to_ipv6_mapped(), 128),
            IpAddr::V6(v6) => Self::cut(v6, 64),
        }
    }

    /// What one who has many has: an IPv4 /24, an IPv6 /48.
    pub fn around(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::cut(v4.to_ipv6_mapped(), 120),
            IpAddr::V6(v6) => Self::cut(v6, 48),
        }
    }

    /// An address in it.
    pub fn address(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.first)).to_canonical()
    }

    /// As a number, of which no other network has the same.
    pub(in crate::login) const fn first(self) -> u128 {
        self.first
    }

    fn cut(address: Ipv6Addr, length: u8) -> Self {
        let rest = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        Self {
            first: u128::from(address) & !rest,
            length,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address(), self.length) {
            (IpAddr::V4(v4), 128) => v4.fmt(f),
            (IpAddr::V4(v4), length) => write!(f, "{v4}/{}", length - 96),
            (IpAddr::V6(v6), length) => write!(f, "{v6}/{length}"),
        }
    }
}

/// As it is shown, or any address in it.
impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let narrow = Self::of(address);
        let wide = Self::around(address);
        match length {
            None => Ok(narrow),
            Some(_) => [narrow, wide]
                .into_iter()
                .find(|network| network.to_string().split('/').nth(1) == length)
                .ok_or(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_its_networks() {
        for (address, own, around) in [
            ("203.0.113.9", "203.0.113.9", "203.0.113.0/24"),
            ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.0/24"),
            (
                "2001:db8:1:2:3:4:5:6",
                "2001:db8:1:2::/64",
                "2001:db8:1::/48",
            ),
            ("::1", "::/64", "::/48"),
        ] {
            assert_eq!(Network::of(ip(address)).to_string(), own);
            assert_eq!(Network::around(ip(address)).to_string(), around);
            assert_eq!(own.parse(), Ok(Network::of(ip(address))));
            assert_eq!(around.parse(), Ok(Network::around(ip(address))));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "alice",
            "203.0.113.0/23",
            "2001:db8::/32",
            "1.2.3.4/24/24",
            "/64",
        ] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }
}
