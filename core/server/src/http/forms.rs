//! `/login`, `/setup` and `/register` for browsers: any step a backend asks for, without JavaScript.

use std::sync::Arc;

use http::{Method, StatusCode};
use omnigent_plugin::Answer;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route,
    accounts::{join, set_up},
    body::Content,
    cookies,
    pages::sign_in::{self, Asked},
    redirects,
    response::{no_store, redirect},
};
use crate::{
    app::App,
    backend::Instance,
    id::ConversationId,
    login::{Progress, SignedIn, Visit},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/login", Access::Public, answer).body(BodyRule::Form),
        Route::new(Method::GET, "/setup", Access::Public, setup),
        Route::new(Method::POST, "/setup", Access::Public, do_setup).body(BodyRule::Form),
        Route::new(Method::GET, "/register", Access::Public, register),
        Route::new(Method::POST, "/register", Access::Public, do_register).body(BodyRule::Form),
    ]
}

pub(super) fn query(request: &Request, name: &'static str) -> Option<String> {
    Fields::of_query(request).optional_string(name, 0..=usize::MAX)
}

pub(super) fn field(request: &Request, name: &'static str) -> String {
    Fields::of_body(request)
        .optional_string(name, 0..=usize::MAX)
        .unwrap_or_default()
}

/// What acts when it is read: nobody is led there who did not mean it (THREATS C2, C5).
const ACTS: [&str; 4] = [
    "/auth/callback",
    "/auth/login",
    "/auth/logout",
    "/auth/magic/",
];

/// Where to go after signing in: a path of ours that only shows something, or home (THREATS O12).
pub(super) fn return_to(said: Option<String>) -> String {
    let is_ours = |path: &String| {
        // Browsers take dots out of a path before they go there.
        let place = path.split(['?', '#']).next().unwrap_or_default();
        let has_dots = place.split('/').any(|part| part == "." || part == "..");
        let acts = ACTS.iter().any(|acting| place.starts_with(acting));
        path.starts_with('/')
            && !path.starts_with("//")
            && !has_dots
            && !acts
            && path.len() <= 512
            && path
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\\%\"<>^`{|}".contains(&b))
    };
    said.filter(is_ours).unwrap_or_else(|| "/".to_owned())
}

/// Where to sign in and come back to `here` from (CONTRACT section 5): what means nothing in a query
/// stays as it is.
pub(super) fn sign_in_url(here: &str) -> String {
    let here: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
    let here = [("%2F", "/"), ("%3F", "?"), ("%3D", "=")]
        .iter()
        .fold(here, |here, (coded, plain)| here.replace(coded, plain));
    format!("/login?return_to={here}")
}

/// What the person came for, as the form carried it.
fn visit(app: &App, request: &Request) -> Visit {
    let said = |name| Some(field(request, name)).filter(|text| (1..=512).contains(&text.len()));
    Visit {
        return_to: Some(return_to(said("return_to"))),
        ticket: said("ticket"),
        invite: said("invite"),
        ..redirects::visit(app, request)
    }
}

/// The answer to a step.
async fn answer(app: Arc<App>, request: Request) -> Outcome {
    let visit = visit(&app, &request);
    let backend = Some(field(&request, "backend")).filter(|name| !name.is_empty());
    let fields = match &request.content {
        Content::Form(pairs) => pairs.iter().cloned().collect(),
        _ => Default::default(),
    };
    let answer = Answer {
        fields,
        ..Answer::default()
    };
    let outcome = match field(&request, "conversation").parse::<ConversationId>() {
        Ok(id) => {
            let guest = request.guest_of(&app, None);
            app.desk
                .answer(&id, &answer, &visit, guest, request.now)
                .await
        }
        Err(_) => Err(crate::login::SignInError::Expired),
    };
    match outcome {
        Ok(Progress::Redirect(_, url)) => {
            let mut response = sign_in::onward(&app, &request, &url)?;
            if let Some(browser) = &visit.browser {
                cookies::bind(&mut response, &app.settings, browser);
            }
            Ok(response)
        }
        Ok(progress) => {
            let step = Step {
                progress,
                backend,
                visit: &visit,
                problem: None,
                status: StatusCode::OK,
            };
            step.show(&app, &request).await
        }
        Err(error) => {
            let error = ApiError::from(error);
            let problem = Some(error.text().to_owned());
            match error.status() {
                status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::GONE) => {
                    let page =
                        redirects::begin(&app, &request, backend, &visit, problem, status).await;
                    refusing(page, &error)
                }
                _ => Err(error),
            }
        }
    }
}

/// Where a sign-in stands.
pub(super) struct Step<'a> {
    pub(super) progress: Progress,
    pub(super) backend: Option<String>,
    pub(super) visit: &'a Visit,
    pub(super) problem: Option<String>,
    pub(super) status: StatusCode,
}

impl Step<'_> {
    /// Shows it as a page.
    pub(super) async fn show(self, app: &App, request: &Request) -> Outcome {
        let (id, form) = match self.progress {
            Progress::SignedIn(login) => {
                return redirects::arrive(app, request, &login, self.visit).await;
            }
            Progress::Redirect(_, url) => return Ok(redirects::away(app, self.visit, &url)),
            Progress::Ask(id, form) => (id, form),
        };
        let asked = Asked {
            id,
            form,
            backend: self.backend.as_deref(),
            visit: self.visit,
            problem: self.problem,
            typed: match &request.content {
                Content::Form(pairs) => pairs,
                _ => &[],
            },
        };
        sign_in::ask(app, request, self.status, asked)
    }
}

fn enter(app: &App, login: &SignedIn, to: &str) -> super::Response {
    let mut response = no_store(redirect(to));
    cookies::set(&mut response, &app.settings, login);
    response
}

async fn setup_page(
    app: &App,
    request: &Request,
    status: StatusCode,
    problem: Option<String>,
    username: String,
) -> Outcome {
    if !app.office.needs_setup() {
        return Ok(redirect("/login"));
    }
    sign_in::set_up(app, request, status, problem, username).await
}

async fn setup(app: Arc<App>, request: Request) -> Outcome {
    setup_page(&app, &request, StatusCode::OK, None, String::new()).await
}

async fn do_setup(app: Arc<App>, request: Request) -> Outcome {
    let (username, password) = (field(&request, "username"), field(&request, "password"));
    let code = field(&request, "setup_code");
    match set_up(&app, &request, &username, &password, Some(&code)).await {
        Ok(login) => Ok(enter(&app, &login, "/")),
        Err(error) => {
            let problem = Some(problem_of(&error));
            let page = setup_page(&app, &request, error.status(), problem, username).await;
            refusing(page, &error)
        }
    }
}

async fn register(app: Arc<App>, request: Request) -> Outcome {
    let invite = query(&request, "invite").unwrap_or_default();
    // Where no backend keeps passwords, an invite is redeemed by signing in.
    if !app.backends.iter().any(Instance::is_directory) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("invite", &invite);
        return Ok(redirect(&format!("/auth/login?{}", query.finish())));
    }
    sign_in::register(&app, &request, StatusCode::OK, None, invite, String::new())
}

async fn do_register(app: Arc<App>, request: Request) -> Outcome {
    let (username, password) = (field(&request, "username"), field(&request, "password"));
    let invite = field(&request, "invite");
    let said = Some(invite.clone()).filter(|invite| !invite.is_empty());
    match join(&app, &request, said, &username, &password).await {
        Ok(login) => Ok(enter(&app, &login, "/")),
        Err(error) => {
            let (status, problem) = (error.status(), Some(problem_of(&error)));
            let page = sign_in::register(&app, &request, status, problem, invite, username);
            refusing(page, &error)
        }
    }
}

/// The page that tells of an error, with what its headers say: how to sign in, when to come back.
fn refusing(page: Outcome, error: &ApiError) -> Outcome {
    let mut page = page?;
    if page.status() == error.status() {
        error.copy_headers(&mut page);
    }
    Ok(page)
}

/// What to tell the person. The one fault of a form here is its name's.
fn problem_of(error: &ApiError) -> String {
    if error.status() == StatusCode::UNPROCESSABLE_ENTITY {
        return crate::account::InvalidName::Grammar.to_string();
    }
    error.text().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{return_to, sign_in_url};

    #[test]
    fn where_to_come_back_to_is_read_as_it_was_written() {
        assert_eq!(
            sign_in_url("/oauth/device?user_code=A-B"),
            "/login?return_to=/oauth/device?user_code=A-B"
        );
        for here in ["/a?b=c&d=e#f", "/%2F%3D", "/a?b=%26&c=+ d", "/&reauth=1"] {
            let url = sign_in_url(here);
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let read: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            assert_eq!(read, [("return_to".into(), here.into())], "{url}");
        }
    }

    #[test]
    fn people_go_on_to_places_of_ours_only() {
        for ours in [
            "/",
            "/settings/tokens?new=1#x",
            "/oauth/device?user_code=A-B",
            "/auth/tokens?a=../b",
            "/c/a..b",
        ] {
            assert_eq!(return_to(Some(ours.to_owned())), ours);
        }
        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example/",
            "/%2f%2fevil.example",
            "/a b",
            "/`a",
            "/{a}|^",
            "/\u{e9}",
            "/auth/magic/redeem?t=theirs",
            "/auth/logout",
            "/auth/login?backend=corp",
            "/auth/callback?code=a&state=b",
            "/auth/./magic/redeem?t=theirs",
            "/settings/../auth/logout",
            "/settings/..",
        ] {
            assert_eq!(return_to(Some(other.to_owned())), "/", "{other:?}");
        }
        assert_eq!(return_to(Some(format!("/{}", "a".repeat(512)))), "/");
    }
}
