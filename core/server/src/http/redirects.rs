//! Signing in and out by way of somebody else's pages: the chooser, the way there and the way back
//! (CONTRACT section 6).
//!
//! **Invariants:** a sign-in ends in the browser it began in; what an issuer or a query says is
//! shown to nobody; a place to go to afterwards is a path of ours.

use std::{collections::BTreeMap, sync::Arc};

use http::{Method, StatusCode};
use omnigent_plugin::Identity;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Outcome, Request, Response, Route,
    accounts::end_login,
    cli, cookies,
    forms::{Step, field, query, return_to},
    pages::{Link, Page, PageForm, form_token, form_token_of, page, sign_in},
    response::{no_store, ok, redirect},
};
use crate::{
    app::App,
    audit::{Entry, Event, Who},
    backend::Instance,
    login::{self, LOGINS, Progress, ReturnError, SignInError, SignedIn, Visit, throttle::Rate},
    token::hash,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/login", Access::Public, login),
        Route::new(Method::GET, "/auth/login", Access::Public, login),
        Route::new(Method::GET, "/auth/callback", Access::Public, callback),
        Route::new(Method::GET, "/auth/logout", Access::Public, logout),
        Route::new(
            Method::POST,
            "/auth/backchannel-logout/{backend}",
            Access::Public,
            ended,
        )
        .body(BodyRule::Form),
    ]
}

/// Longest code of a ticket or invite: what is kept for strangers is bounded (THREATS T9).
const LONGEST: usize = 128;

/// What the person came for, by the query; bound to their browser.
pub(super) fn visit(app: &App, request: &Request) -> Visit {
    let code = |name| query(request, name).filter(|code| code.len() <= LONGEST);
    let browser = cookies::browser(&request.head.headers, &app.settings);
    Visit {
        return_to: query(request, "return_to").map(|to| return_to(Some(to))),
        ticket: code("ticket"),
        invite: code("invite"),
        browser: Some(browser.unwrap_or_else(|| hash::generate().expose().clone())),
        reauth: query(request, "reauth").as_deref() == Some("1"),
    }
}

/// The first page of a sign-in: the chooser, a form, or the way to an issuer.
async fn login(app: Arc<App>, request: Request) -> Outcome {
    if app.settings.is_no_auth {
        return Ok(redirect("/"));
    }
    let is_only_passwords = app.login_url() == Some("/login");
    if is_only_passwords && app.office.needs_setup() {
        return Ok(redirect("/setup"));
    }
    let visit = visit(&app, &request);
    if let (Some(code), Some(principal)) = (&visit.ticket, request.principal()) {
        let token = form_token(&app, principal);
        return cli::confirm(&app, token, code, &principal.account().id, request.now).await;
    }
    let magic = query(&request, "magic");
    let problem = magic.map(|_| "This link is invalid or has expired.");
    let problem = problem.or(visit.reauth.then_some("Sign in once more to go on."));
    let problem = problem.map(str::to_owned);
    let chosen = query(&request, "backend").filter(|name| !name.is_empty());
    let mut interactive = app.backends.interactive();
    if chosen.is_none() {
        match (interactive.next(), interactive.next()) {
            (None, _) => return nowhere(&request, &visit),
            (Some(_), Some(_)) => return sign_in::choose(&app, &request, &visit, problem),
            (Some(_), None) => {}
        }
    }
    begin(&app, &request, chosen, &visit, problem, StatusCode::OK).await
}

/// Begins a sign-in and shows its first step.
pub(super) async fn begin(
    app: &App,
    request: &Request,
    backend: Option<String>,
    visit: &Visit,
    problem: Option<String>,
    status: StatusCode,
) -> Outcome {
    let guest = request.guest(None);
    let begun = app
        .desk
        .begin(backend.as_deref(), visit, guest, request.now)
        .await;
    match begun {
        Ok(Progress::Redirect(_, url)) => Ok(away(app, visit, &url)),
        Ok(progress) => {
            let step = Step {
                progress,
                backend,
                visit,
                problem,
                status,
            };
            step.show(app, request).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Sends the person to an issuer, and binds their browser.
pub(super) fn away(app: &App, visit: &Visit, url: &str) -> Response {
    let mut response = no_store(redirect(url));
    if let Some(browser) = &visit.browser {
        cookies::bind(&mut response, &app.settings, browser);
    }
    response
}

/// Nobody signs in on a page here: a proxy says who everybody is, or nobody can.
fn nowhere(request: &Request, visit: &Visit) -> Outcome {
    if request.principal().is_some() {
        return Ok(redirect(visit.return_to.as_deref().unwrap_or("/")));
    }
    let text = "there is no page to sign in on: come through your proxy";
    Err(ApiError::auth(StatusCode::UNAUTHORIZED, text).for_people())
}

/// A query in which nothing is said twice, and not too much.
fn pairs(request: &Request) -> Option<BTreeMap<String, String>> {
    let text = request.head.uri.query().unwrap_or_default();
    let mut pairs = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()).take(64) {
        if pairs
            .insert(name.into_owned(), value.into_owned())
            .is_some()
        {
            return None;
        }
    }
    Some(pairs)
}

/// The way back from an issuer.
async fn callback(app: Arc<App>, request: Request) -> Outcome {
    let bad = |event, why, text: &str| {
        let entry = Entry::new(event).reason(why);
        app.live.audit.report(request.scene(), entry);
        Err(ApiError::auth(StatusCode::BAD_REQUEST, text))
    };
    let denied = Event::LoginDenied;
    let said = pairs(&request).unwrap_or_default();
    let given = |name: &str| said.get(name).is_some_and(|value| !value.is_empty());
    let state = said.get("state").filter(|state| !state.is_empty());
    let (true, Some(state)) = (given("code") || given("error"), state) else {
        return bad(denied, "no state", "Missing code or state parameter");
    };
    let Some(browser) = cookies::browser(&request.head.headers, &app.settings) else {
        return bad(denied, "no cookie", "Missing auth state cookie");
    };
    let away = match app.desk.find_away(state, &browser, request.now) {
        Ok(away) => away,
        Err(error) => {
            let (event, why) = match error {
                ReturnError::OtherBrowser => (Event::RequestForged, "another browser"),
                ReturnError::Unknown => (denied, "unknown state"),
            };
            return bad(event, why, &error.to_string());
        }
    };
    let guest = request.guest(None);
    let outcome = app.desk.come_back(&away, said, guest, request.now).await;
    let visit = away.visit();
    match outcome {
        Ok(Progress::Redirect(_, url)) => Ok(self::away(&app, visit, &url)),
        Ok(progress) => {
            let step = Step {
                progress,
                backend: Some(away.backend().to_owned()),
                visit,
                problem: None,
                status: StatusCode::OK,
            };
            step.show(&app, &request).await
        }
        Err(error) => Err(refused(error)),
    }
}

fn refused(error: SignInError) -> ApiError {
    match error {
        SignInError::Refused(text) => ApiError::auth(StatusCode::BAD_REQUEST, &text),
        SignInError::Denied => ApiError::auth(StatusCode::FORBIDDEN, "Sign-in was denied"),
        error => error.into(),
    }
}

/// Signed in: to where the person wanted to go.
pub(super) async fn arrive(
    app: &App,
    request: &Request,
    login: &SignedIn,
    visit: &Visit,
) -> Outcome {
    let mut response = match &visit.ticket {
        Some(code) => {
            let token = form_token_of(app, &login.sid);
            cli::confirm(app, token, code, &login.user_id, request.now).await?
        }
        None => no_store(redirect(visit.return_to.as_deref().unwrap_or("/"))),
    };
    cookies::set(&mut response, &app.settings, login);
    Ok(response)
}

/// Signs out, and sends the person to where the backend that signed them in wants them.
async fn logout(app: Arc<App>, request: Request) -> Outcome {
    if app.login_url() == Some("/login") {
        return Err(ApiError::method_not_allowed("POST".to_owned()));
    }
    // Another site's link signs nobody out: the person has to mean it.
    let site = request.head.header("sec-fetch-site").unwrap_or("none");
    if site != "none" && site != "same-origin" {
        let Some(principal) = request.principal() else {
            return Ok(redirect("/"));
        };
        let shown = Page {
            title: "Sign out",
            message: Some("Another site sent you here to sign out.".to_owned()),
            forms: vec![PageForm {
                action: "/logout",
                hidden: vec![("form_token", form_token(&app, principal))],
                fields: Vec::new(),
                submit: "Sign out of this server",
            }],
            links: vec![Link::new("/", "Stay signed in")],
            ..Page::default()
        };
        return page(StatusCode::OK, &shown);
    }
    let to = match request.principal() {
        Some(_) => farewell(&app, &request).await,
        None => late_farewell(&app, &request).await,
    };
    end_login(&app, &request).await?;
    let mut response = no_store(redirect(to.as_deref().unwrap_or("/")));
    cookies::clear(&mut response, &app.settings);
    Ok(response)
}

/// Where the backend of this login wants people to go who sign out.
pub(super) async fn farewell(app: &App, request: &Request) -> Option<String> {
    let token = request.principal()?.token()?;
    let (uid, sid) = (token.account().uid, token.sid);
    let login = app
        .store
        .read(move |reader| LOGINS.get(reader, &(uid, sid)))
        .await
        .ok()??;
    let backend = app.backends.get(&login.backend)?;
    let (issuer, subject) = login.identity;
    let identity = Identity {
        issuer: Some(issuer).filter(|issuer| !issuer.is_empty()),
        ..Identity::new(subject)
    };
    goodbye(backend, &identity).await
}

/// Where people go whose login here is over already: where the one backend there is for them to have
/// signed in by sends them, who may be signed in there still.
async fn late_farewell(app: &App, request: &Request) -> Option<String> {
    let mut interactive = app.backends.interactive();
    let backend = interactive.next()?;
    if interactive.next().is_some() {
        return None;
    }
    // A stranger's: a backend is asked for it no oftener than to sign somebody in.
    let (address, now) = (request.head.address(), request.now);
    app.desk.charge(Rate::Begin, address, now).ok()?;
    goodbye(backend, &Identity::default()).await
}

async fn goodbye(backend: &Instance, identity: &Identity) -> Option<String> {
    let url = backend.logout(identity).await.ok()?.url?;
    let is_web = url.starts_with("https://") || url.starts_with("http://") || url.starts_with('/');
    is_web.then_some(url)
}

/// An issuer says that sessions have ended (OpenID Connect Back-Channel Logout 1.0 section 2.5).
async fn ended(app: Arc<App>, request: Request) -> Outcome {
    let invalid = || ApiError::auth(StatusCode::BAD_REQUEST, "invalid_request");
    let backend = app
        .backends
        .get(request.param("backend"))
        .filter(|backend| backend.can("logout"))
        .ok_or_else(|| ApiError::detail(StatusCode::NOT_FOUND, "Not Found"))?;
    let notice = field(&request, "logout_token");
    if notice.is_empty() || notice.len() > 16 * 1024 {
        return Err(invalid());
    }
    let ended = backend
        .ended(&notice)
        .await
        .map_err(|cause| ApiError::unavailable("cannot check this notice right now", cause))?;
    let Some(ended) = ended else {
        let forged = Entry::new(Event::RequestForged).reason("notice of logout");
        let forged = forged.backend(backend.name());
        app.live.audit.report(request.scene(), forged);
        return Err(invalid());
    };
    let name = backend.name().to_owned();
    let live = app
        .live
        .by(request.scene().done_by(Who::Backend(name.clone())));
    app.store
        .write(move |tx| login::end_by_issuer(&live, tx, &name, &ended))
        .await?;
    Ok(no_store(ok(&json!({}))))
}
