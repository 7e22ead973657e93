//! Pages: plain HTML that works without JavaScript, rendered from one template.
//!
//! **Invariant:** everything that is shown is escaped by the template; a page runs no script, loads
//! nothing from elsewhere and cannot be framed (THREATS C4, O11).

use std::sync::Arc;

use askama::Template;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{
    Access, ApiError, Outcome, Request, Response, Route, Settings,
    response::{body, no_store},
};
use crate::app::App;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::now(Method::GET, "/assets/style.css", Access::Public, |_, _| {
            Ok(style())
        }),
        Route::new(Method::GET, "/", Access::Public, home),
    ]
}

/// A page.
#[derive(Template, Default)]
#[template(path = "page.html")]
pub(super) struct Page {
    pub(super) title: &'static str,
    pub(super) banner: bool,
    pub(super) problem: Option<String>,
    pub(super) message: Option<String>,
    pub(super) forms: Vec<PageForm>,
    pub(super) links: Vec<Link>,
}

/// A link on a page.
pub(super) struct Link {
    pub(super) to: String,
    pub(super) text: String,
}

impl Link {
    pub(super) fn new(to: &str, text: &str) -> Self {
        Self {
            to: to.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// A form on a page.
pub(super) struct PageForm {
    pub(super) action: &'static str,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) fields: Vec<PageField>,
    pub(super) submit: &'static str,
}

/// A field of a form.
#[derive(Default)]
pub(super) struct PageField {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
    pub(super) autocomplete: String,
    pub(super) hint: &'static str,
    pub(super) max_length: u32,
    pub(super) required: bool,
}

/// The page as an answer.
pub(super) fn page(status: StatusCode, page: &Page) -> Outcome {
    let html = page.render().map_err(ApiError::internal)?;
    Ok(no_store(body(status, "text/html; charset=utf-8", html)))
}

fn style() -> Response {
    let mut response = body(
        StatusCode::OK,
        "text/css; charset=utf-8",
        include_str!("../../templates/style.css"),
    );
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// The headers every page has.
pub(super) fn protect(settings: &Settings, response: &mut Response) {
    const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if settings.is_secure() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

async fn home(app: Arc<App>, request: Request) -> Outcome {
    let mut home = Page {
        title: "omnigent",
        banner: app.settings.is_no_auth,
        ..Page::default()
    };
    match request.principal() {
        Some(principal) => home.message = Some(format!("Signed in as {}.", principal.account.id)),
        None if app.office.needs_setup() && app.login_url() == Some("/login") => {
            home.links.push(Link::new("/setup", "Claim this server"))
        }
        None => home.links.push(Link::new("/auth/login", "Sign in")),
    }
    page(StatusCode::OK, &home)
}
