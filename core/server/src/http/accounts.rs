//! Signing in and out, setup, registration, one's own password (CONTRACT section 4).

use std::sync::Arc;

use http::Method;
use omnigent_plugin::Password;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Response, Route, Shape, cookies,
    response::{no_content, no_store, ok, redirect},
};
use crate::{
    account::{
        ACCOUNTS, AccountError, AccountName, Chosen, MagicLink, OfficeError, issue_magic,
        redeem_magic,
    },
    app::App,
    audit::{Entry, Event},
    config::Registration,
    login::{self, SignedIn},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::POST, "/auth/login", Access::Public, login),
        Route::new(Method::POST, "/auth/logout", Access::Public, logout),
        Route::new(Method::GET, "/auth/me", Access::User, me),
        Route::shaped(Method::POST, "/auth/setup", Access::Public, setup),
        Route::shaped(Method::POST, "/auth/register", Access::Public, register),
        Route::new(Method::POST, "/auth/magic", Access::Login, magic),
        Route::new(Method::GET, "/auth/magic/redeem", Access::Public, redeem),
        Route::shaped(
            Method::POST,
            "/auth/users/me/password",
            Access::Login,
            change_password,
        ),
    ]
}

/// Body of `POST /auth/login`.
pub(super) struct LoginBody {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) client_id: Option<String>,
    pub(super) backend: Option<String>,
}

impl Shape for LoginBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            username: fields.string("username", 1..=128),
            password: fields.string("password", 1..=1024),
            client_id: fields.optional_string("client_id", 1..=64),
            backend: fields.optional_string("backend", 1..=64),
        };
        fields.finish().map(|()| body)
    }
}

async fn login(app: Arc<App>, request: Request, body: LoginBody) -> Outcome {
    let guest = request.guest(body.client_id);
    let progress = app
        .desk
        .password(
            &body.username,
            &body.password,
            body.backend.as_deref(),
            guest,
            request.now,
        )
        .await;
    super::conversations::answer(&app, progress?)
}

/// The answer that hands out a login: the token, and the cookie for browsers.
pub(super) fn signed_in(app: &App, login: &SignedIn) -> Response {
    let mut body = json!({
        "token": login.token.expose(),
        "expires_in": login.expires_in,
        "user": {"id": login.user_id, "is_admin": login.is_admin},
    });
    if let Some(refresh_token) = &login.refresh_token {
        body["refresh_token"] = refresh_token.expose().as_str().into();
    }
    let mut response = no_store(ok(&body));
    cookies::set(&mut response, &app.settings, &login.token, login.expires_in);
    response
}

async fn logout(app: Arc<App>, request: Request) -> Outcome {
    end_login(&app, &request).await?;
    let mut response = no_content();
    cookies::clear(&mut response, &app.settings);
    Ok(response)
}

/// Revokes the login or API token the request acts by, if any.
pub(super) async fn end_login(app: &App, request: &Request) -> Result<(), ApiError> {
    let Some(token) = request.principal().and_then(|principal| principal.token()) else {
        return Ok(());
    };
    let (uid, sid) = (token.uid, token.sid);
    let live = app.live.by(request.scene());
    app.store
        .write(move |tx| login::end(&live, tx, &uid, &sid))
        .await?;
    Ok(())
}

async fn me(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    let (id, is_admin, uid) = (
        principal.account.id.clone(),
        principal.account.is_admin(),
        principal.account.uid,
    );
    let account = app
        .store
        .read(move |reader| ACCOUNTS.get(reader, &uid))
        .await?;
    let row = account.map_or_else(
        || json!({"id": id, "is_admin": is_admin, "created_at": null, "last_login_at": null}),
        |account| {
            json!({
                "id": account.name,
                "is_admin": account.is_admin,
                "created_at": account.created_at.seconds(),
                "last_login_at": account.last_login_at.map(|at| at.seconds()),
            })
        },
    );
    Ok(no_store(ok(&row)))
}

/// Body of `POST /auth/setup`.
struct SetupBody {
    username: String,
    password: String,
    setup_code: Option<String>,
}

impl Shape for SetupBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            username: fields.string("username", 1..=64),
            password: fields.string("password", 8..=1024),
            setup_code: fields.optional_string("setup_code", 1..=128),
        };
        fields.finish().map(|()| body)
    }
}

async fn setup(app: Arc<App>, request: Request, body: SetupBody) -> Outcome {
    let login = set_up(
        &app,
        &request,
        &body.username,
        &body.password,
        body.setup_code.as_deref(),
    )
    .await?;
    Ok(signed_in(&app, &login))
}

/// Claims the server.
pub(super) async fn set_up(
    app: &App,
    request: &Request,
    username: &str,
    password: &str,
    code: Option<&str>,
) -> Result<SignedIn, ApiError> {
    if app.store.initialised() {
        return Err(AccountError::AlreadySetUp.into());
    }
    let chosen = Chosen {
        name: AccountName::parse(username).map_err(AccountError::from)?,
        password: Password::new(password),
    };
    let established = app
        .office
        .setup(chosen, code, request.guest(None), request.now)
        .await;
    if matches!(established, Err(OfficeError::SetupCode)) {
        let denied = Entry::new(Event::ClaimDenied).reason("setup code");
        app.live.audit.report(request.scene(), denied);
        // A code can be guessed no faster than a password.
        app.desk
            .count_failure("setup code", request.head.address(), request.now)?;
    }
    let established = established?;
    app.setup_done();
    Ok(app.desk.hand_out(established))
}

/// Body of `POST /auth/register`.
struct RegisterBody {
    invite: Option<String>,
    username: String,
    password: String,
}

impl Shape for RegisterBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            // Who may come without one is the operator's to say.
            invite: if request.door.running.glance().office.registration == Registration::Open {
                fields.optional_string("invite", 1..=128)
            } else {
                Some(fields.string("invite", 1..=128))
            },
            username: fields.string("username", 1..=64),
            password: fields.string("password", 8..=1024),
        };
        fields.finish().map(|()| body)
    }
}

async fn register(app: Arc<App>, request: Request, body: RegisterBody) -> Outcome {
    let login = join(&app, &request, body.invite, &body.username, &body.password).await?;
    Ok(signed_in(&app, &login))
}

/// Registers. The invite is looked at before the name, so that names do not leak (THREATS P1).
pub(super) async fn join(
    app: &App,
    request: &Request,
    invite: Option<String>,
    username: &str,
    password: &str,
) -> Result<SignedIn, ApiError> {
    let checked = app.office.check_invite(invite.clone(), request.now).await;
    if matches!(checked, Err(OfficeError::Account(AccountError::Invite))) {
        let denied = Entry::new(Event::InviteDenied);
        app.live.audit.report(request.scene(), denied);
    }
    checked?;
    let name = AccountName::parse(username).map_err(AccountError::from)?;
    let chosen = Chosen {
        name,
        password: Password::new(password),
    };
    let established = app
        .office
        .register(invite, chosen, request.guest(None), request.now)
        .await?;
    Ok(app.desk.hand_out(established))
}

async fn magic(app: Arc<App>, request: Request) -> Outcome {
    let uid = request.user()?.account.uid;
    let expires_at = request.now.plus_seconds(app.magic_ttl);
    let live = app.live.by(request.scene());
    let token = app
        .store
        .write(move |tx| issue_magic(&live, tx, &MagicLink { uid, expires_at }))
        .await?;
    let url = format!(
        "{}/auth/magic/redeem?t={}",
        app.settings.base_url,
        token.expose()
    );
    Ok(no_store(ok(
        &json!({"redeem_url": url, "expires_at": expires_at.seconds()}),
    )))
}

async fn redeem(app: Arc<App>, request: Request) -> Outcome {
    let mut fields = Fields::of_query(&request);
    let Some(token) = fields
        .optional_string("t", 1..=128)
        .filter(|token| !token.is_empty())
    else {
        return Ok(redirect("/login?magic=missing"));
    };
    let (lifetimes, now) = (app.lifetimes.clone(), request.now);
    let live = app.live.by(request.head.scene(now));
    let guest = request.guest(None);
    let redeemed = app
        .store
        .write(move |tx| {
            let uid = redeem_magic(&live, tx, &token, now)?;
            let origin = login::Origin::magic_link(guest);
            login::establish(&live, tx, &uid, origin, &lifetimes, now)
        })
        .await;
    match redeemed {
        Ok(established) => {
            let login = app.desk.hand_out(established);
            let mut response = no_store(redirect("/"));
            cookies::set(&mut response, &app.settings, &login.token, login.expires_in);
            Ok(response)
        }
        Err(AccountError::Store(error)) => Err(error.into()),
        Err(_) => {
            let denied = Entry::new(Event::MagicLinkDenied);
            app.live.audit.report(request.scene(), denied);
            Ok(redirect("/login?magic=expired"))
        }
    }
}

/// Body of `POST /auth/users/me/password`.
struct PasswordBody {
    old: String,
    new: String,
}

impl Shape for PasswordBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            old: fields.string("old_password", 1..=1024),
            new: fields.string("new_password", 8..=1024),
        };
        fields.finish().map(|()| body)
    }
}

async fn change_password(app: Arc<App>, request: Request, body: PasswordBody) -> Outcome {
    change_own_password(&app, &request, body.old, body.new).await?;
    Ok(no_content())
}

/// Changes the password of whoever asks, and ends all their other logins. A wrong old password
/// counts as a guess.
pub(super) async fn change_own_password(
    app: &App,
    request: &Request,
    old: String,
    new: String,
) -> Result<(), ApiError> {
    let principal = request.user()?;
    let (uid, keep) = (
        principal.account.uid,
        principal.token().map(|token| token.sid),
    );
    let report = |entry| app.live.audit.report(request.scene(), entry);
    let attempt = app
        .desk
        .count(&principal.account.id, request.head.address(), request.now)
        .inspect_err(|_| report(Entry::new(Event::Throttled).reason("old password")))?;
    let (old, new) = (Password::new(old), Password::new(new));
    let changed = app
        .office
        .change_password(uid, keep, &old, &new, request.scene())
        .await;
    let is_guess = matches!(changed, Err(OfficeError::WrongPassword));
    if is_guess {
        report(Entry::new(Event::PasswordDenied).reason("old password"));
    }
    app.desk.come_out(attempt, is_guess, request.now);
    changed?;
    Ok(())
}
