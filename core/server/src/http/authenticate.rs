//! Who a request is from: the one credential it presents (CONTRACT section 2, THREATS J12, C1).
//!
//! **Invariants:** an `Authorization` header decides alone; a credential that is present and bad is
//! never read as "none"; nothing is read from the query; what else a header may say is a backend's
//! to read.

use std::{io::Write, net::IpAddr, sync::Arc};

use http::{StatusCode, header};
use omnigent_plugin::Verdict;

use super::{
    ApiError, cookies,
    peer::Peer,
    request::{Authority, Head, Principal},
};
use crate::{
    account::{AccountError, IdentityKey},
    app::App,
    backend::{CallError, Header, Instance, Presented},
    clock::Timestamp,
    login::SignInError,
    token::{Refusal, TokenUse},
};

/// What a request presented.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// Nothing.
    None,
    /// Something that is no good; why, for the log.
    Bad(&'static str),
    /// An identity that is not let in, or cannot be told: status and text.
    Refused(StatusCode, String),
    /// Something good.
    Good(Principal),
}

/// Looks at what the request presents. In order: an `Authorization` header, which decides alone;
/// what a backend reads from the request; the cookie.
pub(super) async fn authenticate(app: &App, head: &Head, now: Timestamp) -> Credential {
    if head.peer == Peer::Operator {
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
    for backend in app.backends.request() {
        if let Some(credential) = asserted(app, backend, head, now).await {
            return credential;
        }
    }
    match cookies::find(&head.headers, app.settings.cookie_name) {
        cookies::Found::None => Credential::None,
        cookies::Found::Several => Credential::Bad("two session cookies"),
        cookies::Found::One(token) => verify(app, head, token, true, now),
    }
}

/// Who the request is from by what this backend reads of it; nothing when it reads nothing.
async fn asserted(
    app: &App,
    backend: &Instance,
    head: &Head,
    now: Timestamp,
) -> Option<Credential> {
    let identity = match identify(backend, head) {
        Ok(Verdict::NotMine) => return None,
        Ok(Verdict::Accepted(identity)) => identity,
        Ok(Verdict::Denied(reason)) => {
            tracing::warn!(
                target: "audit",
                request_id = %head.id, backend = backend.name(), address = %head.client, reason,
                "refused: the request looks forged"
            );
            let text = "the identity of this request is not acceptable";
            return Some(Credential::Refused(StatusCode::BAD_REQUEST, text.into()));
        }
        Err(cause) => {
            tracing::warn!(request_id = %head.id, backend = backend.name(), %cause, "cannot tell who a request is from");
            let text = "this way of signing in is unavailable; try again later";
            return Some(Credential::Refused(
                StatusCode::SERVICE_UNAVAILABLE,
                text.into(),
            ));
        }
    };
    Some(match app.desk.recognise(backend, &identity, now).await {
        Ok(account) => Credential::Good(Principal {
            account,
            authority: Authority::Asserted(Arc::new(IdentityKey {
                backend: backend.name().to_owned(),
                issuer: identity.issuer.unwrap_or_default(),
                subject: identity.subject,
            })),
            is_ambient: true,
        }),
        // CONTRACT section 7: a reserved name is no identity.
        Err(SignInError::Account(AccountError::Reserved(_))) => Credential::None,
        Err(SignInError::Denied) => Credential::Bad("account disabled"),
        Err(error) => {
            // Nobody is called that: it looks forged.
            let is_no_name = matches!(error, SignInError::Account(AccountError::Name(_)));
            let error = ApiError::from(error);
            let cause = error.cause().unwrap_or_else(|| error.text());
            tracing::info!(target: "audit", request_id = %head.id, backend = backend.name(), address = %head.client, cause, "an identity was not admitted");
            let status = if is_no_name {
                StatusCode::BAD_REQUEST
            } else {
                error.status()
            };
            Credential::Refused(status, error.text().to_owned())
        }
    })
}

fn identify(backend: &Instance, head: &Head) -> Result<Verdict, CallError> {
    let headers: Vec<Header<'_>> = head
        .headers
        .iter()
        .map(|(name, value)| Header::new(name.as_str(), value.as_bytes()))
        .collect();
    let mut text = [0; 64];
    let peer = match head.peer {
        Peer::Tcp(address) => format_address(&mut text, address),
        Peer::Socket | Peer::Operator => "",
    };
    backend.identify(&Presented {
        method: head.method.as_str(),
        path: head.uri.path(),
        peer,
        headers: &headers,
        is_from_trusted_proxy: head.is_from_trusted_proxy,
        client_certificate: None,
    })
}

/// The address as text, without allocating.
fn format_address(buffer: &mut [u8; 64], address: IpAddr) -> &str {
    let mut cursor = std::io::Cursor::new(&mut buffer[..]);
    let written = write!(cursor, "{address}").map(|()| cursor.position());
    let end = written.ok().and_then(|end| usize::try_from(end).ok());
    std::str::from_utf8(&buffer[..end.unwrap_or(0)]).unwrap_or_default()
}

fn everybody(app: &App, authority: Authority) -> Principal {
    Principal {
        account: Arc::clone(&app.local),
        authority,
        is_ambient: false,
    }
}

/// The token of `Bearer <token>`, the scheme in any case (RFC 9110 section 11.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    let token = token.trim_ascii();
    let is_one = !token.is_empty() && !token.contains(&b' ') && !token.contains(&b',');
    (scheme.eq_ignore_ascii_case(b"bearer ") && is_one).then_some(token)
}

fn verify(app: &App, head: &Head, token: &[u8], is_ambient: bool, now: Timestamp) -> Credential {
    let token = match app.verifier.verify(token, now) {
        Ok(token) => token,
        Err(refusal) => return Credential::Bad(words(refusal)),
    };
    if let Some(scopes) = token.scope
        && !scopes.permits(head.method.as_str(), head.uri.path())
    {
        return Credential::Bad("outside its scope");
    }
    if token.token_use == TokenUse::Api {
        // An API token is for programs: it does not become a browser's (THREATS A1).
        if is_ambient {
            return Credential::Bad("an API token in a cookie");
        }
        let ends = [token.expires_at, app.live.retiring.get(&token.sid)];
        if let Some(at) = ends.into_iter().flatten().min()
            && app.api_policy.announces(at, now)
        {
            let _ = head.expiry_notice.set(at);
        }
    }
    app.note_use(&token, head.address(), now);
    let account = Arc::clone(token.account());
    Credential::Good(Principal {
        account,
        authority: Authority::Token(token),
        is_ambient,
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
