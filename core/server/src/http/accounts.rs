//! Signing in and out, setup, registration, one's own password (CONTRACT section 4).

use std::sync::Arc;

use http::Method;
use omnigent_plugin::Password;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Response, Route, Shape, cookies,
    response::{no_content, no_store, ok},
};
use crate::{
    account::{ACCOUNTS, AccountError, AccountName, Chosen, Claim, InvalidName, OfficeError},
    app::App,
    audit::{Entry, Event},
    clock::Timestamp,
    config::Registration,
    login::{self, Established, Guest, SignedIn, throttle::Rate},
    store::StoreError,
    token::TokenUse,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::POST, "/auth/login", Access::Public, login),
        Route::new(Method::POST, "/auth/logout", Access::Public, logout),
        Route::new(Method::GET, "/auth/me", Access::User, me),
        Route::shaped(Method::POST, "/auth/setup", Access::Public, setup),
        Route::shaped(Method::POST, "/auth/register", Access::Public, register),
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
    let guest = request.guest_of(&app, body.client_id);
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
    cookies::set(&mut response, &app.settings, login);
    response
}

async fn logout(app: Arc<App>, request: Request) -> Outcome {
    end_login(&app, &request).await?;
    let mut response = no_content();
    cookies::clear(&mut response, &app.settings);
    Ok(response)
}

/// Ends the login the request acts by, if any. An API token goes on: it is nobody's stay, and ended
/// where tokens are.
pub(super) async fn end_login(app: &App, request: &Request) -> Result<(), ApiError> {
    let Some(token) = request.principal().and_then(|principal| principal.token()) else {
        return Ok(());
    };
    let (uid, sid, ends) = (token.account().uid, token.sid, token.expires_at);
    let is_of_a_login = token.token_use == TokenUse::Access;
    let live = app.live.by(request.scene());
    app.store
        .write(move |tx| {
            let is_known = login::end(&live, tx, &uid, &sid)?;
            if is_of_a_login && !is_known {
                // Whatever became of the record: this token has been said to end.
                live.revoke(tx, *sid.as_bytes(), ends)?;
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

async fn me(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    let (id, is_admin, uid) = (
        principal.account().id.clone(),
        principal.account().is_admin(),
        principal.account().uid,
    );
    let account = app
        .store
        .read(move |reader| ACCOUNTS.get(reader, &uid))
        .await?;
    let row = account.map_or_else(
        || json!({"id": id.as_str(), "is_admin": is_admin, "created_at": null, "last_login_at": null}),
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
    let name = AccountName::parse(username);
    // What is of the wrong shape is told first (CONTRACT section 1).
    if app.store.initialised() && name != Err(InvalidName::Grammar) {
        return Err(AccountError::AlreadySetUp.into());
    }
    let chosen = Chosen {
        name: name.map_err(AccountError::from)?,
        password: Password::new(password),
    };
    let (guest, now) = (request.guest_of(app, None), request.now);
    let is_here = request.head.is_from_here();
    let claim = Claim { code, is_here };
    let report = |entry| app.live.audit.report(request.scene(), entry);
    // A code can be guessed no faster than a password.
    let attempt = match app.office.needs_setup_code(claim.is_here).await? {
        true => Some(
            app.desk
                .guess_code("setup code", guest.address, now)
                .inspect_err(|_| report(Entry::new(Event::Throttled).reason("setup code")))?,
        ),
        false => None,
    };
    let established = app.office.setup(chosen, claim, guest.clone(), now).await;
    if matches!(established, Err(OfficeError::SetupCode)) {
        report(Entry::new(Event::ClaimDenied).reason("setup code"));
    }
    match (attempt, &established) {
        (Some(attempt), Err(OfficeError::SetupCode)) => attempt.failed(),
        (Some(attempt), _) => attempt.withdrawn(),
        (None, _) => {}
    }
    let established = established?;
    app.setup_done();
    Ok(moved_in(app, established, username, &guest, now))
}

/// The first login of an account that was just made.
fn moved_in(
    app: &App,
    established: Established,
    name: &str,
    guest: &Guest,
    now: Timestamp,
) -> SignedIn {
    let uid = established.account.uid;
    let mut login = app.desk.hand_out(established);
    let whose = (app.office.directory_name(), name);
    app.desk.befriend(&mut login, &uid, whose, guest, now);
    login
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
    let (guest, now) = (request.guest_of(app, None), request.now);
    let report = |entry| app.live.audit.report(request.scene(), entry);
    let attempt = app
        .desk
        .guess_code("", guest.address, now)
        .inspect_err(|_| report(Entry::new(Event::Throttled).reason("invites")))?;
    let checked = app.office.check_invite(invite.clone(), now).await;
    match &checked {
        Err(OfficeError::Account(AccountError::Invite)) => {
            report(Entry::new(Event::InviteDenied));
            attempt.failed();
        }
        _ => attempt.withdrawn(),
    }
    checked?;
    app.desk.charge(Rate::Register, guest.address, now)?;
    let name = AccountName::parse(username).map_err(AccountError::from)?;
    let chosen = Chosen {
        name,
        password: Password::new(password),
    };
    let established = app
        .office
        .register(invite, chosen, guest.clone(), now)
        .await?;
    Ok(moved_in(app, established, username, &guest, now))
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
        principal.account().uid,
        principal.token().map(|token| token.sid),
    );
    let report = |entry| app.live.audit.report(request.scene(), entry);
    let guest = request.guest_of(app, None);
    let whose = (app.office.directory_name(), &*principal.account().id);
    let attempt = app
        .desk
        .guess(whose, &guest, request.now)
        .await
        .inspect_err(|_| report(Entry::new(Event::Throttled).reason("old password")))?;
    let (old, new) = (Password::new(old), Password::new(new));
    let changed = app
        .office
        .change_password(uid, keep, &old, &new, request.scene())
        .await;
    match &changed {
        Err(OfficeError::WrongPassword) => {
            report(Entry::new(Event::PasswordDenied).reason("old password"));
            attempt.failed();
        }
        Ok(()) => attempt.succeeded(),
        Err(_) => attempt.withdrawn(),
    }
    changed?;
    Ok(())
}
