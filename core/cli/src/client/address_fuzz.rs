//! Addresses under fuzzing.

#![allow(clippy::panic, reason = "a broken promise panics")]

use super::Address;

/// What is an address is safe to send a token to, and stays what it is.
pub fn cli_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(address) = Address::parse(text) else {
        return;
    };
    let key = address.key();
    let Ok(url) = url::Url::parse(key) else {
        panic!("{key} is no URL");
    };
    let is_here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => panic!("{key} has no host"),
    };
    assert!(
        url.scheme() == "https" || (url.scheme() == "http" && is_here),
        "{key}"
    );
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{key}"
    );
    assert!(url.query().is_none() && url.fragment().is_none(), "{key}");
    assert!(!key.ends_with('/'), "{key}");
    let again = Address::parse(key);
    assert_eq!(again.ok().as_ref(), Some(&address), "{text:?}");
}
