//! The agents of the configuration (CONTRACT section 9).

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape, response::ok};
use crate::{app::App, id::AgentId};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::GET, "/v1/agents", Access::User, list),
        Route::now(Method::GET, "/v1/agents/{id}", Access::User, |_, _| {
            Err(ApiError::not_found("Agent not found"))
        }),
    ]
}

struct ListQuery {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
    ascending: bool,
}

impl Shape for ListQuery {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let limit = fields.optional_integer("limit", 1..=1000).unwrap_or(20);
        let query = Self {
            limit: usize::try_from(limit).unwrap_or(1000),
            after: fields.optional_string("after", 0..=256),
            before: fields.optional_string("before", 0..=256),
            ascending: fields.optional_word("order", &["asc", "desc"]) == Some("asc"),
        };
        fields.finish().map(|()| query)
    }
}

async fn list(app: Arc<App>, _: Request, query: ListQuery) -> Outcome {
    let mut agents: Vec<(AgentId, Value)> = app
        .agents
        .iter()
        .map(|agent| (agent.id, of(agent, app.started_at.seconds())))
        .collect();
    if !query.ascending {
        agents.reverse();
    }
    let place = |cursor: &Option<String>| -> Result<Option<Option<usize>>, ApiError> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let id = super::sessions::agent_id(cursor)
            .ok_or_else(|| ApiError::not_found("Agent not found"))?;
        Ok(Some(agents.iter().position(|(other, _)| *other == id)))
    };
    let (start, end) = match (place(&query.after)?, place(&query.before)?) {
        (Some(None), _) | (_, Some(None)) => (0, 0),
        (after, before) => (
            after.flatten().map_or(0, |i| i + 1),
            before.flatten().unwrap_or(agents.len()),
        ),
    };
    let window = agents.get(start..end.max(start)).unwrap_or_default();
    // What comes before a cursor is what comes right before it, as with sessions.
    let skipped = match (&query.after, &query.before) {
        (None, Some(_)) => window.len().saturating_sub(query.limit),
        _ => 0,
    };
    let page: Vec<&Value> = window
        .iter()
        .skip(skipped)
        .take(query.limit)
        .map(|(_, agent)| agent)
        .collect();
    Ok(ok(&json!({
        "object": "list",
        "data": page,
        "first_id": page.first().map(|agent| &agent["id"]),
        "last_id": page.last().map(|agent| &agent["id"]),
        "has_more": window.len() > page.len(),
    })))
}

/// An agent as an object of the API.
pub(super) fn of(agent: &crate::app::Agent, at: u64) -> Value {
    let about = &agent.about;
    json!({
        "id": agent.id,
        "object": "agent",
        "name": about.name,
        "version": about.version,
        "description": about.description,
        "created_at": at,
        "updated_at": at,
        "harness": about.harness,
    })
}
