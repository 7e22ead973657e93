//! Who a request is from: the one credential it presents (CONTRACT section 2, THREATS J12, C1).
//!
//! **Invariants:** an `Authorization` header decides alone; a credential that is present and bad is
//! never read as "none"; nothing is read from the query; what else a header may say is a backend's
//! to read.

use std::{io::Write, net::IpAddr, sync::Arc};

use http::{StatusCode, header};
use omnigent_plugin::{Identity, Verdict};

use super::{
    ApiError, cookies,
    peer::Peer,
    request::{Authority, Head, Principal},
};
use crate::{
    account::{AccountError, IdentityKey},
    app::App,
    audit::{Entry, Event},
    backend::{CallError, Header, Instance, Presented, Reader},
    clock::Timestamp,
    login::SignInError,
    token::{AccountState, Refusal, TokenUse},
    trace::Trace,
};

/// Why a good token is none for this request.
pub(super) const OUTSIDE: &str = "outside its scope";

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

/// What a look at a request comes to.
pub(super) enum Looked {
    /// It is decided.
    Decided(Credential),
    /// The store must be asked.
    Unknown(Box<Unknown>),
}

/// An identity of which it is not known whom it leads to.
pub(super) struct Unknown {
    backend: String,
    identity: Identity,
}

/// Who the request is from, as [`look`] has it, where the store and other threads may be waited for.
pub(super) async fn authenticate(app: &App, head: &Arc<Head>, now: Timestamp) -> Credential {
    if let Some(credential) = plain(app, head, now) {
        return credential;
    }
    for backend in app.backends.request() {
        let mut verdict = present(head, |presented| backend.identify(presented));
        if matches!(verdict, Err(CallError::Busy)) {
            let head = Arc::clone(head);
            let read = move |reader: &Reader| present(&head, |presented| reader.read(presented));
            verdict = backend.identify_aside(read).await;
        }
        match asserted(app, backend, head, verdict, now) {
            None => {}
            Some(Looked::Decided(credential)) => return credential,
            Some(Looked::Unknown(unknown)) => return admit(app, head, unknown, now).await,
        }
    }
    cookie(app, head, now)
}

/// Looks at what the request presents. In order: an `Authorization` header, which decides alone;
/// what a backend reads from the request; the cookie. Nothing when a backend must be asked, and not
/// on this thread.
pub(super) fn look(app: &App, head: &Head, now: Timestamp) -> Option<Looked> {
    if let Some(credential) = plain(app, head, now) {
        return Some(Looked::Decided(credential));
    }
    for backend in app.backends.request() {
        let verdict = Trace::during(head.trace(app), || {
            present(head, |presented| backend.identify(presented))
        });
        if matches!(verdict, Err(CallError::Busy)) {
            return None;
        }
        let looked = asserted(app, backend, head, verdict, now);
        if looked.is_some() {
            return looked;
        }
    }
    Some(Looked::Decided(cookie(app, head, now)))
}

/// Who the request is from without asking a backend, where that is decided.
fn plain(app: &App, head: &Head, now: Timestamp) -> Option<Credential> {
    if head.peer == Peer::Operator {
        Some(Credential::Good(everybody(app, Authority::Operator)))
    } else if app.settings.is_no_auth {
        Some(Credential::Good(everybody(app, Authority::NoAuth)))
    } else {
        authorization(app, head, now)
    }
}

fn cookie(app: &App, head: &Head, now: Timestamp) -> Credential {
    match cookies::find(&head.headers, app.settings.cookie_name) {
        cookies::Found::None => Credential::None,
        cookies::Found::Several => Credential::Bad("two session cookies"),
        cookies::Found::One(token) => verify(app, head, token, true, now),
    }
}

fn authorization(app: &App, head: &Head, now: Timestamp) -> Option<Credential> {
    let mut lines = head.headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return Some(Credential::Bad("two Authorization headers"));
    }
    Some(match bearer(line.as_bytes()) {
        Some(token) => verify(app, head, token, false, now),
        None => Credential::Bad("not a bearer token"),
    })
}

/// Who the request is from by what this backend read of it; nothing when it read nothing.
fn asserted(
    app: &App,
    backend: &Instance,
    head: &Head,
    verdict: Result<Verdict, CallError>,
    now: Timestamp,
) -> Option<Looked> {
    match verdict {
        Ok(Verdict::NotMine) => None,
        Ok(Verdict::Accepted(identity)) => Some(match app.desk.known(backend, &identity) {
            Some(account) => Looked::Decided(good(backend.name(), identity, account)),
            None => Looked::Unknown(Box::new(Unknown {
                backend: backend.name().to_owned(),
                identity,
            })),
        }),
        Ok(Verdict::Denied(reason)) => {
            let forged = Entry::new(Event::RequestForged).reason("identity headers");
            let forged = forged.backend(backend.name());
            app.live.audit.report(head.scene(now), forged);
            // What a plugin says is for the log alone.
            tracing::warn!(
                request_id = %head.id, backend = backend.name(), address = %head.client, reason,
                "refused: the request looks forged"
            );
            let text = "the identity of this request is not acceptable".into();
            let refused = Credential::Refused(StatusCode::BAD_REQUEST, text);
            Some(Looked::Decided(refused))
        }
        Err(cause) => {
            tracing::warn!(request_id = %head.id, backend = backend.name(), %cause, "cannot tell who a request is from");
            Some(Looked::Decided(unavailable()))
        }
    }
}

fn unavailable() -> Credential {
    let text = "this way of signing in is unavailable; try again later".into();
    Credential::Refused(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Asks the store whom the identity leads to.
pub(super) async fn admit(
    app: &App,
    head: &Head,
    unknown: Box<Unknown>,
    now: Timestamp,
) -> Credential {
    let Unknown { backend, identity } = *unknown;
    let Some(instance) = app.backends.iter().find(|known| known.name() == backend) else {
        return unavailable();
    };
    match app
        .desk
        .recognise(instance, &identity, head.scene(now))
        .await
    {
        Ok(account) => good(&backend, identity, account),
        // CONTRACT section 7: a reserved name is no identity.
        Err(error) => {
            let denied = Entry::new(Event::IdentityDenied).reason(error.word());
            let denied = denied.backend(&backend);
            app.live.audit.report(head.scene(now), denied);
            match error {
                SignInError::Account(AccountError::Reserved(_)) => return Credential::None,
                SignInError::Denied => return Credential::Bad("account disabled"),
                _ => {}
            }
            // Nobody is called that: it looks forged.
            let is_no_name = matches!(error, SignInError::Account(AccountError::Name(_)));
            let error = ApiError::from(error);
            let cause = error.cause().unwrap_or_else(|| error.text());
            tracing::info!(request_id = %head.id, backend, address = %head.client, cause, "an identity was not admitted");
            let status = if is_no_name {
                StatusCode::BAD_REQUEST
            } else {
                error.status()
            };
            Credential::Refused(status, error.text().to_owned())
        }
    }
}

fn good(backend: &str, identity: Identity, account: Arc<AccountState>) -> Credential {
    Credential::Good(Principal {
        authority: Authority::Asserted(
            account,
            Arc::new(IdentityKey {
                backend: backend.to_owned(),
                issuer: identity.issuer.unwrap_or_default(),
                subject: identity.subject,
            }),
        ),
        is_ambient: true,
    })
}

/// The request as backends see it.
fn present<T>(head: &Head, to: impl FnOnce(&Presented<'_>) -> T) -> T {
    let headers: Vec<Header<'_>> = head
        .headers
        .iter()
        .map(|(name, value)| Header::new(name.as_str(), value.as_bytes()))
        .collect();
    let mut text = [0; 64];
    let peer = match head.peer {
        Peer::Tcp(address) | Peer::Balancer(address) => format_address(&mut text, address),
        Peer::Socket | Peer::Operator => "",
    };
    to(&Presented {
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

fn everybody(app: &App, authority: fn(Arc<AccountState>) -> Authority) -> Principal {
    Principal {
        authority: authority(Arc::clone(&app.local)),
        is_ambient: false,
    }
}

/// The token of `Bearer <token>`, the scheme in any case (RFC 9110 section 11.1). Two of them in one
/// line are to the verifier one that is malformed.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

fn verify(app: &App, head: &Head, token: &[u8], is_ambient: bool, now: Timestamp) -> Credential {
    let token = match app.verifier.verify(token, now) {
        Ok(token) => token,
        Err(refusal) => return Credential::Bad(words(refusal)),
    };
    if let Some(scopes) = token.scope
        && !scopes.permits(head.method.as_str(), head.uri.path())
    {
        return Credential::Bad(OUTSIDE);
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
    Credential::Good(Principal {
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
    fn what_is_no_bearer_token_is_none() {
        for line in [
            "",
            "Bearer",
            "Bearer ",
            "Bearerabc",
            "Basic abc",
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
                prop_assert!(!token.is_empty());
            }
        }
    }
}
