//! Pages: what people see in a browser, one file and one template for each.
//!
//! Owns: the layout all pages share, the assets, the guard before a page, errors as pages. Does
//! not: decide anything; a page calls the function its endpoint under `/auth` calls.
//!
//! **Invariants:** everything that is shown is escaped by its template; a page works without
//! JavaScript, loads nothing from elsewhere and cannot be framed (THREATS C4, O11); a form that
//! changes something carries the token of the login it was made for (THREATS C2); a secret is shown
//! in the answer that makes it and nowhere else.
//!
//! | file | what |
//! |---|---|
//! | `shell`, `plain`, `confirm`, `secret`, `when` | parts that pages are made of |
//! | `guard`, `error`, `assets` | who gets in, what others see, style and script |
//! | `sign_in`, `home` | on the way in, and the way out |
//! | `tokens`, `logins`, `password`, `identities` | below `/settings` |
//! | `people`, `person`, `invite`, `backends`, `config`, `audit` | below `/admin` |

mod assets;
mod audit;
mod backends;
mod config;
mod confirm;
mod error;
mod guard;
mod home;
mod identities;
mod invite;
mod logins;
mod password;
mod people;
mod person;
mod plain;
mod secret;
mod shell;
pub(super) mod sign_in;
mod tokens;
mod when;

use askama::Template;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    ApiError, Outcome, Response, Route, Settings,
    response::{body, no_store},
};

pub(super) use error::failure;
pub(super) use guard::{form_token, form_token_of, instead};
pub(super) use plain::{Link, Page, PageField, PageForm, page};
pub(super) use shell::Shell;
use when::When;

pub(super) fn routes() -> Vec<Route> {
    let features = [
        assets::routes(),
        home::routes(),
        tokens::routes(),
        logins::routes(),
        password::routes(),
        identities::routes(),
        people::routes(),
        person::routes(),
        invite::routes(),
        backends::routes(),
        config::routes(),
        audit::routes(),
    ];
    features.into_iter().flatten().collect()
}

/// A template as an answer that nobody keeps.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Outcome {
    let html = template.render().map_err(ApiError::internal)?;
    Ok(no_store(body(status, "text/html; charset=utf-8", html)))
}

/// The headers every page has.
pub(super) fn protect(settings: &Settings, response: &mut Response) {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with that a browser sends `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
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
    if let Some(hsts) = &settings.hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}
