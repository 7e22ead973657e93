//! An error for people: what happened, what to do, and the number to ask about it by.

use askama::Template;
use http::{Method, StatusCode, header};

use super::{
    super::{ApiError, Head, Response, Settings},
    Link, Shell, render,
};

#[derive(Template)]
#[template(path = "error.html")]
struct Failure {
    shell: Shell,
    what: Option<String>,
    advice: String,
    link: Link,
    request_id: String,
}

/// The error as a page, if a person in a browser is to see it.
pub(in crate::http) fn failure(
    settings: &Settings,
    head: &Head,
    error: &ApiError,
) -> Option<Response> {
    let path = head.uri.path();
    let accept = head.header(header::ACCEPT).unwrap_or_default();
    let is_for_people =
        error.is_for_people() || (accept.contains("text/html") && !path.starts_with("/v1/"));
    if !is_for_people {
        return None;
    }
    let status = error.status();
    let (title, advice) = words(status);
    let mut advice = advice.to_owned();
    if let Some(seconds) = error.retry_after() {
        advice = match seconds {
            0..=1 => "Try again in a moment.".to_owned(),
            2..=119 => format!("Try again in {seconds} seconds."),
            _ => format!("Try again in {} minutes.", seconds.div_ceil(60)),
        };
    }
    let is_sign_in = matches!(path, "/login" | "/auth/login" | "/auth/callback");
    let title = if is_sign_in {
        "Could not sign you in"
    } else {
        title
    };
    let link = if is_sign_in || status == StatusCode::UNAUTHORIZED {
        Link::new("/auth/login", "Sign in")
    } else if head.method == Method::POST {
        Link::new(page_of(path), "Back to the page")
    } else {
        Link::new("/", "Home")
    };
    let failure = Failure {
        shell: Shell::bare(settings, title),
        // The title says as much already.
        what: Some(error.text().to_owned()).filter(|what| what != "Not Found"),
        advice,
        link,
        request_id: head.id.to_string(),
    };
    let mut response = render(status, &failure).ok()?;
    error.copy_headers(&mut response);
    Some(response)
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => ("You are not signed in", "Sign in and try again."),
        StatusCode::FORBIDDEN => (
            "You may not do this",
            "If you think you should, ask an admin of this server.",
        ),
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "It may have been removed, or the address may be mistyped.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "This does not work here",
            "Go back and use the page's own buttons.",
        ),
        StatusCode::GONE => ("This has expired", "Begin again."),
        StatusCode::CONFLICT => (
            "This cannot be done now",
            "Look at the page again: something may have changed.",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("Too many attempts", "Wait a while and try again."),
        StatusCode::SERVICE_UNAVAILABLE => ("Not available right now", "Try again in a moment."),
        status if status.is_server_error() => (
            "Something went wrong here",
            "It is not your fault. Try again; if it stays, tell whoever runs this server.",
        ),
        _ => ("That did not work", "Go back and try again."),
    }
}

/// The page below `/settings` or `/admin` that a form on `path` belongs to.
fn page_of(path: &str) -> &'static str {
    const PAGES: [&str; 4] = [
        "/settings/tokens",
        "/settings/logins",
        "/settings/password",
        "/admin/people",
    ];
    PAGES
        .into_iter()
        .find(|page| path.starts_with(page))
        .unwrap_or("/")
}

/// The text with a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let mut sentence = first.unwrap_or_default() + letters.as_str();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}
