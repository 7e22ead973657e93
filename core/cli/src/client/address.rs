//! The address of a server, as a person writes it and as logins are stored under it.
//!
//! **Invariant:** an [`Address`] is https, or http to this machine; it has no user name, query or
//! fragment, and no slash at its end.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use crate::failure::Failure;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// Reads what a person wrote: without a scheme it is https (http for this machine), and what
    /// they copied too much of from the browser is cut off.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let shown = crate::output::plain(text.trim());
            Failure::Usage(format!("{shown} is not the address of a server: {why}"))
        };
        let text = text.trim();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            let probe = Url::parse(&format!("http://{text}"));
            let is_here = probe.is_ok_and(|url| is_loopback(&url));
            format!("{}://{text}", if is_here { "http" } else { "https" })
        };
        let mut url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it names a user; a credential does not belong there"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(wrong(
                "everybody on the way could read the token; use https (http is for this machine)",
            ));
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().to_owned();
        let path = path.find("/c/").map_or(path.as_str(), |at| &path[..at]);
        url.set_path(path.trim_end_matches('/'));
        Ok(Self(url))
    }

    /// The key logins are stored under: the address without a slash at its end.
    pub(crate) fn key(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The address of a path on this server, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.key())
    }

    /// Whether it is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether two addresses lead to one scheme, host and port.
    pub(crate) fn is_same_origin(&self, other: &Url) -> bool {
        self.0.origin() == other.origin()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_people_write_is_one_key() {
        for (written, key) in [
            ("auth.example.com", "https://auth.example.com"),
            ("https://Auth.Example.com:443/", "https://auth.example.com"),
            (
                "https://auth.example.com/c/abc123",
                "https://auth.example.com",
            ),
            (
                "https://h.example/api/2.0/omnigent/",
                "https://h.example/api/2.0/omnigent",
            ),
            ("localhost:6767", "http://localhost:6767"),
            ("127.0.0.1:6767/", "http://127.0.0.1:6767"),
            ("[::1]:1", "http://[::1]:1"),
            ("http://h.localhost:1/?o=1#x", "http://h.localhost:1"),
            ("  https://h.example  ", "https://h.example"),
            // A look-alike shows what it is.
            (
                "https://аuth.example.com",
                "https://xn--uth-5cd.example.com",
            ),
        ] {
            assert_eq!(Address::parse(written).unwrap().key(), key, "{written}");
        }
    }

    #[test]
    fn what_would_leak_a_token_is_refused() {
        for written in [
            "http://auth.example.com",
            "http://10.0.0.1:6767",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "https://admin:secret@auth.example.com",
            "https://auth.example.com@evil.example",
            "ftp://auth.example.com",
            "file:///etc/passwd",
            "",
            "https://",
            "not an address",
        ] {
            let refused = Address::parse(written).unwrap_err();
            assert_eq!(refused.code(), 2, "{written}");
        }
        let refused = Address::parse("x\u{1b}[2J y").unwrap_err().to_string();
        assert!(!refused.contains('\u{1b}'), "{refused}");
    }
}
