//! Admin → People → one of them: what they may, what acts for them, and what to do about it.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{
        Access, ApiError, Fields, Outcome, Request, Route,
        logins::{self, logins_of},
        people::{change_account, remove},
        response::redirect,
        tokens::{self, tokens_of},
    },
    Shell,
    confirm::Confirm,
    identities, logins as login_pages,
    people::{PLACE, Row},
    render,
    secret::{Shown, ShownOnce},
    tokens as token_pages,
};
use crate::{
    account::{Account, OfficeError, by_name},
    app::App,
};

pub(super) fn routes() -> Vec<Route> {
    let get = Method::GET;
    let post = Method::POST;
    let admin = Access::Admin;
    vec![
        Route::page(get.clone(), "/admin/people/{id}", admin, show),
        Route::page(post.clone(), "/admin/people/{id}/change", admin, change),
        Route::page(get.clone(), "/admin/people/{id}/reset", admin, ask_reset),
        Route::page(post.clone(), "/admin/people/{id}/reset", admin, reset),
        Route::page(get, "/admin/people/{id}/delete", admin, ask_delete),
        Route::page(post.clone(), "/admin/people/{id}/delete", admin, delete),
        Route::page(
            post.clone(),
            "/admin/people/{id}/logins/end",
            admin,
            end_all,
        ),
        Route::page(
            post.clone(),
            "/admin/people/{id}/logins/{lid}/end",
            admin,
            end,
        ),
        Route::page(
            post,
            "/admin/people/{id}/tokens/{tid}/revoke",
            admin,
            revoke,
        ),
    ]
}

#[derive(Template)]
#[template(path = "person.html")]
struct Person {
    shell: Shell,
    person: Row,
    has_password: bool,
    logins: Vec<login_pages::Row>,
    tokens: Vec<token_pages::Row>,
    identities: Vec<identities::Row>,
}

const NOTICES: [(&str, &str); 7] = [
    ("promoted", "Now an admin."),
    ("demoted", "No longer an admin."),
    ("disabled", "Disabled: signed out everywhere, and refused."),
    ("enabled", "Enabled: can sign in again."),
    ("ended", "The login is ended."),
    ("all-ended", "All logins are ended."),
    ("revoked", "The token is revoked."),
];

async fn found(app: &App, request: &Request) -> Result<Account, ApiError> {
    let name = request.param("id").to_owned();
    let account = app
        .store
        .read(move |reader| by_name(reader, &name))
        .await
        .map_err(OfficeError::from)?;
    Ok(account)
}

async fn show(app: Arc<App>, request: Request) -> Outcome {
    let account = found(&app, &request).await?;
    let (uid, now) = (account.uid, request.now);
    let own = &request.user()?.account().id;
    let logins = logins_of(&app, uid, now).await?;
    let tokens = tokens_of(&app, uid).await?;
    let person = Person {
        shell: Shell::at(&app, &request, PLACE, account.name.as_str())
            .await?
            .noting(&request, &NOTICES),
        person: Row::new(&account, own, now),
        has_password: app.office.keeps_password(uid).await?,
        logins: logins
            .into_iter()
            .map(|(id, login)| login_pages::Row::new(&app, id, login, now))
            .collect(),
        tokens: tokens
            .into_iter()
            .map(|(id, token)| token_pages::Row::new(id, token, now))
            .collect(),
        identities: account
            .identities
            .into_iter()
            .map(|key| identities::Row::new(&app, key))
            .collect(),
    };
    render(StatusCode::OK, &person)
}

/// Back to the person's page.
fn back(request: &Request, done: &str) -> Outcome {
    let name = request.param("id");
    Ok(redirect(&format!("{PLACE}/{name}?done={done}")))
}

async fn change(app: Arc<App>, request: Request) -> Outcome {
    let mut fields = Fields::of_body(&request);
    let is_admin = fields.optional_boolean("is_admin");
    let disabled = fields.optional_boolean("disabled");
    fields.finish()?;
    change_account(&app, &request, is_admin, disabled).await?;
    let done = match (is_admin, disabled) {
        (Some(true), _) => "promoted",
        (Some(false), _) => "demoted",
        (None, Some(true)) => "disabled",
        (None, _) => "enabled",
    };
    if *request.user()?.account().id == *request.param("id") && (done == "demoted") {
        return Ok(redirect("/"));
    }
    back(&request, done)
}

async fn ask_reset(app: Arc<App>, request: Request) -> Outcome {
    let name = found(&app, &request).await?.name;
    let confirm = Confirm {
        shell: Shell::at(
            &app,
            &request,
            PLACE,
            format!("Reset the password of {name}"),
        )
        .await?,
        lines: vec![
            "You get a new password to give to them. Their logins and API tokens end now."
                .to_owned(),
        ],
        action: format!("{PLACE}/{name}/reset"),
        submit: "Reset password",
        is_grave: true,
        overlap: None,
        back: format!("{PLACE}/{name}"),
    };
    confirm.show()
}

async fn reset(app: Arc<App>, request: Request) -> Outcome {
    let name = request.param("id");
    let password = app.office.reset_password(request.scene(), name).await?;
    // Whoever resets their own has just ended the login this page would be shown to.
    let is_self = *request.user()?.account().id == *name;
    let shown = ShownOnce {
        shell: Shell::at(&app, &request, PLACE, format!("New password of {name}")).await?,
        warning: "Give it to them by a way only they read. It is shown this once.",
        secrets: vec![Shown {
            id: "password",
            label: "New password",
            text: password.expose().clone(),
        }],
        details: if is_self {
            "You are signed out: sign in with it.".to_owned()
        } else {
            "They are signed out everywhere and should change it under Settings.".to_owned()
        },
        back: PLACE,
    };
    shown.show()
}

async fn ask_delete(app: Arc<App>, request: Request) -> Outcome {
    let name = found(&app, &request).await?.name;
    let confirm = Confirm {
        shell: Shell::at(&app, &request, PLACE, format!("Delete {name}")).await?,
        lines: vec![
            "The account, its password, logins, API tokens and linked identities are gone at once."
                .to_owned(),
            "This cannot be undone, and somebody who later gets the same name gets nothing of it."
                .to_owned(),
        ],
        action: format!("{PLACE}/{name}/delete"),
        submit: "Delete account",
        is_grave: true,
        overlap: None,
        back: format!("{PLACE}/{name}"),
    };
    confirm.show()
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    remove(&app, &request).await?;
    Ok(redirect("/admin/people?done=deleted"))
}

async fn end_all(app: Arc<App>, request: Request) -> Outcome {
    let uid = found(&app, &request).await?.uid;
    logins::end_all(&app, &request, uid, None).await?;
    back(&request, "all-ended")
}

async fn end(app: Arc<App>, request: Request) -> Outcome {
    let uid = found(&app, &request).await?.uid;
    logins::end(&app, &request, uid, request.param("lid")).await?;
    back(&request, "ended")
}

async fn revoke(app: Arc<App>, request: Request) -> Outcome {
    let uid = found(&app, &request).await?.uid;
    tokens::revoke(&app, &request, uid, request.param("tid")).await?;
    back(&request, "revoked")
}
