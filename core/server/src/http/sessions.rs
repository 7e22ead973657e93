//! `/v1/sessions` (CONTRACT section 9).

use std::{collections::BTreeMap, sync::Arc};

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape,
    response::{json as json_response, no_store, ok},
};
use crate::{
    account::NAMES,
    app::App,
    id::{AgentId, SessionId},
    session::{
        self, Change, Direction, Filter, Grantee, Level, MAX_LABELS, Query, Session, SessionError,
        SortBy, Viewer,
    },
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
            permissions,
        ),
        Route::shaped(
            Method::PUT,
            "/v1/sessions/{id}/permissions",
            Access::User,
            share,
        ),
        Route::new(
            Method::DELETE,
            "/v1/sessions/{id}/permissions/{user}",
            Access::User,
            unshare,
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

const EFFORTS: [&str; 8] = [
    "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
];

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
    text.strip_prefix("conv_")
        .unwrap_or(text)
        .to_ascii_lowercase()
        .parse()
        .ok()
}

/// An agent's id with or without its prefix, in any letter case.
pub(super) fn agent_id(text: &str) -> Option<AgentId> {
    text.strip_prefix("ag_")
        .unwrap_or(text)
        .to_ascii_lowercase()
        .parse()
        .ok()
}

fn viewer(app: &App, request: &Request) -> Result<Viewer, ApiError> {
    let account = &request.user()?.account;
    Ok(Viewer {
        uid: account.uid,
        is_admin: account.is_admin(),
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

/// The rows of a session that every view has.
#[derive(Serialize)]
struct Row<'a> {
    id: SessionId,
    agent_id: AgentId,
    agent_name: &'a str,
    status: &'static str,
    created_at: u64,
    updated_at: u64,
    labels: &'a BTreeMap<String, String>,
    permission_level: u64,
    owner: &'a str,
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_override: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_session_id: Option<&'a str>,
}

fn row<'a>(session: &'a Session, level: Level, owner: &'a str) -> Row<'a> {
    Row {
        id: session.id,
        agent_id: session.agent,
        agent_name: &session.agent_name,
        status: "idle",
        created_at: session.created_at.seconds(),
        updated_at: session.updated_at.seconds(),
        labels: &session.labels,
        permission_level: level.number(),
        owner,
        archived: session.archived,
        title: session.title.as_deref(),
        reasoning_effort: session.reasoning_effort.as_deref(),
        model_override: session.model_override.as_deref(),
        workspace: session.workspace.as_deref(),
        parent_session_id: session.parent,
        external_session_id: session.external_id.as_deref(),
    }
}

/// A session in full: null members stay.
fn snapshot(session: &Session, level: Level) -> Value {
    json!({
        "id": session.id,
        "agent_id": session.agent,
        "agent_name": session.agent_name,
        "status": "idle",
        "created_at": session.created_at.seconds(),
        "updated_at": session.updated_at.seconds(),
        "title": session.title,
        "labels": session.labels,
        "reasoning_effort": session.reasoning_effort,
        "model_override": session.model_override,
        "workspace": session.workspace,
        "items": [],
        "permission_level": level.number(),
        "kind": "default",
        "parent_session_id": session.parent,
        "archived": session.archived,
        "external_session_id": session.external_id,
        "runner_id": null,
    })
}

fn empty_page() -> Value {
    json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
}

fn name_of(app: &App, session: &Session) -> String {
    if session.owner == app.local.uid {
        return app.local.id.to_string();
    }
    app.live
        .accounts
        .get(&session.owner)
        .map_or_else(String::new, |account| account.id.to_string())
}

fn agent_of(app: &App, session: &Session) -> Value {
    let found = app.agents.iter().find(|agent| agent.id == session.agent);
    found.map_or_else(
        || json!({"id": session.agent, "object": "agent", "name": session.agent_name}),
        |agent| super::agents::of(agent, app.started_at.seconds()),
    )
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
    let made = session.clone();
    app.store
        .write(move |tx| {
            if let Some(parent) = &session.parent {
                session::get(tx, &viewer, parent)?;
            }
            session::create(tx, &session).map_err(SessionError::from)
        })
        .await?;
    Ok(no_store(json_response(
        StatusCode::CREATED,
        &snapshot(&made, Level::Owner),
    )))
}

fn check_texts(texts: &[(&str, Option<&String>, usize)]) -> Result<(), ApiError> {
    for (name, text, most) in texts {
        if text.is_some_and(|text| text.chars().count() > *most) {
            return Err(ApiError::invalid_input(&format!(
                "{name} has at most {most} characters"
            )));
        }
    }
    Ok(())
}

fn check_effort(effort: Option<&String>) -> Result<(), ApiError> {
    if effort.is_none_or(|effort| EFFORTS.contains(&effort.as_str())) {
        return Ok(());
    }
    Err(ApiError::invalid_input(&format!(
        "reasoning_effort is one of: {}",
        EFFORTS.join(", ")
    )))
}

fn check_labels(labels: Vec<(String, String)>) -> Result<BTreeMap<String, String>, ApiError> {
    let is_long =
        |(key, value): &(String, String)| key.chars().count() > 64 || value.chars().count() > 512;
    if labels.len() > MAX_LABELS || labels.iter().any(is_long) {
        return Err(ApiError::invalid_input(
            "at most 64 labels, keys of 64 and values of 512 characters",
        ));
    }
    Ok(labels.into_iter().collect())
}

struct ListQuery {
    query: Query,
    cursors: [Option<String>; 2],
    agent: Option<String>,
}

impl Shape for ListQuery {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let limit = fields.optional_integer("limit", 1..=1000).unwrap_or(20);
        let direction = match fields.optional_word("order", &["asc", "desc"]) {
            Some("asc") => Direction::Ascending,
            _ => Direction::Descending,
        };
        let sort_by = match fields.optional_word("sort_by", &["created_at", "updated_at"]) {
            Some("updated_at") => SortBy::UpdatedAt,
            _ => SortBy::CreatedAt,
        };
        let filter = Filter {
            agent: None,
            agent_name: fields.optional_string("agent_name", 0..=256),
            search: fields.optional_string("search_query", 0..=256),
            include_archived: fields.optional_boolean("include_archived").unwrap_or(false),
            nothing: fields
                .optional_string("kind", 0..=64)
                .is_some_and(|kind| kind != "default" && kind != "any"),
        };
        let cursors = [
            fields.optional_string("after", 0..=256),
            fields.optional_string("before", 0..=256),
        ];
        let agent = fields.optional_string("agent_id", 0..=256);
        fields.finish()?;
        let limit = usize::try_from(limit).unwrap_or(1000);
        let query = Query {
            limit,
            after: None,
            before: None,
            sort_by,
            direction,
            filter,
        };
        Ok(Self {
            query,
            cursors,
            agent,
        })
    }
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

struct ChangeBody {
    change: Change,
    labels: Vec<(String, String)>,
    runner_id: Option<String>,
}

impl Shape for ChangeBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let clearing = |text: Option<String>| {
            text.map(|text| {
                Some(text).filter(|text| !["default", "off", "reset"].contains(&text.as_str()))
            })
        };
        let change = Change {
            title: fields.optional_string("title", 0..=usize::MAX),
            labels: BTreeMap::new(),
            reasoning_effort: clearing(fields.optional_string("reasoning_effort", 0..=usize::MAX)),
            model_override: clearing(fields.optional_string("model_override", 0..=usize::MAX)),
            external_id: fields.optional_string("external_session_id", 0..=usize::MAX),
            archived: fields.optional_boolean("archived"),
        };
        let labels = fields.optional_texts("labels").unwrap_or_default();
        let runner_id = fields.optional_string("runner_id", 0..=usize::MAX);
        fields.forbid_others();
        fields.finish().map(|()| Self {
            change,
            labels,
            runner_id,
        })
    }
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

async fn permissions(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let grants = app
        .store
        .read(move |reader| session::permissions(reader, &viewer, &id))
        .await?;
    let rows = grants.into_iter().filter_map(|(grantee, level)| {
        let user = match grantee {
            Grantee::Public => "__public__".to_owned(),
            // Grants to accounts that are gone are not shown.
            Grantee::Account(uid) => app.live.accounts.get(&uid)?.id.to_string(),
        };
        Some(json!({"user_id": user, "conversation_id": id, "level": level}))
    });
    Ok(no_store(ok(
        &json!({"permissions": rows.collect::<Vec<_>>(), "next_cursor": null}),
    )))
}

struct ShareBody {
    user: String,
    level: u64,
}

impl Shape for ShareBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            user: fields.string("user_id", 1..=256),
            level: fields.integer("level", 1..=3),
        };
        fields.finish().map(|()| body)
    }
}

async fn share(app: Arc<App>, request: Request, body: ShareBody) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    if app.settings.sharing_mode == "off" {
        return Err(ApiError::forbidden("Sharing is disabled on this server"));
    }
    let level = Level::from_number(body.level)
        .ok_or_else(|| ApiError::invalid_input("level is 1, 2 or 3"))?;
    let is_public = body.user == "__public__";
    if is_public && !app.settings.public_sharing {
        return Err(ApiError::forbidden(
            "Public sharing is disabled on this server",
        ));
    }
    let user = body.user.clone();
    app.store
        .write(move |tx| {
            // First whether one may share at all, then with whom: names do not leak.
            let grantee = if is_public {
                Grantee::Public
            } else {
                let (_, own) = session::get(tx, &viewer, &id)?;
                match NAMES.get(tx, &user.to_lowercase())? {
                    Some(uid) => Grantee::Account(uid),
                    None if own < Level::Manage => {
                        return Err(SessionError::Forbidden("Manage access is needed"));
                    }
                    None => return Err(SessionError::Invalid("no such user")),
                }
            };
            session::share(tx, &viewer, &id, grantee, level)
        })
        .await?;
    Ok(ok(
        &json!({"user_id": body.user, "conversation_id": id, "level": body.level}),
    ))
}

async fn unshare(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let user = request.param("user").to_lowercase();
    app.store
        .write(move |tx| {
            let grantee = match user.as_str() {
                "__public__" => Some(Grantee::Public),
                user => NAMES.get(tx, user)?.map(Grantee::Account),
            };
            match grantee {
                Some(grantee) => session::unshare(tx, &viewer, &id, grantee),
                // Not shared with nobody: as it should be, for whoever may know.
                None => session::get(tx, &viewer, &id).map(drop),
            }
        })
        .await?;
    Ok(super::response::no_content())
}
