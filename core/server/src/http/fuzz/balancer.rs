//! The PROXY protocol: what a balancer says before anything else.

use super::super::proxied::{LONGEST, Malformed, Parsed, parse};

/// The beginning of a connection. What was decided of a part of it stays decided, whatever follows,
/// and not a byte behind the header belongs to it.
pub fn proxied(data: &[u8]) {
    let outcome = parse(data);
    let followed = |more: &[u8]| parse(&[data, more].concat());
    match outcome {
        Err(Malformed) => {
            for more in [&b"\r\n"[..], b"\0\0\0\0", b"1 2\r\nGET / HTTP/1.1\r\n"] {
                assert_eq!(followed(more), Err(Malformed), "{}", data.escape_ascii());
            }
        }
        Ok(Parsed::Partial) => assert!(data.len() < LONGEST, "it never ends"),
        Ok(Parsed::Whole { source, length }) => {
            assert!(length <= data.len() && length <= LONGEST);
            assert!(source.is_none_or(|source| source == source.to_canonical()));
            assert_eq!(
                parse(&data[..length]),
                outcome,
                "what follows is no part of it"
            );
            assert_eq!(followed(b"\r\n\0x"), outcome);
            for end in (0..length).rev().take(24) {
                let part = parse(&data[..end]);
                assert_eq!(
                    part,
                    Ok(Parsed::Partial),
                    "cut at {end}: {}",
                    data.escape_ascii()
                );
            }
        }
    }
}
