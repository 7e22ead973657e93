//! Settings → Logins.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{
        Access, Outcome, Request, Route,
        logins::{self, logins_of},
        response::redirect,
    },
    Shell, When, render,
};
use crate::{
    app::App,
    clock::Timestamp,
    id::LoginId,
    login::{Login, MAGIC_LINK},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page(Method::GET, PLACE, Access::Login, list),
        Route::page(
            Method::POST,
            "/settings/logins/end-others",
            Access::Login,
            end_others,
        ),
        Route::page(
            Method::POST,
            "/settings/logins/{id}/end",
            Access::Login,
            end,
        ),
    ]
}

const PLACE: &str = "/settings/logins";

/// A login in a list.
pub(super) struct Row {
    pub(super) id: LoginId,
    pub(super) device: String,
    /// The client that refreshes it, when it names itself.
    pub(super) client: Option<String>,
    pub(super) address: String,
    pub(super) backend: String,
    pub(super) began: When,
    pub(super) ends: When,
    pub(super) is_current: bool,
}

impl Row {
    pub(super) fn new(app: &App, id: LoginId, login: Login, now: Timestamp) -> Self {
        let backend = app.backends.get(&login.backend);
        Self {
            id,
            device: device(&login.user_agent),
            client: login.client_id,
            began: When::new(login.created_at, now),
            ends: When::new(login.expires_at, now),
            backend: match (backend, login.backend.as_str()) {
                (Some(backend), _) => backend.title().to_owned(),
                (None, MAGIC_LINK) => "a sign-in link".to_owned(),
                (None, name) => name.to_owned(),
            },
            address: login.address,
            is_current: false,
        }
    }
}

/// What a `User-Agent` says of the program and the machine, in two words.
fn device(user_agent: &str) -> String {
    let has = |word: &&(&str, &str)| user_agent.contains(word.0);
    // In this order: browsers name their forebears.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Macintosh", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let browser = BROWSERS.iter().find(has).map(|(_, name)| *name);
    let system = SYSTEMS.iter().find(has).map(|(_, name)| *name);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            let product = user_agent.split(['/', ' ']).next().unwrap_or_default();
            let name: String = product.chars().take(40).collect();
            if name.is_empty() {
                "Unnamed program".to_owned()
            } else {
                name
            }
        }
    }
}

#[derive(Template)]
#[template(path = "logins.html")]
struct List {
    shell: Shell,
    logins: Vec<Row>,
    has_others: bool,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    let current = principal.token().map(|token| token.sid);
    let mut logins: Vec<_> = logins_of(&app, principal.account().uid, request.now)
        .await?
        .into_iter()
        .map(|(id, login)| {
            let began = login.created_at;
            let row = Row::new(&app, id, login, request.now);
            let is_current = current == Some(id);
            (began, Row { is_current, ..row })
        })
        .collect();
    logins.sort_by_key(|(began, row)| (!row.is_current, std::cmp::Reverse(*began)));
    let notices = [
        ("ended", "The login is ended."),
        ("others", "All other logins are ended."),
    ];
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "Logins")
            .await?
            .noting(&request, &notices),
        has_others: logins.iter().any(|(_, row)| !row.is_current),
        logins: logins.into_iter().map(|(_, row)| row).collect(),
    };
    render(StatusCode::OK, &list)
}

async fn end(app: Arc<App>, request: Request) -> Outcome {
    logins::end(
        &app,
        &request,
        request.user()?.account().uid,
        request.param("id"),
    )
    .await?;
    Ok(redirect("/settings/logins?done=ended"))
}

async fn end_others(app: Arc<App>, request: Request) -> Outcome {
    let principal = request.user()?;
    let keep = principal.token().map(|token| token.sid);
    logins::end_all(&app, &request, principal.account().uid, keep).await?;
    Ok(redirect("/settings/logins?done=others"))
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn a_user_agent_is_said_in_two_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
        assert_eq!(device(firefox), "Firefox on Linux");
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                    Gecko) Chrome/141.0 Safari/537.36 Edg/141.0";
        assert_eq!(device(edge), "Edge on Windows");
        assert_eq!(device("curl/8.5.0"), "curl");
        assert_eq!(device(""), "Unnamed program");
    }
}
