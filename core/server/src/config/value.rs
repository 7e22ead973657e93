//! The small values of a configuration: sizes, origins, address blocks. Each parses into a type
//! that cannot be wrong, and says what is wrong in a sentence.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

/// Scheme, host and port of the server as people reach it (RFC 6454 section 4). No path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    authority: String,
}

impl Origin {
    /// The plain-http origin of this host and port.
    pub fn http(authority: impl Into<String>) -> Self {
        Self {
            https: false,
            authority: authority.into(),
        }
    }

    /// The https origin of this host and port.
    pub fn https(authority: impl Into<String>) -> Self {
        Self {
            https: true,
            authority: authority.into(),
        }
    }

    /// Whether people reach the server over TLS: decides the cookie's name and its `Secure`.
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// Host and, when not the scheme's own, port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        let end = self.authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let port = self.authority[end..].find(':');
        port.map_or(self.authority.as_str(), |at| &self.authority[..end + at])
    }

    /// Whether only this machine can reach it: `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("must start with https:// or http://".into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("must be scheme, host and port only, without path or query".into());
        }
        if authority.contains('@') {
            return Err("must not contain a user name or password".into());
        }
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|_| "does not hold a valid host".to_owned())?;
        let port = &authority[parsed.host().len()..];
        if parsed.host().is_empty() || (!port.is_empty() && parsed.port_u16().is_none()) {
            return Err("does not hold a valid host and port".into());
        }
        let default = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(authority);
        Ok(Self {
            https,
            authority: authority.to_ascii_lowercase(),
        })
    }
}

/// A block of addresses in CIDR notation (RFC 4632 section 3.1); a bare address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether `address` lies in the block. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// Whether the block holds every address there is: never a set of peers to trust.
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    /// Whether these blocks together hold every IPv4 or every IPv6 address.
    pub fn are_everything(blocks: &[Self]) -> bool {
        [true, false].iter().any(|v4| {
            let family = blocks.iter().filter(|block| block.is_ipv4() == *v4);
            let mut ranges: Vec<(u128, u128)> = family.map(Self::range).collect();
            ranges.sort_unstable();
            let all = if *v4 { u128::from(u32::MAX) } else { u128::MAX };
            // How far everything from zero on is held.
            let mut held: Option<u128> = None;
            for (first, last) in ranges {
                match held {
                    None if first == 0 => held = Some(last),
                    Some(to) if first <= to.saturating_add(1) => held = Some(to.max(last)),
                    _ => break,
                }
            }
            held == Some(all)
        })
    }

    /// Whether it is a block of IPv4 addresses.
    pub const fn is_ipv4(&self) -> bool {
        self.network.is_ipv4()
    }

    /// How many bits all its addresses have in common.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Its first and its last address as numbers.
    fn range(&self) -> (u128, u128) {
        let (first, bits) = match self.network {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let rest = u32::from(bits - self.prefix);
        let size = 1_u128.checked_shl(rest).map_or(u128::MAX, |size| size - 1);
        (first, first | size)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let network: IpAddr = address
            .parse()
            .map_err(|_| "is not an address block such as 10.0.0.0/8".to_owned())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix = if text.contains('/') {
            prefix
                .parse()
                .ok()
                .filter(|prefix: &u8| {
                    *prefix <= most && prefix.to_string() == text[address.len() + 1..]
                })
                .ok_or_else(|| format!("needs a prefix length of 0 to {most} after the slash"))?
        } else {
            most
        };
        let block = Self { network, prefix };
        let host_bits = match network {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        if host_bits.checked_shl(u32::from(prefix)).unwrap_or(0) != 0 {
            return Err("has bits set after its prefix".into());
        }
        // Peers are compared as what they are, so their blocks are too.
        Ok(match network.to_canonical() {
            IpAddr::V4(v4) if network.is_ipv6() => Self {
                network: IpAddr::V4(v4),
                prefix: prefix.checked_sub(96).ok_or("holds more than IPv4")?,
            },
            _ => block,
        })
    }
}

/// A length of time with its unit: `8h`, `30d`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "is not a length of time such as \"30s\", \"8h\" or \"30d\"".into())
}

/// A number of bytes with its unit: `19MiB`, `64KiB`, `512B`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "is not a size such as \"19MiB\", \"64KiB\" or \"512B\"".to_owned();
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(factor).ok_or_else(wrong)
}

/// `value` as [`size`] would read it, in the largest whole unit.
pub(super) fn show_size(value: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if value > 0 && value.is_multiple_of(factor) {
            return format!("{}{unit}", value / factor);
        }
    }
    format!("{value}B")
}
