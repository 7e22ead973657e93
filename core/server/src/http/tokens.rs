//! API tokens (CONTRACT section 4).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Access, ApiError, Authority, BodyRule, Fields, Outcome, Principal, Request, Route, Shape,
    response::{json as json_response, no_content, no_store, ok},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::{LoginId, TokenId, Uid},
    secret::Secret,
    store::StoreError,
    token::{
        Claims, Scopes, TokenUse,
        api::{self, API_TOKENS, ApiToken},
    },
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::POST, "/auth/tokens", Access::Account, create),
        Route::new(Method::GET, "/auth/tokens", Access::Account, list),
        Route::new(Method::DELETE, "/auth/tokens/{id}", Access::Account, delete),
        Route::shaped(
            Method::POST,
            "/auth/tokens/{id}/rotate",
            Access::Account,
            rotate,
        ),
    ]
}

const DAY: u64 = 86_400;

/// A token somebody wants.
pub(super) struct NewToken {
    /// What they call it.
    pub(super) name: String,
    /// How long it lasts; the server's own measure when nothing is said.
    pub(super) days: Option<u64>,
    /// What it is restricted to.
    pub(super) scope: Option<Scopes>,
}

/// A token that was made.
pub(super) struct Made {
    id: LoginId,
    /// What is kept of it.
    pub(super) token: ApiToken,
    /// Its text, to be shown this once.
    pub(super) text: Secret<String>,
}

impl Shape for NewToken {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let name = fields.string("name", 1..=100);
        let days = fields.optional_integer("expires_in_days", 1..=366);
        let scope = fields.optional_string("scope", 1..=100).and_then(|text| {
            match text.parse::<Scopes>() {
                Ok(scopes) => Some(scopes),
                Err(error) => {
                    fields.fault("scope", "value_error", error.to_string());
                    None
                }
            }
        });
        fields.finish().map(|()| Self { name, days, scope })
    }
}

async fn create(app: Arc<App>, request: Request, wanted: NewToken) -> Outcome {
    let made = make(&app, request.user()?, wanted, request.now).await?;
    Ok(shown(&made))
}

/// Makes a token on the principal's authority, within it.
pub(super) async fn make(
    app: &App,
    principal: &Principal,
    wanted: NewToken,
    now: Timestamp,
) -> Result<Made, ApiError> {
    let maker = maker(app, principal, now)?;
    let scope = match (wanted.scope, maker.scope) {
        (Some(wanted), Some(own)) if !wanted.is_within(own) => {
            return Err(ApiError::auth(
                StatusCode::FORBIDDEN,
                "a token cannot reach further than its maker",
            ));
        }
        (None, Some(own)) => Some(own),
        (wanted, _) => wanted,
    };
    if maker.token_use == TokenUse::Access
        && now.millis_since(maker.issued_at) > app.token_login_age * 1000
    {
        return Err(ApiError::auth(
            StatusCode::FORBIDDEN,
            "sign in again to make a token",
        ));
    }
    let longest = app.api_max_ttl;
    let lifetime = match wanted.days {
        Some(days) => Some(days * DAY),
        None if app.api_allow_unlimited => None,
        None => Some(longest.min(90 * DAY)),
    };
    if lifetime.is_some_and(|seconds| seconds > longest) {
        let most = format!("this server's tokens last at most {} days", longest / DAY);
        return Err(ApiError::auth(StatusCode::BAD_REQUEST, &most));
    }
    let expires_at = lifetime.map(|seconds| now.plus_seconds(seconds));
    // A token made by a token does not outlive it.
    let expires_at = match (expires_at, maker.token_use, maker.expires_at) {
        (Some(wanted), TokenUse::Api, Some(own)) => Some(wanted.min(own)),
        (None, TokenUse::Api, own) => own,
        (wanted, _, _) => wanted,
    };
    let token = ApiToken {
        name: wanted.name,
        scope: scope.map(|scope| scope.to_string()),
        provider: maker.provider,
        created_at: now,
        expires_at,
        last_used_at: None,
        last_used_ip: None,
    };
    issue(app, principal, token, now).await
}

/// By what a token is made.
struct Maker {
    scope: Option<Scopes>,
    token_use: TokenUse,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    provider: String,
}

fn maker(app: &App, principal: &Principal, now: Timestamp) -> Result<Maker, ApiError> {
    match &principal.authority {
        Authority::Token(token) => Ok(Maker {
            scope: token.scope,
            token_use: token.token_use,
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            provider: token.provider.to_string(),
        }),
        // Vouched for with this very request: as good as a login that has just begun.
        Authority::Asserted(key) => Ok(Maker {
            scope: None,
            token_use: TokenUse::Access,
            issued_at: now,
            expires_at: None,
            provider: app
                .backends
                .get(&key.backend)
                .map_or_else(String::new, |backend| backend.plugin().to_owned()),
        }),
        Authority::NoAuth | Authority::Operator => Err(ApiError::auth(
            StatusCode::FORBIDDEN,
            "sign in to make a token",
        )),
    }
}

/// Stores the token.
async fn issue(
    app: &App,
    principal: &Principal,
    token: ApiToken,
    now: Timestamp,
) -> Result<Made, ApiError> {
    let uid = principal.account.uid;
    let stored = token.clone();
    let id = app
        .store
        .write(move |tx| api::create(tx, &uid, &stored))
        .await?;
    let Some(id) = id else {
        let text = format!(
            "an account has at most {} API tokens; revoke some first",
            api::MAX_PER_ACCOUNT
        );
        return Err(ApiError::auth(StatusCode::BAD_REQUEST, &text));
    };
    Ok(signed(app, principal, id, token, now))
}

fn signed(app: &App, principal: &Principal, id: LoginId, token: ApiToken, now: Timestamp) -> Made {
    let claims = Claims {
        issuer: app.lifetimes.issuer.clone(),
        audience: app.lifetimes.audience.clone(),
        subject: principal.account.id.as_ref().into(),
        uid: principal.account.uid,
        sid: id,
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: token.expires_at,
        provider: token.provider.as_str().into(),
        token_use: TokenUse::Api,
        scope: token.scopes(),
        grant: None,
        client_id: None,
    };
    let text = app.verifier.sign(&claims);
    Made { id, token, text }
}

fn shown(made: &Made) -> super::Response {
    let mut row = row(made.id, &made.token);
    row["token"] = made.text.expose().as_str().into();
    no_store(json_response(StatusCode::CREATED, &row))
}

fn row(id: LoginId, token: &ApiToken) -> Value {
    json!({
        "id": id,
        "name": token.name,
        "scope": token.scope,
        "created_at": token.created_at.seconds(),
        "expires_at": token.expires_at.map(|at| at.seconds()),
    })
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    list_of(&app, request.user()?.account.uid).await
}

pub(super) async fn list_of(app: &App, uid: Uid) -> Outcome {
    let tokens = tokens_of(app, uid).await?;
    let rows: Vec<Value> = tokens
        .iter()
        .map(|(id, token)| {
            let mut row = row(*id, token);
            row["last_used_at"] = token.last_used_at.map(|at| at.seconds()).into();
            row["last_used_ip"] = token.last_used_ip.clone().into();
            row
        })
        .collect();
    Ok(no_store(ok(&json!({"tokens": rows}))))
}

/// The account's tokens that have not expired.
pub(super) async fn tokens_of(app: &App, uid: Uid) -> Result<Vec<(LoginId, ApiToken)>, ApiError> {
    let now = app.clock.now();
    let mut tokens = app
        .store
        .read(move |reader| api::list(reader, &uid))
        .await?;
    tokens.retain(|(_, token)| token.expires_at.is_none_or(|at| now < at));
    Ok(tokens)
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    delete_of(&app, request.user()?.account.uid, request.param("id")).await
}

pub(super) async fn delete_of(app: &App, uid: Uid, id: &str) -> Outcome {
    revoke(app, uid, id).await.map(|()| no_content())
}

/// Ends one of the account's tokens.
pub(super) async fn revoke(app: &App, uid: Uid, id: &str) -> Result<(), ApiError> {
    let id: LoginId = id.parse().map_err(|_| not_found())?;
    let live = app.live.clone();
    let was_there = app
        .store
        .write(move |tx| api::revoke(&live, tx, &uid, &id))
        .await?;
    if was_there { Ok(()) } else { Err(not_found()) }
}

struct RotateBody {
    overlap: u64,
}

impl Shape for RotateBody {
    const BODY: BodyRule = BodyRule::OptionalJson;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let overlap = fields
            .optional_integer("overlap_seconds", 0..=30 * DAY)
            .unwrap_or(0);
        fields.finish().map(|()| Self { overlap })
    }
}

/// A successor of the same name, scope and lifetime; the old one lives on for the overlap.
async fn rotate(app: Arc<App>, request: Request, body: RotateBody) -> Outcome {
    let (principal, id) = (request.user()?, request.param("id"));
    let made = succeed(&app, principal, id, body.overlap, request.now).await?;
    Ok(shown(&made))
}

/// Makes the token's successor.
pub(super) async fn succeed(
    app: &App,
    principal: &Principal,
    id: &str,
    overlap: u64,
    now: Timestamp,
) -> Result<Made, ApiError> {
    let uid = principal.account.uid;
    let maker = principal.token().and_then(|token| token.scope);
    let id: LoginId = id.parse().map_err(|_| not_found())?;
    let live = app.live.clone();
    let rotated = app
        .store
        .write(move |tx| {
            let Some(old) = API_TOKENS.get(tx, &(uid, id))? else {
                return Ok(None);
            };
            if old.expires_at.is_some_and(|at| at <= now) {
                return Ok(None);
            }
            if maker.is_some_and(|own| old.scopes().is_none_or(|scopes| !scopes.is_within(own))) {
                return Ok(None);
            }
            let lifetime = old
                .expires_at
                .map(|at| at.millis_since(old.created_at) / 1000);
            let new = ApiToken {
                created_at: now,
                expires_at: lifetime.map(|seconds| now.plus_seconds(seconds)),
                last_used_at: None,
                last_used_ip: None,
                ..old.clone()
            };
            api::retire(&live, tx, &uid, &id, now.plus_seconds(overlap), now)?;
            let successor = api::create(tx, &uid, &new)?;
            Ok::<_, StoreError>(successor.map(|successor| (successor, new)))
        })
        .await?;
    let Some((successor, token)) = rotated else {
        return Err(not_found());
    };
    Ok(signed(app, principal, successor, token, now))
}

fn not_found() -> ApiError {
    ApiError::auth(StatusCode::NOT_FOUND, "not found")
}
