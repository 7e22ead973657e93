//! OAuth: refresh and revoke (CONTRACT section 5; RFC 6749, 7009).

use std::{borrow::Cow, sync::Arc};

use http::{Method, StatusCode};
use omnigent_plugin::{IdentityRef, Standing};
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route,
    body::Content,
    device,
    response::{Response, no_store, ok},
};
use crate::{
    account::{ACCOUNTS, IdentityKey},
    app::App,
    audit::{Entry, Event},
    backend::Instance,
    clock::Timestamp,
    id::{GrantId, TokenId, Uid},
    login::{self, LOGINS, MAGIC_LINK},
    store::StoreError,
    token::{
        Claims, Scopes, Steady, TokenUse,
        grant::{self, Grant, Refused, Said},
    },
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/oauth/token", Access::Public, token).body(BodyRule::Form),
        Route::new(Method::POST, "/oauth/revoke", Access::Public, revoke).body(BodyRule::Form),
    ]
}

pub(super) fn refused(code: &str) -> ApiError {
    ApiError::auth(StatusCode::BAD_REQUEST, code)
}

/// A form field; empty counts as absent (RFC 6749 section 3.2).
pub(super) fn field(request: &Request, name: &'static str) -> Option<String> {
    let mut fields = Fields::of_body(request);
    fields
        .optional_string(name, 0..=usize::MAX)
        .filter(|value| !value.is_empty())
}

/// Refuses a form that has a parameter twice (RFC 6749 section 3.2): which one is meant?
///
/// # Errors
/// 400 `invalid_request`.
pub(super) fn no_repeats(request: &Request) -> Result<(), ApiError> {
    let Content::Form(pairs) = &request.content else {
        return Ok(());
    };
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(refused("invalid_request")),
        false => Ok(()),
    }
}

async fn token(app: Arc<App>, request: Request) -> Outcome {
    no_repeats(&request)?;
    match field(&request, "grant_type").as_deref() {
        Some("refresh_token") => {}
        Some(device::GRANT_TYPE) if app.login_url().is_some() => {
            return device::poll(&app, &request).await;
        }
        _ => return Err(refused("unsupported_grant_type")),
    }
    let token = field(&request, "refresh_token").ok_or_else(|| refused("invalid_request"))?;
    let scope = field(&request, "scope").map(|text| text.parse());
    let said = Said {
        client_id: field(&request, "client_id"),
        scope: scope.transpose().map_err(|_| refuse(Refused::Scope))?,
    };
    if let Some((id, steady)) = app.steady.get(&app.live, &token, request.now) {
        let Steady {
            grant,
            account,
            provider,
        } = &*steady;
        let scope = grant.narrowed(&said).map_err(refuse)?;
        let claims = claims(&app, id, grant, scope, &account.id, provider, request.now);
        return Ok(refreshed(&app, &claims, &token));
    }
    still_there(&app, &request, &token).await?;
    let (live, now) = (app.live.by(request.scene()), request.now);
    let redeemed = app
        .store
        .write(move |tx| {
            let (id, grant, scope, refresh) = match grant::redeem(&live, tx, &token, &said, now)? {
                Ok(redeemed) => redeemed,
                Err(refused) => return Ok(Err(refused)),
            };
            let account = ACCOUNTS
                .get(tx, &grant.uid)?
                .filter(|account| !account.disabled);
            let login = LOGINS.get(tx, &(grant.uid, grant.sid))?;
            let found = account.zip(login).ok_or(Refused::Invalid);
            Ok::<_, StoreError>(found.map(|found| (id, grant, scope, refresh, found)))
        })
        .await?;
    let (id, grant, scope, refresh, (account, login)) = redeemed.map_err(refuse)?;
    let backend = app.backends.get(&login.backend);
    let provider = match backend {
        Some(backend) => backend.plugin(),
        None if login.backend == MAGIC_LINK => app.mode(),
        None => login.backend.as_str(),
    };
    let name = account.name.as_str();
    let claims = claims(&app, id, &grant, scope, name, provider, now);
    let answer = refreshed(&app, &claims, refresh.expose());
    let is_asked = login.backend == MAGIC_LINK || backend.is_some_and(Instance::revalidates);
    if !is_asked && let Some(account) = app.live.accounts.get(&grant.uid) {
        let provider = provider.into();
        app.steady.put(
            id,
            Steady {
                grant,
                account,
                provider,
            },
        );
    }
    Ok(answer)
}

fn refuse(why: Refused) -> ApiError {
    refused(match why {
        Refused::Expired => "expired_token",
        Refused::Scope => "invalid_scope",
        Refused::Invalid | Refused::Reused => "invalid_grant",
    })
}

/// What a refreshed access token says.
fn claims<'a>(
    app: &'a App,
    id: GrantId,
    grant: &'a Grant,
    scope: Option<Scopes>,
    subject: &'a str,
    provider: &'a str,
    now: Timestamp,
) -> Claims<'a> {
    let expires_at = now
        .plus_seconds(app.lifetimes.refreshed)
        .min(grant.expires_at);
    Claims {
        issuer: Cow::Borrowed(&app.lifetimes.issuer),
        audience: Cow::Borrowed(&app.lifetimes.audience),
        subject: subject.into(),
        uid: grant.uid,
        sid: grant.sid,
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: Some(expires_at),
        provider: provider.into(),
        token_use: TokenUse::Access,
        scope,
        grant: Some(id),
        client_id: Some(grant.client_id.as_str().into()),
    }
}

fn refreshed(app: &App, claims: &Claims<'_>, refresh_token: &str) -> Response {
    let lasts = claims.expires_at.map_or(0, |at| {
        at.seconds().saturating_sub(claims.issued_at.seconds())
    });
    let mut body = json!({
        "access_token": app.verifier.sign(claims).expose(),
        "refresh_token": refresh_token,
        "token_type": "Bearer",
        "expires_in": lasts,
    });
    if let Some(scope) = claims.scope {
        body["scope"] = scope.to_string().into();
    }
    no_store(ok(&body))
}

/// Asks the backend whether the identity the grant rests on still holds. If it does not, all logins that
/// rest on it end; if the backend cannot tell, the refresh is refused for now. A grant that rests on a sign-in
/// link holds as long as one of the account's identities does.
async fn still_there(app: &App, request: &Request, token: &str) -> Result<(), ApiError> {
    let (live, token) = (app.live.clone(), token.to_owned());
    let found = app
        .store
        .read(move |reader| {
            let Some((_, grant)) = grant::find(&live, reader, &token)? else {
                return Ok(None);
            };
            let Some(login) = LOGINS.get(reader, &(grant.uid, grant.sid))? else {
                return Ok(None);
            };
            let identities = if login.backend == MAGIC_LINK {
                let account = ACCOUNTS.get(reader, &grant.uid)?;
                account.map_or_else(Vec::new, |account| account.identities)
            } else {
                vec![login.key()]
            };
            Ok::<_, StoreError>(Some((grant, identities)))
        })
        .await?;
    let Some((grant, identities)) = found else {
        return Ok(());
    };
    let (mut gone, mut asked_at) = (Vec::new(), request.now);
    for key in identities {
        let Some(backend) = app.backends.get(&key.backend) else {
            continue;
        };
        asked_at = app.clock.now();
        match ask(app, request, backend, key.clone(), grant.uid).await? {
            None => return Ok(()),
            Some(reason) => {
                // What a plugin says is for the log alone.
                tracing::info!(request_id = %request.head.id, backend = key.backend, reason, "an identity does not hold any more");
                gone.push(key);
            }
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    let (live, backends) = (app.live.by(request.scene()), Arc::clone(&app.backends));
    app.store
        .write(move |tx| {
            for key in &gone {
                let entry = Entry::new(Event::IdentityGone).backend(&key.backend);
                live.note_of(tx, &grant.uid, entry.login(&grant.sid))?;
            }
            let is_in_force = |key: &IdentityKey| backends.get(&key.backend).is_some();
            let found_by = (&grant.uid, &grant.sid);
            login::end_gone(&live, tx, found_by, (&gone, asked_at), is_in_force)
        })
        .await?;
    Err(refused("invalid_grant"))
}

/// Asks the backend whether it still vouches for this identity of `uid`: why not, if it does not.
async fn ask(
    app: &App,
    request: &Request,
    backend: &Instance,
    key: IdentityKey,
    uid: Uid,
) -> Result<Option<String>, ApiError> {
    let identity = IdentityRef {
        subject: key.subject,
        issuer: Some(key.issuer).filter(|issuer| !issuer.is_empty()),
    };
    let unavailable = |cause: &dyn std::fmt::Display| {
        let text = "this way of signing in is unavailable; try again later";
        ApiError::unavailable(text, cause)
    };
    let standing = backend.revalidate(&identity).await;
    match standing.map_err(|cause| unavailable(&cause))? {
        Standing::Holds { identity: None } => Ok(None),
        Standing::Holds {
            identity: Some(renewed),
        } => {
            if renewed.subject != identity.subject {
                return Err(unavailable(&"the backend vouched for somebody else"));
            }
            let holds = app
                .desk
                .renew(backend, &renewed, uid, request.scene())
                .await;
            let holds = holds.map_err(|cause| unavailable(&cause))?;
            Ok((!holds).then(|| "not admitted any more".to_owned()))
        }
        Standing::Gone { reason } => Ok(Some(reason)),
    }
}

/// Always 200 for what is a request: a client learns nothing about tokens of others (RFC 7009
/// section 2.2).
async fn revoke(app: Arc<App>, request: Request) -> Outcome {
    no_repeats(&request)?;
    let said = field(&request, "refresh_token").or_else(|| field(&request, "token"));
    let bearer = request
        .principal()
        .and_then(|principal| principal.token())
        .map(|token| (token.account().uid, token.sid));
    let presented = said
        .as_ref()
        .and_then(|text| app.verifier.verify(text.as_bytes(), request.now).ok());
    let presented = presented.map(|token| (token.account().uid, token.sid));
    let live = app.live.by(request.scene());
    app.store
        .write(move |tx| {
            let found = match (&said, presented) {
                (Some(text), None) => {
                    grant::find(&live, tx, text)?.map(|(_, grant)| (grant.uid, grant.sid))
                }
                (Some(_), presented) => presented,
                (None, _) => bearer,
            };
            match found {
                Some((uid, sid)) => {
                    login::end(&live, tx, &uid, &sid)?;
                    crate::token::api::revoke(&live, tx, &uid, &sid).map(drop)
                }
                None => Ok::<_, StoreError>(()),
            }
        })
        .await?;
    Ok(ok(&json!({"revoked": true})))
}
