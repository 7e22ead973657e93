//! Signing in step by step, for backends that ask for anything but a name and a password.

use std::sync::Arc;

use http::{Method, StatusCode};
use omnigent_plugin::Answer;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape,
    accounts::signed_in,
    cookies, redirects,
    response::{json as json_response, no_store},
};
use crate::{app::App, login::Progress, login::SignInError};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::POST, "/auth/conversations", Access::Public, begin),
        Route::shaped(
            Method::POST,
            "/auth/conversations/{id}",
            Access::Public,
            resume,
        ),
    ]
}

struct Begin {
    backend: Option<String>,
    client_id: Option<String>,
}

impl Shape for Begin {
    const BODY: BodyRule = BodyRule::OptionalJson;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            backend: fields.optional_string("backend", 1..=64),
            client_id: fields.optional_string("client_id", 1..=64),
        };
        fields.finish().map(|()| body)
    }
}

async fn begin(app: Arc<App>, request: Request, body: Begin) -> Outcome {
    let guest = request.guest(body.client_id);
    let visit = redirects::visit(&app, &request);
    let progress = app
        .desk
        .begin(body.backend.as_deref(), &visit, guest, request.now)
        .await?;
    let mut response = answer(&app, progress)?;
    if let Some(browser) = &visit.browser {
        cookies::bind(&mut response, &app.settings, browser);
    }
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

struct Resume {
    answers: Vec<(String, String)>,
    client_id: Option<String>,
}

impl Shape for Resume {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            answers: fields.optional_texts("answers").unwrap_or_default(),
            client_id: fields.optional_string("client_id", 1..=64),
        };
        fields.finish().map(|()| body)
    }
}

async fn resume(app: Arc<App>, request: Request, body: Resume) -> Outcome {
    let id = request
        .param("id")
        .parse()
        .map_err(|_| ApiError::from(SignInError::Expired))?;
    let answers = Answer {
        fields: body.answers.into_iter().collect(),
        ..Answer::default()
    };
    let progress = app
        .desk
        .answer(
            &id,
            &answers,
            &redirects::visit(&app, &request),
            request.guest_of(&app, body.client_id),
            request.now,
        )
        .await;
    answer(&app, progress?)
}

/// Where a sign-in stands, as JSON.
pub(super) fn answer(app: &App, progress: Progress) -> Outcome {
    Ok(match progress {
        Progress::SignedIn(login) => signed_in(app, &login),
        Progress::Ask(id, form) => no_store(json_response(
            StatusCode::OK,
            &json!({"id": id, "step": {"ask": form}}),
        )),
        Progress::Redirect(id, url) => no_store(json_response(
            StatusCode::OK,
            &json!({"id": id, "step": {"redirect": url}}),
        )),
    })
}
