//! The PROXY protocol, versions 1 and 2: who a balancer says is at the other end.
//!
//! The balancer vouches for an address and for nothing else: what comes after its header are the
//! client's own bytes. So the address takes the place of the peer's in every respect, also when it
//! is asked whether the peer is a trusted proxy (THREATS H1, H2).
//!
//! **Invariants:** not a byte after the header is taken; a connection of the balancer's own, or one
//! whose address it does not know, has nobody's trust.

use std::net::IpAddr;

use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::peer::Peer;

/// What was read of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// So far so good: more must come.
    Partial,
    /// All of it, and how long it is.
    Whole {
        /// Who is at the other end; nothing when the balancer speaks for itself or does not know.
        source: Option<IpAddr>,
        /// Bytes of the header.
        length: usize,
    },
}

/// These bytes do not begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no valid PROXY header")]
pub struct Malformed;

/// The longest header read: addresses and some extensions, which are passed over.
pub(super) const LONGEST: usize = 2048;

/// What every header of version 2 begins with: signature, command, family and length.
const FIXED_V2: usize = 16;

/// The longest of version 1, with its end (specification, section 2.1).
const LONGEST_V1: usize = 107;

/// Reads a header at the beginning of `bytes`.
///
/// # Errors
/// Whatever follows, it will not be one.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let begins = |start: &[u8]| {
        let length = start.len().min(bytes.len());
        bytes[..length] == start[..length]
    };
    let is_first = begins(v1::PROTOCOL_PREFIX.as_bytes());
    if !is_first && !begins(v2::PROTOCOL_PREFIX) {
        return Err(Malformed);
    }
    let bytes = if is_first {
        match line(bytes)? {
            Some(line) => line,
            None => return Ok(Parsed::Partial),
        }
    } else {
        bytes
    };
    if let Some(length) = bytes.get(14..16) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if !is_first && FIXED_V2 + length > LONGEST {
            return Err(Malformed);
        }
    }
    let header = HeaderResult::parse(bytes);
    if header.is_incomplete() {
        return Ok(Parsed::Partial);
    }
    let (source, length) = match header {
        HeaderResult::V1(Ok(header)) => (of_v1(&header), header.header.len()),
        HeaderResult::V2(Ok(header)) => (of_v2(&header), header.header.len()),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(Malformed),
    };
    let source = source.map(|address| address.to_canonical());
    Ok(Parsed::Whole { source, length })
}

/// The line of version 1, with its end; nothing while that has not come. The library would take
/// a lone CR for the end, and where it looks for it would depend on how much has come.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some(end) = bytes.iter().take(LONGEST_V1).position(|b| *b == b'\n') else {
        return match bytes.len() {
            ..LONGEST_V1 => Ok(None),
            LONGEST_V1.. => Err(Malformed),
        };
    };
    let line = &bytes[..=end];
    let is_one = line.iter().position(|b| *b == b'\r') == end.checked_sub(1);
    is_one.then_some(Some(line)).ok_or(Malformed)
}

fn of_v1(header: &v1::Header<'_>) -> Option<IpAddr> {
    match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Unknown => None,
    }
}

fn of_v2(header: &v2::Header<'_>) -> Option<IpAddr> {
    if header.command == v2::Command::Local {
        return None;
    }
    match header.addresses {
        v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::IPv6(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

/// Takes the header off the stream: who the peer is, when `balancer` sent it.
pub(super) async fn read(stream: &mut TcpStream, balancer: IpAddr) -> std::io::Result<Peer> {
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, Malformed);
    let mut bytes = Vec::with_capacity(256);
    let mut seen = [0; 512];
    loop {
        let more = stream.peek(&mut seen).await?;
        if more == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let taken = bytes.len();
        bytes.extend_from_slice(&seen[..more]);
        let parsed = parse(&bytes).map_err(|_| bad())?;
        let end = match parsed {
            Parsed::Partial => bytes.len(),
            Parsed::Whole { length, .. } => length,
        };
        // What was looked at is there: this does not wait.
        stream.read_exact(&mut seen[..end - taken]).await?;
        match parsed {
            Parsed::Partial if bytes.len() >= LONGEST => return Err(bad()),
            Parsed::Partial => {}
            Parsed::Whole { source, .. } => {
                return Ok(source.map_or(Peer::Balancer(balancer), Peer::Tcp));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn source(bytes: &[u8]) -> Option<String> {
        match parse(bytes).unwrap() {
            Parsed::Whole { source, length } => {
                assert_eq!(&bytes[length..], b"GET /");
                source.map(|address| address.to_string())
            }
            Parsed::Partial => panic!("there is all of it"),
        }
    }

    fn second(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([
            0x20 | command,
            family,
            0,
            u8::try_from(addresses.len()).unwrap(),
        ]);
        bytes.extend(addresses);
        bytes.extend(b"GET /");
        bytes
    }

    #[test]
    fn the_address_is_the_one_the_balancer_names() {
        let line = b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\nGET /";
        assert_eq!(source(line).unwrap(), "203.0.113.9");
        let line = b"PROXY TCP6 2001:db8::9 2001:db8::1 5000 443\r\nGET /";
        assert_eq!(source(line).unwrap(), "2001:db8::9");
        let mapped = b"PROXY TCP6 ::ffff:203.0.113.9 ::1 5000 443\r\nGET /";
        assert_eq!(source(mapped).unwrap(), "203.0.113.9");
        let addresses = [203, 0, 113, 9, 10, 0, 0, 1, 1, 2, 3, 4];
        assert_eq!(source(&second(1, 0x11, &addresses)).unwrap(), "203.0.113.9");
        let with_extensions = [&addresses[..], &[4, 0, 2, 9, 9]].concat();
        assert_eq!(
            source(&second(1, 0x11, &with_extensions)).unwrap(),
            "203.0.113.9"
        );
    }

    #[test]
    fn what_the_balancer_does_itself_or_does_not_know_names_nobody() {
        let addresses = [203, 0, 113, 9, 10, 0, 0, 1, 1, 2, 3, 4];
        assert_eq!(source(&second(0, 0x11, &addresses)), None, "a health check");
        assert_eq!(source(&second(1, 0, &[])), None, "unspecified");
        assert_eq!(
            source(&second(1, 0x31, &[b'x'; 216])),
            None,
            "a Unix socket"
        );
        assert_eq!(source(b"PROXY UNKNOWN\r\nGET /"), None);
        assert_eq!(source(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET /"), None);
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_can_be_told() {
        let endless = format!("PROXY TCP4 {}", "1".repeat(200));
        let long = [&second(1, 0x11, &[])[..14], &[0xff, 0xff]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n" as &[u8],
            b"\x16\x03\x01",
            b"PROXI",
            b"PROXY TCP4 1.2.3 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 1 99999\r\n",
            b"PROXY TCP5 1.2.3.4 10.0.0.1 1 2\r\n",
            b"PROXY UNKNOWN ffff::1 \nGET /",
            b"PROXY UNKNOWN a\r b\r\nGET /",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\n\r\n",
            b"\r\n\r\nGET",
            &second(1, 0x11, &[1, 2]),
            &second(7, 0x11, &[0; 12]),
            endless.as_bytes(),
            &long,
        ] {
            assert_eq!(parse(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
        let whole = b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(Parsed::Partial), "{end}");
        }
        let whole = second(1, 0x11, &[1; 12]);
        for end in 0..whole.len() - 5 {
            assert_eq!(parse(&whole[..end]), Ok(Parsed::Partial), "{end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            start in proptest::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21"]),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        ) {
            let bytes = [start, &rest].concat();
            if let Ok(Parsed::Whole { length, .. }) = parse(&bytes) {
                assert!(length <= bytes.len());
            }
        }
    }
}
