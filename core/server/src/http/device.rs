//! The device grant (CONTRACT section 5; RFC 8628): a device asks and polls, a person decides on a
//! page.
//!
//! Does not: keep anything (`login::device` does).
//!
//! **Invariants:** a code says nothing to somebody who is not signed in; wrong codes are counted
//! before they are looked up; only a page of ours decides, for a login newer than the request.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape,
    cli::approval,
    forms, oauth,
    pages::{Page, PageField, PageForm, page, sign_in},
    request::{Authority, Principal},
    response::{no_store, ok, redirect},
};
use crate::{
    account::AccountError,
    app::App,
    audit::{Entry, Event},
    login::{
        device::{self, Applicant, Decided, INTERVAL, LIFETIME, Polled},
        throttle::{Attempt, Rate},
    },
    token::{TokenUse, grant::CLI_CLIENT, hash},
};

/// The grant type of a poll (RFC 8628 section 3.4).
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The page people decide on.
const PAGE: &str = "/oauth/device";
const TITLE: &str = "Connect a device";

pub(super) fn routes() -> Vec<Route> {
    let form = BodyRule::Form;
    vec![
        Route::shaped(
            Method::POST,
            "/oauth/device/authorize",
            Access::Public,
            authorize,
        ),
        Route::new(Method::GET, PAGE, Access::Public, show),
        Route::new(Method::POST, PAGE, Access::Login, enter).body(form),
        Route::new(
            Method::POST,
            "/oauth/device/approve",
            Access::Login,
            |app, request| decide(app, request, true),
        )
        .body(form),
        Route::new(
            Method::POST,
            "/oauth/device/deny",
            Access::Login,
            |app, request| decide(app, request, false),
        )
        .body(form),
    ]
}

/// Where nobody signs in on a page, there is no device grant.
fn has_page(app: &App) -> Result<(), ApiError> {
    match app.login_url() {
        Some(_) => Ok(()),
        None => Err(ApiError::detail(StatusCode::NOT_FOUND, "Not Found")),
    }
}

/// Holds the client against the operator's secret, if there is one.
fn check_client(app: &App, request: &Request) -> Result<(), ApiError> {
    let Some(secret) = &app.config.device.client_secret else {
        return Ok(());
    };
    let said = request.head.header("x-omnigent-client-secret");
    let is_it = said
        .is_some_and(|said| hash::constant_time_eq(said.as_bytes(), secret.expose().as_bytes()));
    if is_it {
        return Ok(());
    }
    let refused = Entry::new(Event::DeviceRefused).reason("client secret");
    app.live.audit.report(request.scene(), refused);
    Err(ApiError::auth(StatusCode::UNAUTHORIZED, "invalid_client"))
}

struct Authorize {
    client_id: Option<String>,
}

impl Shape for Authorize {
    const BODY: BodyRule = BodyRule::JsonOrForm;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let client_id = fields.optional_string("client_id", 0..=64);
        fields.finish()?;
        // Empty counts as absent (RFC 6749 section 3.2).
        let client_id = client_id.filter(|id| !id.is_empty());
        Ok(Self { client_id })
    }
}

async fn authorize(app: Arc<App>, request: Request, body: Authorize) -> Outcome {
    has_page(&app)?;
    oauth::no_repeats(&request)?;
    check_client(&app, &request)?;
    let is_acceptable = |id: &String| {
        // The command line's grants never rotate: its name is not to be had by asking.
        !id.eq_ignore_ascii_case(CLI_CLIENT)
            && id.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
            && id.trim() == id
    };
    if !body.client_id.iter().all(is_acceptable) {
        return Err(oauth::refused("invalid_request"));
    }
    let (now, guest) = (request.now, request.guest(None));
    let address = guest.address;
    app.desk.charge(Rate::Begin, address, now)?;
    let too_many = |device::TooMany| ApiError::slow_down(60);
    app.store
        .read(move |reader| device::has_room(reader, address, now))
        .await?
        .map_err(too_many)?;
    let applicant = Applicant {
        address,
        user_agent: guest.user_agent,
        client_id: body.client_id,
    };
    let live = app.live.clone();
    let issued = app
        .store
        .write(move |tx| device::ask(&live, tx, applicant, now))
        .await?
        .map_err(too_many)?;
    let uri = format!("{}{PAGE}", app.settings.base_url);
    Ok(no_store(ok(&json!({
        "device_code": issued.device_code.expose(),
        "user_code": issued.user_code,
        "verification_uri": uri,
        "verification_uri_complete": format!("{uri}?user_code={}", issued.user_code),
        "expires_in": LIFETIME,
        "interval": INTERVAL,
    }))))
}

/// A poll: `POST /oauth/token` with [`GRANT_TYPE`].
pub(super) async fn poll(app: &App, request: &Request) -> Outcome {
    check_client(app, request)?;
    let code = oauth::field(request, "device_code");
    let code = code.ok_or_else(|| oauth::refused("invalid_request"))?;
    let client_id = oauth::field(request, "client_id");
    let (live, now) = (app.live.clone(), request.now);
    let (asked, client) = (code.clone(), client_id.clone());
    let polled = app
        .store
        .read(move |reader| device::poll(&live, reader, &asked, client.as_deref(), now))
        .await?;
    if polled != Polled::Approved {
        return Err(waits(app, request, &polled));
    }
    let exchanged = app
        .desk
        .exchange_device(code, client_id, request.scene())
        .await?;
    let login = exchanged.map_err(|polled| waits(app, request, &polled))?;
    let refresh = login.refresh_token.as_ref().map(|token| token.expose());
    Ok(no_store(ok(&json!({
        "access_token": login.token.expose(),
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": login.expires_in,
        "scope": "sessions",
    }))))
}

fn waits(app: &App, request: &Request, polled: &Polled) -> ApiError {
    oauth::refused(match polled {
        Polled::Pending(key) if app.device_pace().is_too_soon(*key, request.now) => "slow_down",
        Polled::Pending(_) | Polled::Approved => "authorization_pending",
        Polled::Denied => "access_denied",
        Polled::Expired => "expired_token",
        Polled::Unknown => "invalid_grant",
    })
}

/// Where to sign in, and come back from.
fn to_sign_in(typed: Option<&str>, reauth: bool) -> super::Response {
    let is_plain = |code: &&str| {
        code.len() <= 32 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let back = match typed.filter(is_plain) {
        Some(code) => format!("{PAGE}?user_code={code}"),
        None => PAGE.to_owned(),
    };
    let mut url = forms::sign_in_url(&back);
    if reauth {
        url.push_str("&reauth=1");
    }
    no_store(redirect(&url))
}

/// The person a page is for: whoever is signed in, and no program of theirs.
fn person(request: &Request) -> Option<&Principal> {
    request
        .principal()
        .filter(|principal| match &principal.authority {
            Authority::Token(token) => token.token_use == TokenUse::Access && token.scope.is_none(),
            Authority::Asserted(..) => true,
            Authority::NoAuth(_) | Authority::Operator(_) => false,
        })
}

/// Counts a code, before it is looked up (THREATS A4).
fn guess(app: &App, request: &Request, principal: &Principal) -> Result<Attempt, ApiError> {
    let whose = principal.account().uid.to_string();
    let counted = app
        .desk
        .guess_code(&whose, request.head.address(), request.now);
    counted.map_err(|error| {
        let throttled = Entry::new(Event::Throttled).reason("device codes");
        app.live.audit.report(request.scene(), throttled);
        error.into()
    })
}

async fn show(app: Arc<App>, request: Request) -> Outcome {
    has_page(&app)?;
    let typed = forms::query(&request, "user_code").filter(|code| !code.is_empty());
    let Some(principal) = person(&request) else {
        return Ok(to_sign_in(typed.as_deref(), false));
    };
    let Some(typed) = typed else {
        return ask_for_code(StatusCode::OK, None);
    };
    let attempt = match guess(&app, &request, principal) {
        Ok(attempt) => attempt,
        Err(error) => return Err(error.for_people()),
    };
    let (live, now, wanted) = (app.live.clone(), request.now, typed.clone());
    let found = app
        .store
        .read(move |reader| device::waiting(&live, reader, &wanted, now))
        .await?;
    let Some(found) = found else {
        attempt.failed();
        return invalid(StatusCode::OK);
    };
    attempt.withdrawn();
    let (_, since) = approval(&app, &request).await?;
    if since < found.created_at {
        return Ok(to_sign_in(Some(&typed), true));
    }
    let code = device::normal(&typed).unwrap_or_default();
    let account = &principal.account().id;
    sign_in::confirm_device(&app, account, &code, &found, now)
}

/// For a device that shows a code and no link.
fn ask_for_code(status: StatusCode, problem: Option<String>) -> Outcome {
    let field = PageField {
        name: "user_code".into(),
        label: "Code".into(),
        kind: "text",
        autocomplete: "off".into(),
        hint: "The eight letters and digits your device shows.",
        max_length: 16,
        required: true,
        ..PageField::default()
    };
    let shown = Page {
        title: TITLE,
        problem,
        message: Some("Type the code that your device or program shows.".to_owned()),
        forms: vec![PageForm {
            action: PAGE,
            hidden: Vec::new(),
            fields: vec![field],
            submit: "Continue",
        }],
        ..Page::default()
    };
    page(status, &shown)
}

/// A code was typed: to the page that shows what it is for.
async fn enter(app: Arc<App>, request: Request) -> Outcome {
    has_page(&app)?;
    let typed = forms::field(&request, "user_code");
    match device::normal(&typed) {
        Some(code) => Ok(no_store(redirect(&format!("{PAGE}?user_code={code}")))),
        None => {
            let problem = "This is not a code: it has eight letters and digits.".to_owned();
            ask_for_code(StatusCode::BAD_REQUEST, Some(problem))
        }
    }
}

fn invalid(status: StatusCode) -> Outcome {
    let shown = Page {
        title: TITLE,
        problem: Some("This link is invalid or has expired.".to_owned()),
        ..Page::default()
    };
    page(status, &shown)
}

async fn decide(app: Arc<App>, request: Request, is_approval: bool) -> Outcome {
    has_page(&app)?;
    // Also of those who bring their credential themselves: a decision is made on the page.
    if !request.head.headers.contains_key(header::ORIGIN) {
        return Err(ApiError::detail(StatusCode::FORBIDDEN, "missing Origin"));
    }
    let principal = request.user()?;
    let typed = forms::field(&request, "user_code");
    let attempt = match guess(&app, &request, principal) {
        Ok(attempt) => attempt,
        Err(error) => return Err(error.for_people()),
    };
    let approval = match is_approval {
        true => Some(approval(&app, &request).await?),
        false => None,
    };
    let (live, now, code) = (app.live.by(request.scene()), request.now, typed.clone());
    let access = request.access;
    let decided = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            let decided = match approval {
                Some((approval, since)) => device::approve(&live, tx, &code, approval, since, now),
                None => device::deny(&live, tx, &code, now),
            };
            decided.map_err(AccountError::from)
        })
        .await?;
    if decided == Decided::Unknown {
        attempt.failed();
        return invalid(StatusCode::GONE);
    }
    attempt.withdrawn();
    if decided == Decided::Stale {
        return Ok(to_sign_in(Some(&typed), true));
    }
    let (title, message) = if is_approval {
        (
            "Connected",
            "You can close this page and go back to your device.",
        )
    } else {
        ("Denied", "The device gets nothing.")
    };
    let shown = Page {
        title,
        message: Some(message.to_owned()),
        ..Page::default()
    };
    page(StatusCode::OK, &shown)
}
