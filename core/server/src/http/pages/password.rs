//! Settings → Password, for whoever has one.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{
        Access, ApiError, Outcome, Request, Route, accounts::change_own_password, forms::field,
        response::redirect,
    },
    PageField, Shell,
    error::sentence,
    render,
};
use crate::app::App;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page(Method::GET, PLACE, Access::Login, show),
        Route::page(Method::POST, PLACE, Access::Login, change),
    ]
}

const PLACE: &str = "/settings/password";

#[derive(Template)]
#[template(path = "password.html")]
struct Change {
    shell: Shell,
    username: String,
    fields: Vec<PageField>,
}

async fn show(app: Arc<App>, request: Request) -> Outcome {
    ask(&app, &request, StatusCode::OK, None).await
}

async fn ask(app: &App, request: &Request, status: StatusCode, problem: Option<String>) -> Outcome {
    let principal = request.user()?;
    let keeps = match principal.person() {
        Some(uid) => app.office.keeps_password(uid).await?,
        None => false,
    };
    if !keeps {
        let text = "your account has no password on this server";
        return Err(ApiError::auth(StatusCode::NOT_FOUND, text));
    }
    let field = |name: &str, label: &str, autocomplete: &str, hint| PageField {
        name: name.to_owned(),
        label: label.to_owned(),
        kind: "password",
        autocomplete: autocomplete.to_owned(),
        hint,
        max_length: 1024,
        required: true,
        ..PageField::default()
    };
    let hint = "At least 8 characters, and not one everybody uses.";
    let change = Change {
        username: principal.account().id.to_string(),
        shell: Shell::at(app, request, PLACE, "Password")
            .await?
            .noting(
                request,
                &[(
                    "changed",
                    "Your password is changed, and your other logins are ended.",
                )],
            )
            .troubled(problem),
        fields: vec![
            field("old_password", "Current password", "current-password", ""),
            field("new_password", "New password", "new-password", hint),
            field("again", "New password, again", "new-password", ""),
        ],
    };
    render(status, &change)
}

async fn change(app: Arc<App>, request: Request) -> Outcome {
    let [old, new, again] =
        ["old_password", "new_password", "again"].map(|name| field(&request, name));
    let length = new.chars().count();
    let problem = if new != again {
        Some("The new password and its repetition differ.")
    } else if !(8..=1024).contains(&length) {
        Some("A password has 8 to 1024 characters.")
    } else {
        None
    };
    if let Some(problem) = problem {
        let problem = Some(problem.to_owned());
        return ask(&app, &request, StatusCode::BAD_REQUEST, problem).await;
    }
    match change_own_password(&app, &request, old, new).await {
        Ok(()) => Ok(redirect("/settings/password?done=changed")),
        Err(error) if error.status().is_client_error() => {
            let status = match error.status() {
                // Not the login is wrong but what was typed.
                StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
                status => status,
            };
            let problem = Some(sentence(error.text()));
            let mut response = ask(&app, &request, status, problem).await?;
            error.copy_headers(&mut response);
            Ok(response)
        }
        Err(error) => Err(error),
    }
}
