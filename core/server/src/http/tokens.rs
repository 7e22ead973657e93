//! API tokens (CONTRACT section 4).

use std::{borrow::Cow, sync::Arc};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Access, ApiError, Authority, BodyRule, Fields, Outcome, Principal, Request, Route, Shape,
    response::{json as json_response, no_content, no_store, ok},
};
use crate::{
    account::AccountError,
    app::App,
    audit::{Entry, Event},
    clock::Timestamp,
    id::{LoginId, TokenId, Uid},
    login::LOGINS,
    secret::Secret,
    token::{
        Claims, Keyring, Scope, Scopes, TokenUse,
        api::{
            self, API_TOKENS, ApiToken,
            policy::{self, Maker, MakerKind, Refused, Wanted},
        },
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
    /// Whether it is to last for ever, where that is allowed.
    pub(super) is_endless: bool,
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
        let is_endless = fields.is_null("expires_in_days");
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
        fields.finish().map(|()| Self {
            name,
            days,
            is_endless,
            scope,
        })
    }
}

async fn create(app: Arc<App>, request: Request, wanted: NewToken) -> Outcome {
    let made = make(&app, &request, wanted).await?;
    Ok(shown(&made))
}

/// Makes a token on the authority of whoever asks, within it.
pub(super) async fn make(app: &App, request: &Request, wanted: NewToken) -> Result<Made, ApiError> {
    let (principal, now) = (request.user()?, request.now);
    let (maker, provider) = maker(app, principal, now).await?;
    app.api_policy.admit(&maker, now).map_err(refused)?;
    let scope = policy::scope(wanted.scope, &maker).map_err(refused)?;
    // Nobody gets a token for ever by leaving something empty where that is not allowed.
    let is_endless = wanted.is_endless && app.api_policy.allows_endless;
    let lifetime = match wanted.days {
        Some(days) => Wanted::Seconds(days * DAY),
        None if is_endless => Wanted::Endless,
        None => Wanted::Default,
    };
    let token = ApiToken {
        name: wanted.name,
        scope: scope.map(|scope| scope.to_string()),
        provider,
        created_at: now,
        expires_at: app.api_policy.end(lifetime, &maker, now).map_err(refused)?,
        last_used_at: None,
        last_used_ip: None,
        kid: None,
    };
    issue(app, request, principal, token).await
}

fn refused(why: Refused) -> ApiError {
    let status = match why {
        Refused::OldLogin | Refused::Scope => StatusCode::FORBIDDEN,
        Refused::TooLong(_) => StatusCode::BAD_REQUEST,
    };
    ApiError::auth(status, &why.to_string())
}

/// By what a token is made, and what its `provider` claim says.
async fn maker(
    app: &App,
    principal: &Principal,
    now: Timestamp,
) -> Result<(Maker, String), ApiError> {
    let is_admin = principal.account().is_admin();
    let maker = |kind, scope| Maker {
        scope,
        is_admin,
        kind,
    };
    match &principal.authority {
        Authority::Token(token) if token.token_use == TokenUse::Api => {
            let ends = [token.expires_at, app.live.retiring.get(&token.sid)];
            let kind = MakerKind::Token(ends.into_iter().flatten().min());
            Ok((maker(kind, token.scope), token.provider.to_string()))
        }
        Authority::Token(token) => {
            let key = (token.account().uid, token.sid);
            let login = app
                .store
                .read(move |reader| LOGINS.get(reader, &key))
                .await?;
            // A login whose record is gone is as old as can be.
            let since = login.map_or(Timestamp::from_millis(0), |login| login.created_at);
            let kind = MakerKind::Login(since);
            Ok((maker(kind, token.scope), token.provider.to_string()))
        }
        // Vouched for with this very request: as good as a login that has just begun.
        Authority::Asserted(_, key) => {
            let backend = app.backends.get(&key.backend);
            let provider = backend.map_or_else(String::new, |b| b.plugin().to_owned());
            Ok((maker(MakerKind::Login(now), None), provider))
        }
        Authority::NoAuth(_) | Authority::Operator(_) => Err(ApiError::auth(
            StatusCode::FORBIDDEN,
            "sign in to make a token",
        )),
    }
}

/// Stores the token.
async fn issue(
    app: &App,
    request: &Request,
    principal: &Principal,
    mut token: ApiToken,
) -> Result<Made, ApiError> {
    let uid = principal.account().uid;
    // The record names the key that signs, so it is taken once for both.
    let keys = app.verifier.keyring();
    token.kid = Some(keys.active().to_owned());
    let reaches_admin = token.scopes().is_some_and(|s| s.contains(Scope::Admin));
    let access = match reaches_admin {
        true => Access::Admin,
        false => request.access,
    };
    let (live, stored) = (app.live.by(request.scene()), token.clone());
    let id = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            let id = api::create(tx, &uid, &stored)?;
            if let Some(id) = &id {
                let created = about(Event::TokenCreated, &stored).login(id);
                live.note_of(tx, &uid, created)?;
            }
            Ok::<_, AccountError>(id)
        })
        .await?;
    let id = id.ok_or_else(too_many)?;
    Ok(signed(app, &keys, principal, id, token))
}

/// What the trail says of a token: what it reaches, and until when. Not what its owner calls it.
fn about(event: Event, token: &ApiToken) -> Entry {
    let scope = token.scope.as_deref().unwrap_or("all of /v1");
    let end = token.expires_at.map_or_else(
        || "without end".to_owned(),
        |at| format!("until {}", at.seconds()),
    );
    Entry::new(event).detail(format!("{scope}, {end}"))
}

fn signed(app: &App, keys: &Keyring, principal: &Principal, id: LoginId, token: ApiToken) -> Made {
    let now = token.created_at;
    let claims = Claims {
        issuer: Cow::Borrowed(&app.lifetimes.issuer),
        audience: Cow::Borrowed(&app.lifetimes.audience),
        subject: principal.account().id.as_str().into(),
        uid: principal.account().uid,
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
    let text = keys.sign(&claims);
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
    list_of(&app, request.user()?.account().uid).await
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
    for (id, token) in &mut tokens {
        let ends = [token.expires_at, app.live.retiring.get(id)];
        token.expires_at = ends.into_iter().flatten().min();
    }
    tokens.retain(|(_, token)| token.expires_at.is_none_or(|at| now < at));
    Ok(tokens)
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    let uid = request.user()?.account().uid;
    delete_of(&app, &request, uid, request.param("id")).await
}

pub(super) async fn delete_of(app: &App, request: &Request, uid: Uid, id: &str) -> Outcome {
    revoke(app, request, uid, id).await.map(|()| no_content())
}

/// Ends one of the account's tokens.
pub(super) async fn revoke(
    app: &App,
    request: &Request,
    uid: Uid,
    id: &str,
) -> Result<(), ApiError> {
    let id: LoginId = id.parse().map_err(|_| not_found())?;
    let (live, access) = (app.live.by(request.scene()), request.access);
    let was_there = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            api::revoke(&live, tx, &uid, &id).map_err(AccountError::from)
        })
        .await?;
    if !was_there {
        return Err(not_found());
    }
    Ok(())
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
    let made = succeed(&app, &request, body.overlap).await?;
    Ok(shown(&made))
}

/// Makes the successor of the token the path names.
pub(super) async fn succeed(app: &App, request: &Request, overlap: u64) -> Result<Made, ApiError> {
    let (principal, id, now) = (request.user()?, request.param("id"), request.now);
    let uid = principal.account().uid;
    let (maker, _) = maker(app, principal, now).await?;
    app.api_policy.admit(&maker, now).map_err(refused)?;
    let id: LoginId = id.parse().map_err(|_| not_found())?;
    let is_own = principal.token().is_some_and(|token| token.sid == id);
    let (live, access) = (app.live.by(request.scene()), request.access);
    let policy = app.api_policy;
    let keys = app.verifier.keyring();
    let kid = keys.active().to_owned();
    let rotated = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            let Some(old) = API_TOKENS.get(tx, &(uid, id))? else {
                return Ok(Err(not_found()));
            };
            if old.expires_at.is_some_and(|at| at <= now) {
                return Ok(Err(not_found()));
            }
            let is_wider = |own| old.scopes().is_none_or(|scopes| !scopes.is_within(own));
            if maker.scope.is_some_and(is_wider) {
                return Ok(Err(not_found()));
            }
            let lifetime = old.expires_at;
            let lifetime = lifetime.map(|at| at.millis_since(old.created_at) / 1000);
            // A token that renews itself goes on, once; another's successor does not outlive its maker.
            let is_first = is_own && live.retiring.get(&id).is_none();
            let maker = (!is_first).then_some(&maker);
            let new = ApiToken {
                created_at: now,
                expires_at: policy.renewed(lifetime, maker, now),
                last_used_at: None,
                last_used_ip: None,
                kid: Some(kid),
                ..old
            };
            // The old one first: it may leave the place that the new one takes.
            if overlap == 0 {
                api::revoke(&live, tx, &uid, &id)?;
            }
            let Some(successor) = api::create(tx, &uid, &new)? else {
                return Ok(Err(too_many()));
            };
            if overlap > 0 {
                let end = now.plus_seconds(overlap);
                api::retire(&live, tx, &uid, &id, end, now)?;
            }
            let rotated = about(Event::TokenRotated, &new).login(&successor);
            live.note_of(tx, &uid, rotated)?;
            Ok::<_, AccountError>(Ok((successor, new)))
        })
        .await?;
    let (successor, token) = rotated?;
    Ok(signed(app, &keys, principal, successor, token))
}

fn too_many() -> ApiError {
    let text = format!(
        "an account has at most {} API tokens; revoke some first",
        api::MAX_PER_ACCOUNT
    );
    ApiError::auth(StatusCode::BAD_REQUEST, &text)
}

fn not_found() -> ApiError {
    ApiError::auth(StatusCode::NOT_FOUND, "not found")
}
