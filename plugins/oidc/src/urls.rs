//! Which of a provider's URLs may be used.

use url::{Host, Url};

/// The URL of an issuer, or of another thing an operator names: `https`, or `http` on a loopback
/// address; no user, query or fragment (OpenID Connect Discovery 1.0 section 2).
///
/// # Errors
/// What is wrong with it, to follow the key's name.
pub(crate) fn provider(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("is no URL: {text:?}"))?;
    check(&url, is_loopback(&url))?;
    if url.query().is_some() {
        return Err("must have no query".into());
    }
    Ok(url)
}

/// An endpoint out of a provider's metadata: as above, but `http` only if the issuer itself is on a
/// loopback address, and a query is fine (RFC 6749 section 3.1).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn endpoint(text: &str, issuer: &Url) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is no URL".to_owned())?;
    check(&url, is_loopback(issuer) && is_loopback(&url))?;
    Ok(url)
}

fn check(url: &Url, may_be_plain: bool) -> Result<(), String> {
    match url.scheme() {
        "https" => {}
        "http" if may_be_plain => {}
        _ => return Err("must be https (http only for a provider on a loopback address)".into()),
    }
    if !url.has_host() {
        return Err("must name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    if url.fragment().is_some() {
        return Err("must have no fragment".into());
    }
    Ok(())
}

/// Whether the URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
