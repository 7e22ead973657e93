//! `/v1/sessions` (CONTRACT section 9).

mod shapes;
mod sharing;
mod view;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use self::{
    shapes::{ChangeBody, ListQuery, check_effort, check_labels, check_texts},
    view::{Row, agent_of, empty_page, name_of, row, snapshot},
};
use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route,
    response::{json as json_response, no_store, ok},
};
use crate::{
    app::App,
    id::{AgentId, SessionId},
    session::{self, Level, Session, SessionError, Viewer},
};

pub(super) fn routes() -> Vec<Route> {
    let get = |path, what: fn(&App, &Session) -> Value| {
        Route::new(
            Method::GET,
            path,
            Access::User,
            move |app: Arc<App>, request| async move {
                let (session, _) = read(&app, &request).await?;
                Ok(no_store(ok(&what(&app, &session))))
            },
        )
    };
    vec![
        Route::new(Method::POST, "/v1/sessions", Access::User, create).body(BodyRule::JsonOnly),
        Route::shaped(Method::GET, "/v1/sessions", Access::User, list),
        Route::new(Method::GET, "/v1/sessions/{id}", Access::User, show),
        Route::shaped(Method::PATCH, "/v1/sessions/{id}", Access::User, change),
        Route::new(Method::DELETE, "/v1/sessions/{id}", Access::User, delete),
        get("/v1/sessions/{id}/items", |_, _| empty_page()),
        get("/v1/sessions/{id}/child_sessions", |_, _| empty_page()),
        get(
            "/v1/sessions/{id}/labels",
            |_, session| json!({"id": session.id, "labels": session.labels}),
        ),
        get(
            "/v1/sessions/{id}/owner",
            |app, session| json!({"owner": name_of(app, session)}),
        ),
        get("/v1/sessions/{id}/agent", agent_of),
        Route::new(
            Method::POST,
            "/v1/sessions/{id}/events",
            Access::User,
            events,
        ),
        Route::new(
            Method::GET,
            "/v1/sessions/{id}/permissions",
            Access::User,
            sharing::permissions,
        ),
        Route::shaped(
            Method::PUT,
            "/v1/sessions/{id}/permissions",
            Access::User,
            sharing::share,
        ),
        Route::new(
            Method::DELETE,
            "/v1/sessions/{id}/permissions/{user}",
            Access::User,
            sharing::unshare,
        ),
        Route::new(Method::GET, "/v1/runners", Access::User, |_, _| async {
            Ok(ok(&json!({"data": []})))
        }),
        Route::new(Method::GET, "/v1/hosts", Access::User, |_, _| async {
            Ok(ok(&json!({"hosts": []})))
        }),
        Route::new(Method::GET, "/v1/projects", Access::User, |_, _| async {
            Ok(ok(&json!({"object": "list", "data": []})))
        }),
    ]
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => not_found(),
            SessionError::Forbidden(why) => Self::forbidden(why),
            SessionError::Invalid(why) => Self::invalid_input(why),
            SessionError::Store(error) => error.into(),
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Conversation not found")
}

/// An id with or without its prefix, in any letter case.
fn session_id(text: &str) -> Option<SessionId> {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("conv_").unwrap_or(&text).parse().ok()
}

/// An agent's id with or without its prefix, in any letter case.
pub(super) fn agent_id(text: &str) -> Option<AgentId> {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("ag_").unwrap_or(&text).parse().ok()
}

fn viewer(app: &App, request: &Request) -> Result<Viewer, ApiError> {
    let principal = request.user()?;
    Ok(Viewer {
        uid: principal.account().uid,
        is_admin: principal.is_admin(),
        sees_public: app.settings.public_sharing,
    })
}

fn id_of(request: &Request) -> Result<SessionId, ApiError> {
    session_id(request.param("id")).ok_or_else(not_found)
}

async fn read(app: &App, request: &Request) -> Result<(Session, Level), ApiError> {
    let (viewer, id) = (viewer(app, request)?, id_of(request)?);
    Ok(app
        .store
        .read(move |reader| session::get(reader, &viewer, &id))
        .await?)
}

/// After access: this endpoint alone answers 401 before 422 (CONTRACT section 1).
async fn create(app: Arc<App>, request: Request) -> Outcome {
    let viewer = viewer(&app, &request)?;
    let mut fields = Fields::of_bare_body(&request);
    let agent = fields.string("agent_id", 0..=256);
    let title = fields.optional_string("title", 0..=usize::MAX);
    let labels = fields.optional_texts("labels").unwrap_or_default();
    let reasoning_effort = fields.optional_string("reasoning_effort", 0..=usize::MAX);
    let model_override = fields.optional_string("model_override", 0..=usize::MAX);
    let workspace = fields.optional_string("workspace", 0..=usize::MAX);
    let parent = fields.optional_string("parent_session_id", 0..=usize::MAX);
    fields.finish()?;

    let agent = agent_id(&agent).and_then(|id| app.agents.iter().find(|agent| agent.id == id));
    let agent = agent.ok_or_else(|| ApiError::not_found("Agent not found"))?;
    check_texts(&[
        ("title", title.as_ref(), 500),
        ("model_override", model_override.as_ref(), 200),
        ("workspace", workspace.as_ref(), 1024),
    ])?;
    check_effort(reasoning_effort.as_ref())?;
    let session = Session {
        id: SessionId::random(),
        owner: viewer.uid,
        agent: agent.id,
        agent_name: agent.about.name.clone(),
        title,
        labels: check_labels(labels)?,
        reasoning_effort,
        model_override,
        workspace,
        parent: parent
            .map(|id| session_id(&id).ok_or_else(not_found))
            .transpose()?,
        external_id: None,
        archived: false,
        created_at: request.now,
        updated_at: request.now,
    };
    let made = app
        .store
        .write(move |tx| {
            if let Some(parent) = &session.parent {
                session::get(tx, &viewer, parent)?;
            }
            session::create(tx, session).map_err(SessionError::from)
        })
        .await?;
    Ok(no_store(json_response(
        StatusCode::CREATED,
        &snapshot(&made, Level::Owner),
    )))
}

async fn list(app: Arc<App>, request: Request, list: ListQuery) -> Outcome {
    let viewer = viewer(&app, &request)?;
    let ListQuery {
        mut query,
        cursors,
        agent,
    } = list;
    let cursor = |text: &Option<String>| {
        text.as_ref()
            .map(|id| session_id(id).ok_or_else(not_found))
            .transpose()
    };
    (query.after, query.before) = (cursor(&cursors[0])?, cursor(&cursors[1])?);
    if let Some(agent) = agent {
        query.filter.agent =
            Some(agent_id(&agent).ok_or_else(|| ApiError::not_found("Agent not found"))?);
    }
    let page = app
        .store
        .read(move |reader| session::list(reader, &viewer, &query))
        .await?;
    let owners: Vec<String> = page
        .rows
        .iter()
        .map(|(session, _)| name_of(&app, session))
        .collect();
    let rows: Vec<Row<'_>> = page
        .rows
        .iter()
        .zip(&owners)
        .map(|((session, level), owner)| row(session, *level, owner))
        .collect();

    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        first_id: Option<SessionId>,
        last_id: Option<SessionId>,
        has_more: bool,
        data: Vec<Row<'a>>,
    }
    let (first_id, last_id) = (
        rows.first().map(|row| row.id),
        rows.last().map(|row| row.id),
    );
    Ok(no_store(ok(&List {
        object: "list",
        first_id,
        last_id,
        has_more: page.has_more,
        data: rows,
    })))
}

async fn show(app: Arc<App>, request: Request) -> Outcome {
    let (session, level) = read(&app, &request).await?;
    Ok(no_store(ok(&snapshot(&session, level))))
}

async fn change(app: Arc<App>, request: Request, body: ChangeBody) -> Outcome {
    let (viewer, id, now) = (viewer(&app, &request)?, id_of(&request)?, request.now);
    let ChangeBody {
        mut change,
        labels,
        runner_id,
    } = body;
    // Whether there is anything to change is not told to those who may not know of it.
    read(&app, &request).await?;
    if runner_id.is_some_and(|runner| !runner.is_empty()) {
        return Err(ApiError::invalid_input("no such runner is registered"));
    }
    check_texts(&[
        ("title", change.title.as_ref(), 500),
        (
            "model_override",
            change.model_override.as_ref().and_then(Option::as_ref),
            200,
        ),
        ("external_session_id", change.external_id.as_ref(), 200),
    ])?;
    check_effort(change.reasoning_effort.as_ref().and_then(Option::as_ref))?;
    change.labels = check_labels(labels)?;
    let changed = app
        .store
        .write(move |tx| session::change(tx, &viewer, &id, change, now))
        .await?;
    Ok(no_store(ok(&snapshot(&changed.0, changed.1))))
}

async fn delete(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    app.store
        .write(move |tx| session::delete(tx, &viewer, &id))
        .await?;
    Ok(ok(
        &json!({"id": id, "object": "conversation.deleted", "deleted": true}),
    ))
}

/// No agent runs here: that is the upstream's work.
async fn events(app: Arc<App>, request: Request) -> Outcome {
    read(&app, &request).await?;
    let text = "No runner is available for this session";
    Err(ApiError::v1(
        StatusCode::SERVICE_UNAVAILABLE,
        "runner_unavailable",
        text,
    ))
}
