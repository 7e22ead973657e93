//! Settings → API tokens.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{
        Access, ApiError, Outcome, Request, Route,
        forms::field,
        response::redirect,
        tokens::{self, Made, NewToken, tokens_of},
    },
    Shell, When,
    confirm::Confirm,
    error::sentence,
    render,
    secret::{Shown, ShownOnce},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::LoginId,
    token::{Scope, Scopes, api::ApiToken},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page(Method::GET, PLACE, Access::Login, list),
        Route::page(Method::GET, "/settings/tokens/new", Access::Login, wanted),
        Route::page(Method::POST, "/settings/tokens/new", Access::Login, make),
        Route::page(
            Method::GET,
            "/settings/tokens/{id}/rotate",
            Access::Login,
            ask_rotate,
        ),
        Route::page(
            Method::POST,
            "/settings/tokens/{id}/rotate",
            Access::Login,
            rotate,
        ),
        Route::page(
            Method::GET,
            "/settings/tokens/{id}/revoke",
            Access::Login,
            ask_revoke,
        ),
        Route::page(
            Method::POST,
            "/settings/tokens/{id}/revoke",
            Access::Login,
            revoke,
        ),
    ]
}

const PLACE: &str = "/settings/tokens";
const DAY: u64 = 86_400;

/// A token in a list.
pub(super) struct Row {
    pub(super) id: LoginId,
    pub(super) name: String,
    pub(super) reach: String,
    pub(super) created: When,
    pub(super) used: Option<When>,
    pub(super) used_from: Option<String>,
    pub(super) ends: Option<When>,
    pub(super) is_ending: bool,
}

impl Row {
    pub(super) fn new(id: LoginId, token: ApiToken, now: Timestamp) -> Self {
        Self {
            id,
            reach: match &token.scope {
                None => "Uses the API as its owner".to_owned(),
                Some(scope) => format!("Only {}", scope.replace(' ', ", ")),
            },
            created: When::new(token.created_at, now),
            used: token.last_used_at.map(|at| When::new(at, now)),
            ends: token.expires_at.map(|at| When::new(at, now)),
            is_ending: ends_soon(&token, now),
            used_from: token.last_used_ip,
            name: token.name,
        }
    }

    /// The same, said to its owner.
    fn of_oneself(mut self) -> Self {
        self.reach = self.reach.replace("its owner", "you");
        self
    }
}

/// Whether the token ends within a week, and has not been made to.
pub(super) fn ends_soon(token: &ApiToken, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|at| {
        let is_long = at.millis_since(token.created_at) > 14 * DAY * 1000;
        is_long && at.millis_since(now) < 7 * DAY * 1000
    })
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct List {
    shell: Shell,
    tokens: Vec<Row>,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let mut rows = tokens_of(&app, request.user()?.account().uid).await?;
    rows.sort_by_key(|(_, token)| std::cmp::Reverse(token.created_at));
    let notices = [(
        "revoked",
        "The token is revoked: it is refused from now on.",
    )];
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "API tokens")
            .await?
            .noting(&request, &notices),
        tokens: rows
            .into_iter()
            .map(|(id, token)| Row::new(id, token, request.now).of_oneself())
            .collect(),
    };
    render(StatusCode::OK, &list)
}

/// A scope to choose.
struct ScopeChoice {
    name: &'static str,
    word: &'static str,
    about: &'static str,
    is_chosen: bool,
}

const SCOPES: [(&str, Scope, &str); 4] = [
    (
        "scope_read",
        Scope::SessionsRead,
        "See agents and sessions.",
    ),
    (
        "scope_sessions",
        Scope::Sessions,
        "See agents; see, make, change and delete sessions.",
    ),
    (
        "scope_account",
        Scope::Account,
        "See and revoke your tokens and logins, and make tokens.",
    ),
    (
        "scope_admin",
        Scope::Admin,
        "Invite people, change their accounts, read the audit trail, and look up tokens.",
    ),
];

#[derive(Template)]
#[template(path = "token_new.html")]
struct Wanted {
    shell: Shell,
    name: String,
    lifetimes: Vec<(String, String, bool)>,
    is_chosen: bool,
    scopes: Vec<ScopeChoice>,
}

async fn wanted(app: Arc<App>, request: Request) -> Outcome {
    ask(&app, &request, StatusCode::OK, None).await
}

/// The form, filled in as it was sent.
async fn ask(app: &App, request: &Request, status: StatusCode, problem: Option<String>) -> Outcome {
    let is_admin = request.user()?.account().is_admin();
    let scopes = SCOPES
        .into_iter()
        .filter(|(_, scope, _)| *scope != Scope::Admin || is_admin)
        .map(|(name, scope, about)| ScopeChoice {
            name,
            word: scope.as_str(),
            about,
            is_chosen: field(request, name) == "on",
        });
    let wanted = Wanted {
        shell: Shell::at(app, request, PLACE, "New token")
            .await?
            .troubled(problem),
        name: field(request, "name"),
        lifetimes: lifetimes(app, &field(request, "expires")),
        is_chosen: field(request, "access") == "chosen",
        scopes: scopes.collect(),
    };
    render(status, &wanted)
}

/// What there is to choose from, within what the operator allows.
fn lifetimes(app: &App, chosen: &str) -> Vec<(String, String, bool)> {
    let most = app.api_policy.longest / DAY;
    let mut days: Vec<u64> = [7, 30, 90, 180, 365]
        .into_iter()
        .filter(|days| *days < most)
        .collect();
    days.push(most.clamp(1, 366));
    let usual = [30, 7].into_iter().find(|usual| days.contains(usual));
    let usual = usual.or(days.first().copied()).unwrap_or(1).to_string();
    let chosen = if chosen.is_empty() { &usual } else { chosen };
    let in_words = |days: u64| {
        let words = match days {
            1 => "In a day".to_owned(),
            365 | 366 => "In a year".to_owned(),
            days => format!("In {days} days"),
        };
        (days.to_string(), words)
    };
    // A year and the most there is may be the same in words.
    days.dedup_by(|later, earlier| *earlier >= 365 && *later >= 365);
    let mut choices: Vec<_> = days.into_iter().map(in_words).collect();
    if app.api_policy.allows_endless {
        choices.push(("never".to_owned(), "Never".to_owned()));
    }
    choices
        .into_iter()
        .map(|(value, words)| {
            let is_chosen = value == chosen;
            (value, words, is_chosen)
        })
        .collect()
}

/// What the form asks for, or what is wrong with it.
fn read(request: &Request) -> Result<NewToken, &'static str> {
    let name = field(request, "name").trim().to_owned();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err("Give the token a name of up to 100 characters.");
    }
    let expires = field(request, "expires");
    let days = match expires.as_str() {
        "never" => None,
        text => match text.parse::<u64>() {
            Ok(days @ 1..=366) => Some(days),
            _ => return Err("Choose when the token expires."),
        },
    };
    let scope = match field(request, "access").as_str() {
        "all" => None,
        _ => Some(
            SCOPES
                .into_iter()
                .filter(|(name, _, _)| field(request, name) == "on")
                .fold(Scopes::default(), |scopes, (_, scope, _)| {
                    scopes.with(scope)
                }),
        ),
    };
    if scope.is_some_and(Scopes::is_empty) {
        return Err("Choose at least one scope.");
    }
    Ok(NewToken {
        name,
        days,
        is_endless: expires == "never",
        scope,
    })
}

async fn make(app: Arc<App>, request: Request) -> Outcome {
    let wanted = match read(&request) {
        Ok(wanted) => wanted,
        Err(problem) => {
            let status = StatusCode::BAD_REQUEST;
            return ask(&app, &request, status, Some(problem.to_owned())).await;
        }
    };
    match tokens::make(&app, &request, wanted).await {
        Ok(made) => show(&app, &request, &made).await,
        Err(error) if error.status().is_client_error() => {
            let problem = Some(sentence(error.text()));
            ask(&app, &request, error.status(), problem).await
        }
        Err(error) => Err(error),
    }
}

async fn show(app: &App, request: &Request, made: &Made) -> Outcome {
    let (text, base) = (made.text.expose(), &app.settings.base_url);
    let nobody = LoginId::from_bytes([0; 16]);
    let row = Row::new(nobody, made.token.clone(), request.now).of_oneself();
    let ends = row.ends.map_or_else(
        || "It never expires.".to_owned(),
        |ends| format!("It expires {}.", ends.words),
    );
    let path = match made.token.scopes() {
        Some(scopes) if !scopes.permits("GET", "/v1/me") => {
            if scopes.permits("GET", "/v1/sessions") {
                "/v1/sessions"
            } else {
                "/auth/users"
            }
        }
        _ => "/v1/me",
    };
    let shown = ShownOnce {
        shell: Shell::at(app, request, PLACE, format!("Token “{}”", row.name)).await?,
        warning: "Copy the token now. It is shown this once and never again.",
        secrets: vec![
            Shown {
                id: "token",
                label: "Your token",
                text: text.clone(),
            },
            Shown {
                id: "curl",
                label: "Try it in a terminal",
                text: format!("curl -H 'Authorization: Bearer {text}' {base}{path}"),
            },
        ],
        details: format!("{}. {ends}", row.reach),
        back: PLACE,
    };
    shown.show()
}

/// The token a page is about.
async fn found(app: &App, request: &Request) -> Result<ApiToken, ApiError> {
    let tokens = tokens_of(app, request.user()?.account().uid).await?;
    let id = request.param("id");
    let found = tokens.into_iter().find(|(own, _)| own.to_string() == id);
    let not_found = || ApiError::auth(StatusCode::NOT_FOUND, "you have no such token");
    found.map(|(_, token)| token).ok_or_else(not_found)
}

async fn ask_rotate(app: Arc<App>, request: Request) -> Outcome {
    let token = found(&app, &request).await?;
    let confirm = Confirm {
        shell: Shell::at(&app, &request, PLACE, format!("Rotate “{}”", token.name)).await?,
        lines: vec![
            "You get a new token of the same name, reach and lifetime. Put it where the old one is."
                .to_owned(),
        ],
        action: format!("/settings/tokens/{}/rotate", request.param("id")),
        submit: "Rotate token",
        is_grave: false,
        overlap: Some("The old token works"),
        back: PLACE.to_owned(),
    };
    confirm.show()
}

async fn rotate(app: Arc<App>, request: Request) -> Outcome {
    let overlap = field(&request, "overlap").parse::<u64>();
    let Ok(overlap @ 0..=2_592_000) = overlap else {
        let text = "choose for how long the old token works";
        return Err(ApiError::auth(StatusCode::BAD_REQUEST, text));
    };
    let made = tokens::succeed(&app, &request, overlap).await?;
    show(&app, &request, &made).await
}

async fn ask_revoke(app: Arc<App>, request: Request) -> Outcome {
    let token = found(&app, &request).await?;
    let confirm = Confirm {
        shell: Shell::at(&app, &request, PLACE, format!("Revoke “{}”", token.name)).await?,
        lines: vec![
            "Whatever uses this token is refused from its next request on. This cannot be undone."
                .to_owned(),
        ],
        action: format!("/settings/tokens/{}/revoke", request.param("id")),
        submit: "Revoke token",
        is_grave: true,
        overlap: None,
        back: PLACE.to_owned(),
    };
    confirm.show()
}

async fn revoke(app: Arc<App>, request: Request) -> Outcome {
    tokens::revoke(
        &app,
        &request,
        request.user()?.account().uid,
        request.param("id"),
    )
    .await?;
    Ok(redirect("/settings/tokens?done=revoked"))
}
