//! Who is at the other end of a connection, and for whom (CONTRACT section 7, THREATS H1, H2).
//!
//! **Invariant:** what a header says of an address counts only when the peer itself is trusted, and
//! only as far as each hop before it is.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::Cidr;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The operator, on `admin.sock`.
    Operator,
    /// A proxy on the Unix socket, whose user the operator trusts.
    Socket,
    /// Somebody on the network: who a connection is from, or who a balancer says it is from.
    Tcp(IpAddr),
    /// A balancer that speaks for itself, or does not know for whom: nobody's word counts.
    Balancer(IpAddr),
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The client's address, and whether the peer is a proxy the operator trusts.
pub(super) fn client(trusted: &[Cidr], peer: Peer, headers: &HeaderMap) -> (IpAddr, bool) {
    let is_trusted = |address| trusted.iter().any(|block| block.contains(address));
    let nearest = match peer {
        Peer::Operator => return (LOOPBACK, false),
        Peer::Socket => LOOPBACK,
        Peer::Tcp(address) if is_trusted(address) => address,
        Peer::Tcp(address) | Peer::Balancer(address) => return (address, false),
    };
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
    let mut client = nearest;
    for hop in hops {
        // What cannot be read ends the chain: the hop that wrote it is the last one known.
        let Some(address) = std::str::from_utf8(hop).ok().and_then(parse) else {
            break;
        };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    (client, true)
}

/// An address, perhaps with a port, as proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| {
        text.parse()
            .map(|with_port: std::net::SocketAddr| with_port.ip())
    });
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(peer: &str, lines: &[&'static str]) -> (String, bool) {
        let trusted =
            ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"].map(|block| block.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let peer = match peer {
            "socket" => Peer::Socket,
            "operator" => Peer::Operator,
            address => Peer::Tcp(address.parse::<IpAddr>().unwrap().to_canonical()),
        };
        let (client, is_trusted) = client(&trusted, peer, &headers);
        (client.to_string(), is_trusted)
    }

    #[test]
    fn the_rightmost_hop_nobody_trusts_is_the_client() {
        for (peer, lines, client) in [
            ("10.0.0.1", &["203.0.113.9"] as &[_], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.1",
                &["1.2.3.4", "203.0.113.9, 10.0.0.2"],
                "203.0.113.9",
            ),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db9::1]:80"], "2001:db9::1"),
            ("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("socket", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.7"], "10.0.0.7"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9,"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db9::1]"], "2001:db9::1"),
            ("10.0.0.1", &["[2001:db9::1]x"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db9::1", "10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(
                found(peer, lines),
                (client.to_owned(), true),
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        for peer in ["203.0.113.5", "11.0.0.1", "2001:db9::5"] {
            assert_eq!(found(peer, &["10.0.0.1"]), (peer.to_owned(), false));
        }
        assert_eq!(
            found("operator", &["10.0.0.1"]),
            ("127.0.0.1".to_owned(), false)
        );
    }
}
