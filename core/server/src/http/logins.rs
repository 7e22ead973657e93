//! What somebody is signed in with, and where (CONTRACT section 4).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Access, ApiError, Outcome, Request, Route,
    response::{no_content, no_store, ok},
};
use crate::{
    account::AccountError,
    app::App,
    clock::Timestamp,
    id::{LoginId, Uid},
    login::{self, Login},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/auth/logins", Access::Account, list),
        Route::new(
            Method::DELETE,
            "/auth/logins",
            Access::Account,
            delete_others,
        ),
        Route::new(Method::DELETE, "/auth/logins/{id}", Access::Account, delete),
    ]
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    list_of(
        &app,
        principal.account().uid,
        principal.token().map(|token| token.sid),
        request.now,
    )
    .await
}

async fn delete_others(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    let keep = principal.token().map(|token| token.sid);
    delete_all_of(&app, &request, principal.account().uid, keep).await
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    let uid = request.user()?.account().uid;
    delete_of(&app, &request, uid, request.param("id")).await
}

pub(super) async fn list_of(
    app: &App,
    uid: Uid,
    current: Option<LoginId>,
    now: Timestamp,
) -> Outcome {
    let rows: Vec<Value> = logins_of(app, uid, now)
        .await?
        .into_iter()
        .map(|(id, login)| {
            json!({
                "id": id,
                "created_at": login.created_at.seconds(),
                "expires_at": login.expires_at.seconds(),
                "backend": login.backend,
                "address": login.address,
                "user_agent": login.user_agent,
                "client_id": login.client_id,
                "current": current == Some(id),
            })
        })
        .collect();
    Ok(no_store(ok(&json!({"logins": rows}))))
}

/// The account's logins that have not expired.
pub(super) async fn logins_of(
    app: &App,
    uid: Uid,
    now: Timestamp,
) -> Result<Vec<(LoginId, Login)>, ApiError> {
    let mut logins = app
        .store
        .read(move |reader| login::list(reader, &uid))
        .await?;
    logins.retain(|(_, login)| now < login.expires_at);
    Ok(logins)
}

pub(super) async fn delete_all_of(
    app: &App,
    request: &Request,
    uid: Uid,
    keep: Option<LoginId>,
) -> Outcome {
    end_all(app, request, uid, keep)
        .await
        .map(|()| no_content())
}

/// Ends all of the account's logins but `keep`.
pub(super) async fn end_all(
    app: &App,
    request: &Request,
    uid: Uid,
    keep: Option<LoginId>,
) -> Result<(), ApiError> {
    let (live, now) = (app.live.by(request.scene()), request.now);
    let access = request.access;
    app.store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            login::end_all(&live, tx, &uid, keep.as_ref(), now).map_err(AccountError::from)
        })
        .await?;
    Ok(())
}

pub(super) async fn delete_of(app: &App, request: &Request, uid: Uid, id: &str) -> Outcome {
    end(app, request, uid, id).await.map(|()| no_content())
}

/// Ends one of the account's logins.
pub(super) async fn end(app: &App, request: &Request, uid: Uid, id: &str) -> Result<(), ApiError> {
    let not_found = || ApiError::auth(StatusCode::NOT_FOUND, "not found");
    let sid: LoginId = id.parse().map_err(|_| not_found())?;
    let (live, access) = (app.live.by(request.scene()), request.access);
    let was_there = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            login::end(&live, tx, &uid, &sid).map_err(AccountError::from)
        })
        .await?;
    if was_there { Ok(()) } else { Err(not_found()) }
}
