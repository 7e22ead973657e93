//! Where a request that writes comes from (THREATS section 5, G6).
//!
//! **Invariants:** a browser's own authority (a cookie, or no-auth mode) writes only for a page of
//! ours; a foreign `Origin` never writes; in no-auth mode a foreign `Host` gets nothing at all.

use http::{Method, StatusCode, header};

use super::{
    ApiError, Settings,
    authenticate::Credential,
    peer::Peer,
    request::{Authority, Head},
};

/// The origin the Python client sends.
const INTERNAL: &str = "omnigent://internal";

/// Checks who made the browser (or program) send this.
pub(super) fn check(
    settings: &Settings,
    head: &Head,
    credential: &Credential,
) -> Result<(), ApiError> {
    if head.peer == Peer::Operator || head.method == Method::GET {
        return Ok(());
    }
    let mut origins = head.headers.get_all(header::ORIGIN).iter();
    if let Some(origin) = origins.next() {
        let is_own = origins.next().is_none()
            && origin
                .to_str()
                .is_ok_and(|origin| is_own(settings, head, origin));
        return if is_own {
            Ok(())
        } else {
            Err(forbidden("foreign Origin"))
        };
    }
    let site = head.header("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(forbidden("foreign Origin"));
    }
    let is_ambient = match credential {
        Credential::Good(principal) => principal.is_ambient,
        _ => false,
    };
    if is_ambient && site != Some("same-origin") {
        return Err(forbidden("missing Origin"));
    }
    Ok(())
}

/// In no-auth mode, checks that the page that made the browser send this is not one whose name
/// was bound to our address (DNS rebinding).
pub(super) fn check_host(
    settings: &Settings,
    head: &Head,
    credential: &Credential,
) -> Result<(), ApiError> {
    let is_no_auth =
        matches!(credential, Credential::Good(p) if matches!(p.authority, Authority::NoAuth(_)));
    if !is_no_auth || settings.is_open_to_network {
        return Ok(());
    }
    let host = head.header(header::HOST).unwrap_or_default();
    if is_loopback(host) || host == settings.authority {
        Ok(())
    } else {
        Err(ApiError::detail(
            StatusCode::FORBIDDEN,
            "this Host is not served in no-auth mode",
        ))
    }
}

fn is_own(settings: &Settings, head: &Head, origin: &str) -> bool {
    if origin == INTERNAL || origin == settings.base_url {
        return true;
    }
    is_here(head.header(header::HOST).unwrap_or_default(), origin)
}

/// Whether `origin` is this server's under another name of this machine, with TLS or without: one
/// port speaks either.
fn is_here(host: &str, origin: &str) -> bool {
    let schemes = ["http://", "https://"];
    let mut origins = schemes
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme));
    is_loopback(host) && origins.any(|origin| origin == host)
}

/// Whether `host`, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
        || name == "[::1]"
}

fn forbidden(text: &str) -> ApiError {
    ApiError::detail(StatusCode::FORBIDDEN, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_names_are_ours_with_and_without_tls() {
        for origin in ["http://localhost:6767", "https://localhost:6767"] {
            assert!(is_here("localhost:6767", origin), "{origin}");
        }
        for (host, origin) in [
            ("localhost:6767", "https://localhost"),
            ("localhost:6767", "https://localhost:6768"),
            ("localhost:6767", "https://127.0.0.1:6767"),
            ("localhost:6767", "ftp://localhost:6767"),
            ("localhost:6767", "http://https://localhost:6767"),
            ("localhost:6767", "null"),
            ("evil.example", "https://evil.example"),
        ] {
            assert!(!is_here(host, origin), "{host} {origin}");
        }
    }

    #[test]
    fn only_this_machine_is_this_machine() {
        for host in [
            "localhost",
            "localhost:6767",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]",
            "[::1]:80",
            "LOCALHOST",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "127.0.0.1:80:80",
            "0x7f.1",
            "128.0.0.1",
            "::1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
