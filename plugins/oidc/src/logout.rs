//! Signing out: where people go, and what a provider says has ended.

use std::collections::BTreeMap;

use omnigent_plugin::{Ended, LogoutTarget};
use openidconnect::{ClientId, EndSessionUrl, LogoutRequest, PostLogoutRedirectUrl};
use parking_lot::Mutex;
use serde_json::Value;
use url::Url;

use crate::{discovery::Metadata, id_token, json, json::Object};

/// The one event of a logout token (Back-Channel Logout 1.0 section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be, in seconds. Providers give them two minutes.
const OLDEST: i64 = 600;
/// For how long a token may come again, in seconds: its sender does not know that it was heard when the
/// server could not write down what it ends.
pub(crate) const RETRIED: i64 = 120;
/// The most tokens that are remembered.
const MOST: usize = 4096;

/// Where to send who signs out (RP-Initiated Logout 1.0 section 2): to the provider if it wants to
/// know, else where the operator says.
pub(crate) fn target(
    metadata: Option<&Metadata>,
    client_id: &str,
    configured: Option<&Url>,
    public_url: &str,
) -> LogoutTarget {
    let at_provider = metadata.and_then(|metadata| metadata.end_session_endpoint.clone());
    let Some(at_provider) = at_provider else {
        return LogoutTarget {
            url: configured.map(ToString::to_string),
        };
    };
    let mut request = LogoutRequest::from(EndSessionUrl::from_url(at_provider))
        .set_client_id(ClientId::new(client_id.to_owned()));
    let back = configured.map_or(public_url, Url::as_str);
    if let Ok(back) = PostLogoutRedirectUrl::new(back.to_owned()) {
        request = request.set_post_logout_redirect_uri(back);
    }
    LogoutTarget {
        url: Some(request.http_get_url().to_string()),
    }
}

/// What a logout token says has ended (Back-Channel Logout 1.0 section 2.6). Its signature has been
/// checked.
///
/// # Errors
/// What is wrong with it; for the log.
pub(crate) fn ended(
    claims: &Object,
    typ: Option<&str>,
    issuer: &str,
    client_id: &str,
    now: i64,
    seen: &Seen,
) -> Result<Ended, String> {
    if typ.is_some_and(|typ| !matches!(typ, "logout+jwt" | "jwt")) {
        return Err("`typ` is that of another kind of token".into());
    }
    id_token::addressed(claims, issuer, client_id)?;
    id_token::times(claims, now)?;
    let issued = json::seconds(claims, "iat")?.unwrap_or_default();
    if issued < now - OLDEST {
        return Err("the logout token is too old".into());
    }
    if claims.contains_key("nonce") {
        return Err("it has a `nonce`: an id_token, not a logout token".into());
    }
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("`events` is not that of a logout".into());
    }
    let subject = json::text(claims, "sub")?.filter(|sub| !sub.is_empty());
    let session = json::text(claims, "sid")?.filter(|sid| !sid.is_empty());
    if subject.is_none() && session.is_none() {
        return Err("it names neither `sub` nor `sid`".into());
    }
    // Last, so that only a good token is remembered.
    let id = json::text(claims, "jti")?.filter(|id| !id.is_empty() && id.len() <= 256);
    if !seen.is_timely(id.ok_or("`jti` is missing")?, now) {
        return Err("the logout token has been used before".into());
    }
    Ok(Ended {
        issuer: Some(issuer.to_owned()),
        subject: subject.map(str::to_owned),
        session: session.map(str::to_owned),
    })
}

/// The logout tokens of the last minutes, by `jti`.
#[derive(Default)]
pub(crate) struct Seen(Mutex<BTreeMap<String, i64>>);

impl Seen {
    /// Whether it is the first time, or soon after it: ending twice ends no more. Forgets what is too old
    /// to count again; when there are too many, those that came first.
    fn is_timely(&self, id: &str, now: i64) -> bool {
        let mut seen = self.0.lock();
        seen.retain(|_, at| *at >= now - OLDEST - 2 * id_token::LEEWAY);
        if let Some(at) = seen.get(id) {
            return now - at <= RETRIED;
        }
        while seen.len() >= MOST {
            let first = seen.iter().min_by_key(|(_, at)| **at);
            let Some(first) = first.map(|(id, _)| id.clone()) else {
                break;
            };
            seen.remove(&first);
        }
        seen.insert(id.to_owned(), now);
        true
    }
}
