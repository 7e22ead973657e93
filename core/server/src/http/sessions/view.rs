//! Sessions as the API shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::agents,
    id::{AgentId, SessionId},
    session::{Level, Session},
};

/// The rows of a session that every view has.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    pub(super) id: SessionId,
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

pub(super) fn row<'a>(session: &'a Session, level: Level, owner: &'a str) -> Row<'a> {
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
pub(super) fn snapshot(session: &Session, level: Level) -> Value {
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

pub(super) fn empty_page() -> Value {
    json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
}

pub(super) fn name_of(app: &App, session: &Session) -> String {
    if session.owner == app.local.uid {
        return app.local.id.to_string();
    }
    app.live
        .accounts
        .get(&session.owner)
        .map_or_else(String::new, |account| account.id.to_string())
}

pub(super) fn agent_of(app: &App, session: &Session) -> Value {
    let found = app.agents.iter().find(|agent| agent.id == session.agent);
    found.map_or_else(
        || json!({"id": session.agent, "object": "agent", "name": session.agent_name}),
        |agent| agents::of(agent, app.started_at.seconds()),
    )
}
