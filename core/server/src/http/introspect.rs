//! What a token is, for programs that are given one (CONTRACT section 5; RFC 7662).
//!
//! **Invariant:** asking changes nothing: a refresh token that was rotated away is told not to be
//! active, and its grant goes on.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{
    Access, BodyRule, Outcome, Request, Route, oauth,
    response::{no_store, ok},
};
use crate::{
    account::ACCOUNTS,
    app::App,
    login::LOGINS,
    store::StoreError,
    token::{VerifiedToken, grant},
};

pub(super) fn routes() -> Vec<Route> {
    let path = "/oauth/introspect";
    vec![Route::new(Method::POST, path, Access::Admin, introspect).body(BodyRule::Form)]
}

/// Looks among access tokens, then among refresh tokens: a `token_type_hint` would only say where to
/// begin (RFC 7662 section 2.1).
async fn introspect(app: Arc<App>, request: Request) -> Outcome {
    oauth::no_repeats(&request)?;
    let token = oauth::field(&request, "token");
    let token = token.ok_or_else(|| oauth::refused("invalid_request"))?;
    let mut said = match app.verifier.verify(token.as_bytes(), request.now) {
        Ok(token) => access(&app, &token),
        Err(_) => refresh(&app, &request, token).await?,
    };
    // What is not known is left out (RFC 7662 section 2.2).
    if let Some(members) = said.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    Ok(no_store(ok(&said)))
}

fn access(app: &App, token: &VerifiedToken) -> Value {
    let claims = app.verifier.claims(token);
    json!({
        "active": true,
        "iss": claims.issuer,
        "aud": claims.audience,
        "sub": claims.subject,
        "username": claims.subject,
        "jti": claims.jti,
        "iat": claims.issued_at.seconds(),
        "nbf": claims.not_before.seconds(),
        "exp": claims.expires_at.map(|at| at.seconds()),
        "scope": claims.scope.map(|scope| scope.to_string()),
        "client_id": claims.client_id,
        "token_type": "Bearer",
        "token_use": claims.token_use.as_str(),
    })
}

/// Without `token_type`: it is no bearer token, and nobody is to take it for one.
async fn refresh(app: &App, request: &Request, token: String) -> Result<Value, StoreError> {
    let (live, now) = (app.live.clone(), request.now);
    let found = app
        .store
        .read(move |reader| {
            let Some((_, grant)) = grant::find_current(&live, reader, &token, now)? else {
                return Ok(None);
            };
            let is_login = LOGINS.contains(reader, &(grant.uid, grant.sid))?;
            let account = ACCOUNTS.get(reader, &grant.uid)?;
            let account = account.filter(|account| is_login && !account.disabled);
            Ok::<_, StoreError>(account.map(|account| (grant, account)))
        })
        .await?;
    let Some((grant, account)) = found else {
        return Ok(json!({"active": false}));
    };
    Ok(json!({
        "active": true,
        "iss": app.lifetimes.issuer,
        "sub": account.name,
        "username": account.name,
        "exp": grant.expires_at.seconds(),
        "scope": grant.scope,
        "client_id": grant.client_id,
        "token_use": "refresh",
    }))
}
