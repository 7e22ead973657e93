//! What a request is for, before anybody asks who answers that: one host and one path, each with one
//! reading only.

use std::net::Ipv6Addr;

use http::{Method, StatusCode, header};

use super::{ApiError, request::Head, route::is_decodable};

/// What is refused before anybody asks what it is for (RFC 9112 section 3.2, THREATS T3, T5).
pub(super) fn check(head: &Head) -> Result<(), ApiError> {
    let bad_request = |text| Err(ApiError::detail(StatusCode::BAD_REQUEST, text));
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return bad_request("exactly one Host header is required");
    };
    if !is_host(host.as_bytes()) {
        return bad_request("the Host header is not a host");
    }
    // The target's own host is the one that counts (section 3.2.2): there is to be only one.
    let target = head.uri.authority().map(|authority| authority.as_str());
    if head.method != Method::CONNECT
        && target.is_some_and(|target| !host.as_bytes().eq_ignore_ascii_case(target.as_bytes()))
    {
        return bad_request("the target and the Host header name two hosts");
    }
    if head.method == Method::CONNECT {
        return Err(ApiError::method_not_allowed(String::new()));
    }
    let path = head.uri.path();
    if !is_plain(path) {
        return Err(ApiError::detail(StatusCode::NOT_FOUND, "Not Found"));
    }
    Ok(())
}

/// Whether `value` is a name or an address, perhaps with a port; or nothing at all, which RFC 9112
/// section 3.2 allows for.
fn is_host(value: &[u8]) -> bool {
    const IN_NAME: [bool; 256] = letters_digits_and(b"-._~");
    let (is_good, rest) = if value.first() == Some(&b'[') {
        let end = value.iter().position(|b| *b == b']');
        let Some((address, rest)) = end.map(|end| (&value[1..end], &value[end + 1..])) else {
            return false;
        };
        let address = std::str::from_utf8(address).unwrap_or_default();
        (address.parse::<Ipv6Addr>().is_ok(), rest)
    } else {
        let end = value.iter().position(|b| !IN_NAME[usize::from(*b)]);
        (true, &value[end.unwrap_or(value.len())..])
    };
    let is_port = |port: &[u8]| {
        let number = port.iter().try_fold(0_u32, |number, b| {
            let number = number * 10 + char::from(*b).to_digit(10)?;
            (number <= u32::from(u16::MAX)).then_some(number)
        });
        number.is_some()
    };
    is_good && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// For each byte, whether it is a letter, a digit or one of these.
const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0_u8;
    while at < 128 {
        table[at as usize] = at.is_ascii_alphanumeric();
        at += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
}

/// Whether a path has only one reading: no part of it empty (but the last) or made of one dot or
/// two. What may be encoded is `route`'s to say.
pub(super) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    const IN_PART: [bool; 256] = letters_digits_and(b"-_~@+:%");
    let (mut length, mut dots) = (0_usize, 0_usize);
    let is_step = |length: usize, dots: usize| length == dots && (1..=2).contains(&length);
    for byte in rest.bytes() {
        match byte {
            b'/' if length == 0 || is_step(length, dots) => return false,
            b'/' => (length, dots) = (0, 0),
            b'.' => (length, dots) = (length + 1, dots + 1),
            byte if IN_PART[usize::from(byte)] => length += 1,
            _ => return false,
        }
    }
    !is_step(length, dots) && is_decodable(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_host, is_plain};

    #[test]
    fn a_host_is_a_name_or_an_address_perhaps_with_a_port() {
        for host in [
            "",
            "x",
            "auth.example.com",
            "a-b_c~d",
            "127.0.0.1:6767",
            "x:",
            "x:65535",
            "x:00080",
            "[::1]",
            "[::1]:80",
            "[::1]:",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "a@b",
            "x:y",
            "x:65536",
            "x:-1",
            "x:+1",
            "x:1:2",
            "x:99999999999999999999",
            "[::1",
            "::1",
            "[x]",
            "[::1]x",
            "[::1]x:80",
            "[]",
            "a,b",
            "a\u{e9}",
            "[\u{e9}]",
            "a%20",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        assert!(!is_host(b"a\xff") && !is_host(b"[\xff]"));
    }

    #[test]
    fn paths_with_one_reading_are_plain_and_others_are_not() {
        for path in [
            "/",
            "/v1/me",
            "/v1/me/",
            "/a.b/...",
            "/..a/.b",
            "/a-_~@+:9",
            "/a%40b%2B%2bc",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "", "v1", "//", "/a//b", "//a", "/.", "/..", "/./a", "/a/../b", "/a/..", "/a/.",
            "/%2f", "/%", "/%4", "/%2e", "/%00", "/%2540", "/a b", "/a?b", "/\u{e9}", "/a\\b",
            "/a;b", "*",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn one_pass_says_what_the_rules_say(path in "([/.a%~ -]|%40|%2[bBfe]){0,12}|.{0,6}") {
            let rules = path.starts_with('/')
                && !path.contains("//")
                && !path.split('/').any(|part| part == "." || part == "..")
                && ["%40", "%2B", "%2b"]
                    .iter()
                    .fold(path.clone(), |path, code| path.replace(code, "x"))
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"/-._~@+:".contains(&b));
            prop_assert_eq!(is_plain(&path), rules);
        }
    }
}
