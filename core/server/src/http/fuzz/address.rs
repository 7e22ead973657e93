//! Whose word on addresses counts.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};

use super::{
    super::peer::{Peer, client},
    lines,
};
use crate::config::Cidr;

static FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A line that says who the peer is, and lines of `X-Forwarded-For`. Nobody who is not trusted
/// changes an address, and nobody at all pretends to be in front of the last hop that is not.
pub fn forwarded(data: &[u8]) {
    let (peer, rest) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[] as &[u8]),
    };
    let peer = match std::str::from_utf8(peer) {
        Ok("operator") => Peer::Operator,
        Ok("socket") => Peer::Socket,
        Ok(text) => {
            let (text, peer) = match text.strip_prefix("balancer ") {
                Some(text) => (text, Peer::Balancer as fn(IpAddr) -> Peer),
                None => (text, Peer::Tcp as fn(IpAddr) -> Peer),
            };
            match text.parse::<IpAddr>() {
                Ok(address) => peer(address.to_canonical()),
                Err(_) => return,
            }
        }
        Err(_) => return,
    };
    let blocks = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"];
    let trusted: Vec<Cidr> = blocks
        .iter()
        .filter_map(|block| block.parse().ok())
        .collect();
    let is_trusted = |address| trusted.iter().any(|block| block.contains(address));
    let headers = lines(&FORWARDED, rest);
    let (address, is_believed) = client(&trusted, peer, &headers);
    assert_eq!(
        address,
        address.to_canonical(),
        "one address in two spellings"
    );
    match peer {
        Peer::Operator => return assert!(address.is_loopback() && !is_believed),
        Peer::Tcp(own) if !is_trusted(own) => {
            return assert!(address == own && !is_believed, "a stranger was believed");
        }
        Peer::Tcp(own) => assert!(is_believed && (address == own || is_said(&headers, address))),
        Peer::Balancer(own) => {
            return assert!(address == own && !is_believed, "a balancer was believed");
        }
        Peer::Socket => assert!(is_believed),
    }
    if !is_trusted(address) && address != IpAddr::from([127, 0, 0, 1]) {
        // Whatever such a client says of hops before it does not count.
        let mut forged = vec![HeaderValue::from_static("198.51.100.66")];
        forged.extend(headers.get_all(&FORWARDED).iter().cloned());
        let forged = forged
            .into_iter()
            .map(|line| (FORWARDED.clone(), line))
            .collect();
        assert_eq!(client(&trusted, peer, &forged), (address, true));
    }
}

/// Whether some hop is written just so: an address, alone or with a port.
fn is_said(headers: &http::HeaderMap, address: IpAddr) -> bool {
    let lines = headers.get_all(&FORWARDED).iter();
    let text = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    text.flat_map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>())
        .any(|hop| {
            let hop = hop.trim();
            let in_brackets = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
            let bare = in_brackets.unwrap_or(hop).parse::<IpAddr>().ok();
            let with_port = hop.parse::<std::net::SocketAddr>().ok();
            bare.or(with_port.map(|with_port| with_port.ip()))
                .is_some_and(|said| said.to_canonical() == address)
        })
}
