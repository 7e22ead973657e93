//! Admin → Audit: who did what, newest first.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{
    super::{Access, Outcome, Request, Route, forms::query},
    Shell, When, render,
};
use crate::{
    app::App,
    audit::{self, Event, Line, Query},
    clock::Timestamp,
};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::page(Method::GET, PLACE, Access::Admin, list)]
}

const PLACE: &str = "/admin/audit";

/// Entries on a page.
const PAGE: usize = 50;

/// An entry, as it is written.
#[derive(Deserialize)]
struct Said {
    event: String,
    result: String,
    actor: String,
    by: Option<String>,
    account: Option<String>,
    target: Option<String>,
    backend: Option<String>,
    address: Option<String>,
    agent: Option<String>,
    request_id: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    count: Option<u64>,
}

/// An entry, as people read it.
struct Row {
    seq: u64,
    at: When,
    event: String,
    is_denied: bool,
    /// Whom it concerns.
    account: Option<String>,
    /// Who did it, when that is somebody else.
    by: Option<String>,
    /// What else there is to say, and what it is called.
    facts: Vec<(&'static str, String)>,
}

impl Row {
    fn new(line: &Line, now: Timestamp) -> Option<Self> {
        let said: Said = serde_json::from_str(&line.text).ok()?;
        let by = match said.actor.as_str() {
            "account" => said.by.clone(),
            "backend" => Some(format!("backend {}", said.by.clone().unwrap_or_default())),
            "nobody" => None,
            "system" => Some("the server".to_owned()),
            "operator" => Some("the operator".to_owned()),
            kind => Some(kind.to_owned()),
        };
        let facts = [
            ("from", said.address),
            ("backend", said.backend),
            ("because", said.reason),
            ("what", said.detail),
            (
                "times",
                said.count.filter(|n| *n > 1).map(|n| n.to_string()),
            ),
            ("login or token", said.target),
            ("client", said.agent),
            ("request", said.request_id),
        ];
        Some(Self {
            seq: line.seq,
            at: When::new(line.at, now),
            event: said.event,
            is_denied: said.result == "denied",
            by: by.filter(|by| said.account.as_ref() != Some(by)),
            account: said.account,
            facts: facts
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct List {
    shell: Shell,
    events: Vec<(&'static str, bool)>,
    account: String,
    rows: Vec<Row>,
    is_filtered: bool,
    first_page: Option<String>,
    next_page: Option<String>,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let event = query(&request, "event").and_then(|text| text.parse::<Event>().ok());
    let account = query(&request, "account").unwrap_or_default();
    let account = account.trim().to_lowercase();
    let account = Some(account).filter(|name| (1..=254).contains(&name.len()));
    let before = query(&request, "before").and_then(|text| text.parse().ok());
    let wanted = Query {
        before,
        event,
        account: account.clone(),
        limit: PAGE,
        ..Query::default()
    };
    let page = app
        .store
        .read(move |reader| audit::page(reader, &wanted))
        .await?;
    let address = |before: Option<u64>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(event) = event {
            query.append_pair("event", event.name());
        }
        if let Some(account) = &account {
            query.append_pair("account", account);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("{PLACE}?{}", query.finish())
    };
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "Audit").await?,
        events: Event::ALL
            .iter()
            .map(|one| (one.name(), event == Some(*one)))
            .collect(),
        rows: page
            .lines
            .iter()
            .filter_map(|line| Row::new(line, request.now))
            .collect(),
        is_filtered: event.is_some() || account.is_some(),
        first_page: before.map(|_| address(None)),
        next_page: page.next.map(|next| address(Some(next))),
        account: account.unwrap_or_default(),
    };
    render(StatusCode::OK, &list)
}
