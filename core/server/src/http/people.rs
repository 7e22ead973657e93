//! Invites and people: what admins do (CONTRACT section 4).

use std::sync::Arc;

use http::{Method, StatusCode};
use omnigent_plugin::Password;
use serde_json::{Value, json};

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape, logins,
    response::{json as json_response, no_content, no_store, ok},
    tokens,
};
use crate::{
    account::{
        self, Account, AccountError, AccountName, InvalidName, Invite, OfficeError, by_name,
        issue_invite, set_admin, set_disabled, still_admin,
    },
    app::App,
    clock::Timestamp,
    id::Uid,
    secret::Secret,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::POST, "/auth/invite", Access::Admin, invite),
        Route::shaped(Method::GET, "/auth/users", Access::Admin, list),
        Route::shaped(Method::POST, "/auth/users", Access::Admin, add),
        Route::shaped(Method::PATCH, "/auth/users/{id}", Access::Admin, change),
        Route::new(Method::DELETE, "/auth/users/{id}", Access::Admin, delete),
        Route::new(Method::POST, "/auth/users/{id}/reset", Access::Admin, reset),
        Route::new(
            Method::GET,
            "/auth/users/{id}/tokens",
            Access::Admin,
            list_tokens,
        ),
        Route::new(
            Method::DELETE,
            "/auth/users/{id}/tokens/{tid}",
            Access::Admin,
            delete_token,
        ),
        Route::new(
            Method::GET,
            "/auth/users/{id}/logins",
            Access::Admin,
            list_logins,
        ),
        Route::new(
            Method::DELETE,
            "/auth/users/{id}/logins",
            Access::Admin,
            delete_logins,
        ),
        Route::new(
            Method::DELETE,
            "/auth/users/{id}/logins/{lid}",
            Access::Admin,
            delete_login,
        ),
    ]
}

struct InviteBody {
    is_admin: bool,
}

impl Shape for InviteBody {
    const BODY: BodyRule = BodyRule::OptionalJson;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            is_admin: fields.optional_boolean("is_admin").unwrap_or(false),
        };
        fields.finish().map(|()| body)
    }
}

async fn invite(app: Arc<App>, request: Request, body: InviteBody) -> Outcome {
    let invited = make_invite(&app, &request, body.is_admin).await?;
    Ok(no_store(ok(&json!({
        "token": invited.token.expose(),
        "register_url": invited.register_url.expose(),
        "expires_at": invited.expires_at.seconds(),
        "is_admin": body.is_admin,
    }))))
}

/// An invite that was made.
pub(super) struct Invited {
    token: Secret<String>,
    /// What to send to the person: to be shown this once.
    pub(super) register_url: Secret<String>,
    /// Until when it is good.
    pub(super) expires_at: Timestamp,
}

/// Makes an invite on the word of whoever the request is from.
pub(super) async fn make_invite(
    app: &App,
    request: &Request,
    is_admin: bool,
) -> Result<Invited, ApiError> {
    let expires_at = request.now.plus_seconds(app.invite_ttl);
    let scene = request.scene();
    let invite = Invite {
        is_admin,
        invited_by: scene.person(),
        expires_at,
    };
    let live = app.live.by(scene);
    let token = app
        .store
        .write(move |tx| {
            still_admin(&live, tx)?;
            issue_invite(&live, tx, &invite)
        })
        .await?;
    let base = &app.settings.base_url;
    let register_url = format!("{base}/register?invite={}", token.expose());
    Ok(Invited {
        token,
        register_url: Secret::new(register_url),
        expires_at,
    })
}

struct ListQuery {
    limit: usize,
    after: Option<String>,
}

impl Shape for ListQuery {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let limit = fields.optional_integer("limit", 1..=1000).unwrap_or(1000);
        let query = Self {
            limit: usize::try_from(limit).unwrap_or(1000),
            after: fields.optional_string("after", 1..=254),
        };
        fields.finish().map(|()| query)
    }
}

async fn list(app: Arc<App>, _: Request, query: ListQuery) -> Outcome {
    let page = app
        .store
        .read(move |reader| account::list(reader, query.after.as_deref(), query.limit))
        .await?;
    let rows = rows(&app, &page).await?;
    Ok(no_store(ok(&json!({"users": rows}))))
}

async fn rows(app: &App, accounts: &[Account]) -> Result<Vec<Value>, ApiError> {
    let have_passwords = app.office.have_passwords(accounts).await?;
    let row = |(account, has_password): (&Account, bool)| {
        json!({
            "id": account.name,
            "is_admin": account.is_admin,
            "disabled": account.disabled,
            "created_at": account.created_at.seconds(),
            "last_login_at": account.last_login_at.map(|at| at.seconds()),
            "has_password": has_password,
        })
    };
    Ok(accounts.iter().zip(have_passwords).map(row).collect())
}

async fn one_row(app: &App, account: Account) -> Result<Value, ApiError> {
    Ok(rows(app, &[account]).await?.pop().unwrap_or_default())
}

struct AddBody {
    id: String,
    password: Option<String>,
    is_admin: bool,
}

impl Shape for AddBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            id: fields.string("id", 1..=64),
            password: fields.optional_string("password", 8..=1024),
            is_admin: fields.optional_boolean("is_admin").unwrap_or(false),
        };
        fields.finish().map(|()| body)
    }
}

async fn add(app: Arc<App>, request: Request, body: AddBody) -> Outcome {
    let name = AccountName::parse(&body.id).map_err(|why| match why {
        InvalidName::Grammar => ApiError::no_name("id"),
        why @ InvalidName::Reserved(_) => AccountError::from(why).into(),
    })?;
    let account = app
        .office
        .add(
            request.scene(),
            name,
            body.password.map(Password::new),
            body.is_admin,
        )
        .await?;
    app.setup_done();
    Ok(json_response(
        StatusCode::CREATED,
        &one_row(&app, account).await?,
    ))
}

struct ChangeBody {
    is_admin: Option<bool>,
    disabled: Option<bool>,
}

impl Shape for ChangeBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            is_admin: fields.optional_boolean("is_admin"),
            disabled: fields.optional_boolean("disabled"),
        };
        fields.forbid_others();
        fields.finish().map(|()| body)
    }
}

async fn change(app: Arc<App>, request: Request, body: ChangeBody) -> Outcome {
    let account = change_account(&app, &request, body.is_admin, body.disabled).await?;
    Ok(ok(&one_row(&app, account).await?))
}

/// Promotes, demotes, disables or enables the account the path names.
pub(super) async fn change_account(
    app: &App,
    request: &Request,
    is_admin: Option<bool>,
    disabled: Option<bool>,
) -> Result<Account, ApiError> {
    let (scene, name) = (request.scene(), request.param("id").to_owned());
    let now = scene.at;
    let live = app.live.by(scene);
    let changed = app
        .store
        .write(move |tx| {
            still_admin(&live, tx)?;
            let mut account = by_name(tx, &name)?;
            if let Some(is_admin) = is_admin {
                account = set_admin(&live, tx, &account.uid, is_admin)?;
            }
            if let Some(disabled) = disabled {
                account = set_disabled(&live, tx, &account.uid, disabled, now)?;
            }
            Ok::<_, AccountError>(account)
        })
        .await?;
    Ok(changed)
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    remove(&app, &request).await?;
    Ok(no_content())
}

/// Removes the account the path names, which is not the principal's own.
pub(super) async fn remove(app: &App, request: &Request) -> Result<(), ApiError> {
    let name = request.param("id");
    if *request.user()?.account().id == *name {
        return Err(ApiError::auth(
            StatusCode::BAD_REQUEST,
            "cannot delete self",
        ));
    }
    app.office.remove(request.scene(), name).await?;
    Ok(())
}

async fn reset(app: Arc<App>, request: Request) -> Outcome {
    let name = request.param("id");
    let password = app.office.reset_password(request.scene(), name).await?;
    Ok(no_store(ok(
        &json!({"id": name, "new_password": password.expose()}),
    )))
}

async fn uid_of(app: &App, request: &Request) -> Result<Uid, ApiError> {
    let name = request.param("id").to_owned();
    let account = app
        .store
        .read(move |reader| by_name(reader, &name))
        .await
        .map_err(OfficeError::from)?;
    Ok(account.uid)
}

async fn list_tokens(app: Arc<App>, request: Request) -> Outcome {
    let uid = uid_of(&app, &request).await?;
    tokens::list_of(&app, uid).await
}

async fn delete_token(app: Arc<App>, request: Request) -> Outcome {
    let uid = uid_of(&app, &request).await?;
    tokens::delete_of(&app, &request, uid, request.param("tid")).await
}

async fn list_logins(app: Arc<App>, request: Request) -> Outcome {
    let uid = uid_of(&app, &request).await?;
    logins::list_of(&app, uid, None, request.now).await
}

async fn delete_logins(app: Arc<App>, request: Request) -> Outcome {
    let uid = uid_of(&app, &request).await?;
    logins::delete_all_of(&app, &request, uid, None).await
}

async fn delete_login(app: Arc<App>, request: Request) -> Outcome {
    let uid = uid_of(&app, &request).await?;
    logins::delete_of(&app, &request, uid, request.param("lid")).await
}
