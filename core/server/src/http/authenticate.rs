//! Who a request is from: the one credential it presents (CONTRACT section 2, THREATS J12, C1).
//!
//! **Invariants:** an `Authorization` header decides alone; a credential that is present and bad is
//! never read as "none"; nothing is read from the query or from any other header.

use std::sync::Arc;

use http::header;

use super::{
    cookies,
    request::{Authority, Head, Principal},
};
use crate::{app::App, clock::Timestamp, token::Refusal};

/// What a request presented.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// Nothing.
    None,
    /// Something that is no good; why, for the log.
    Bad(&'static str),
    /// Something good.
    Good(Principal),
}

/// Looks at what the request presents.
pub(super) fn authenticate(app: &App, head: &Head, now: Timestamp) -> Credential {
    if head.peer.is_none() {
        return Credential::Good(everybody(app, Authority::Operator));
    }
    if app.settings.is_no_auth {
        return Credential::Good(everybody(app, Authority::NoAuth));
    }
    let mut lines = head.headers.get_all(header::AUTHORIZATION).iter();
    if let Some(line) = lines.next() {
        if lines.next().is_some() {
            return Credential::Bad("two Authorization headers");
        }
        return match bearer(line.as_bytes()) {
            Some(token) => verify(app, head, token, false, now),
            None => Credential::Bad("not a bearer token"),
        };
    }
    match cookies::session(&head.headers, app.settings.cookie_name) {
        cookies::Found::None => Credential::None,
        cookies::Found::Several => Credential::Bad("two session cookies"),
        cookies::Found::One(token) => verify(app, head, token, true, now),
    }
}

fn everybody(app: &App, authority: Authority) -> Principal {
    Principal {
        account: Arc::clone(&app.local),
        authority,
        via_cookie: false,
    }
}

/// The token of `Bearer <token>`, the scheme in any case (RFC 9110 section 11.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    let token = token.trim_ascii();
    let is_one = !token.is_empty() && !token.contains(&b' ') && !token.contains(&b',');
    (scheme.eq_ignore_ascii_case(b"bearer ") && is_one).then_some(token)
}

fn verify(app: &App, head: &Head, token: &[u8], via_cookie: bool, now: Timestamp) -> Credential {
    let token = match app.verifier.verify(token, now) {
        Ok(token) => token,
        Err(refusal) => return Credential::Bad(words(refusal)),
    };
    if let Some(scopes) = token.scope
        && !scopes.permits(head.method.as_str(), head.uri.path())
    {
        return Credential::Bad("outside its scope");
    }
    app.note_use(&token, head.address(), now);
    let account = Arc::clone(token.account());
    Credential::Good(Principal {
        account,
        authority: Authority::Token(token),
        via_cookie,
    })
}

/// A refusal in words that live for ever.
const fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed token",
        Refusal::Algorithm => "wrong algorithm",
        Refusal::UnknownKey => "unknown key",
        Refusal::Signature => "bad signature",
        Refusal::Expired => "expired",
        Refusal::NotYetValid => "not valid yet",
        Refusal::Issuer => "wrong issuer",
        Refusal::Audience => "wrong audience",
        Refusal::Claims => "bad claims",
        Refusal::Revoked => "revoked",
        Refusal::NoAccount => "no such account",
        Refusal::Disabled => "account disabled",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::bearer;

    #[test]
    fn the_scheme_is_read_in_any_case_and_the_token_as_it_is() {
        for line in [
            "Bearer abc",
            "bearer abc",
            "BEARER abc",
            "Bearer  abc",
            "Bearer abc ",
        ] {
            assert_eq!(bearer(line.as_bytes()), Some(&b"abc"[..]), "{line}");
        }
    }

    #[test]
    fn what_is_no_single_bearer_token_is_none() {
        for line in [
            "",
            "Bearer",
            "Bearer ",
            "Bearerabc",
            "Basic abc",
            "Bearer a b",
            "Bearer a,Bearer b",
            " Bearer abc",
        ] {
            assert_eq!(bearer(line.as_bytes()), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_give_a_token_that_was_not_there(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(token) = bearer(&line) {
                prop_assert!(line.len() >= 7 + token.len());
                prop_assert!(!token.contains(&b' ') && !token.is_empty());
            }
        }
    }
}
