//! The session cookie, the one that binds a sign-in to a browser, and the one by which a browser is
//! familiar (CONTRACT sections 2 and 6, RFC 6265bis).

use http::{HeaderMap, HeaderValue, header};

use super::{Settings, response::Response};
use crate::login::{SignedIn, familiar};

/// What was found of a cookie.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// It is not there.
    None,
    /// It is there once.
    One(&'a [u8]),
    /// It is there several times: somebody has planted one.
    Several,
}

/// Looks for the cookie called `name`.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let mut found = Found::None;
    for pair in pairs {
        let value = pair
            .trim_ascii()
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="));
        match (value, &found) {
            (Some(value), Found::None) => found = Found::One(value),
            (Some(_), _) => return Found::Several,
            (None, _) => {}
        }
    }
    found
}

/// Gives the browser the session cookie, and what it is to keep of the accounts it signed in to.
pub(super) fn set(response: &mut Response, settings: &Settings, login: &SignedIn) {
    let (name, token) = (settings.cookie_name, login.token.expose());
    append(response, settings, name, token, login.expires_in);
    if let Some(devices) = &login.devices {
        let name = devices_name(settings);
        append(response, settings, name, devices, familiar::LASTS_SECONDS);
    }
}

/// The name of the cookie that says which accounts a browser signed in to.
const fn devices_name(settings: &Settings) -> &'static str {
    if settings.is_secure() {
        "__Host-ap_devices"
    } else {
        "ap_devices"
    }
}

/// The marks of accounts this browser signed in to, as it sent them: not checked yet.
pub(super) fn devices(headers: &HeaderMap, settings: &Settings) -> Option<String> {
    match find(headers, devices_name(settings)) {
        Found::One(value) if value.len() <= 512 => {
            std::str::from_utf8(value).ok().map(str::to_owned)
        }
        _ => None,
    }
}

/// Takes it away.
pub(super) fn clear(response: &mut Response, settings: &Settings) {
    append(response, settings, settings.cookie_name, "", 0);
}

/// Seconds a browser may be away at an issuer.
const AWAY: u64 = 300;

/// The name of the cookie that binds a browser to its sign-ins under way.
pub(super) const fn browser_name(settings: &Settings) -> &'static str {
    if settings.is_secure() {
        "__Host-ap_auth_state"
    } else {
        "ap_auth_state"
    }
}

/// What binds this browser to its sign-ins: what it has, if that is one of ours.
pub(super) fn browser(headers: &HeaderMap, settings: &Settings) -> Option<String> {
    match find(headers, browser_name(settings)) {
        Found::One(value) => {
            let value = std::str::from_utf8(value).ok()?;
            let is_ours = value.len() == 43
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            is_ours.then(|| value.to_owned())
        }
        Found::None | Found::Several => None,
    }
}

/// Binds the browser.
pub(super) fn bind(response: &mut Response, settings: &Settings, browser: &str) {
    append(response, settings, browser_name(settings), browser, AWAY);
}

fn append(response: &mut Response, settings: &Settings, name: &str, value: &str, max_age: u64) {
    let secure = if settings.is_secure() { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; HttpOnly; Max-Age={max_age}; Path=/; SameSite=lax{secure}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&'static str]) -> Option<Result<String, ()>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        match find(&headers, "ap_session") {
            Found::None => None,
            Found::One(value) => Some(Ok(String::from_utf8_lossy(value).into_owned())),
            Found::Several => Some(Err(())),
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        assert_eq!(found(&["a=b; ap_session=x; c=d"]), Some(Ok("x".into())));
        assert_eq!(found(&["a=b", "ap_session=x"]), Some(Ok("x".into())));
        assert_eq!(found(&["ap_session="]), Some(Ok(String::new())));
        assert_eq!(
            found(&["ap_session2=x; xap_session=y; AP_SESSION=z; __Host-ap_session=w"]),
            None
        );
    }

    #[test]
    fn two_of_the_name_are_told() {
        assert_eq!(found(&["ap_session=x; ap_session=x"]), Some(Err(())));
        assert_eq!(found(&["ap_session=x", "ap_session=y"]), Some(Err(())));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(1_u8..=255, 0..200)) {
            if let Ok(line) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::new();
                headers.insert(header::COOKIE, line);
                let _ = find(&headers, "ap_session");
            }
        }
    }
}
