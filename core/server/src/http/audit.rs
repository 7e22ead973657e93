//! The audit trail, for admins and the operator. Only read: nothing here writes an entry.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, Shape,
    response::{body, no_store, ok},
};
use crate::{
    app::App,
    audit::{self, Event, Query},
    clock::Timestamp,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::shaped(Method::GET, "/auth/audit", Access::Admin, list),
        Route::shaped(
            Method::GET,
            "/auth/operator/audit/verify",
            Access::Operator,
            verify,
        ),
    ]
}

/// Largest number that every JSON reader takes as it is.
const LARGEST: u64 = (1 << 53) - 1;

impl Shape for Query {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let limit = fields.optional_integer("limit", 1..=1000).unwrap_or(100);
        let event = fields.optional_string("event", 1..=64);
        let event = event.and_then(|text| match text.parse::<Event>() {
            Ok(event) => Some(event),
            Err(error) => {
                fields.fault("event", "value_error", error.to_string());
                None
            }
        });
        let mut moment = |name| {
            let seconds = fields.optional_integer(name, 0..=LARGEST);
            seconds.map(Timestamp::from_seconds)
        };
        let (since, until) = (moment("since"), moment("until"));
        let query = Self {
            before: fields.optional_integer("before", 0..=LARGEST),
            after: fields.optional_integer("after", 0..=LARGEST),
            event,
            account: fields.optional_string("account", 1..=254),
            since,
            until,
            limit: usize::try_from(limit).unwrap_or(100),
        };
        fields.finish().map(|()| query)
    }
}

async fn list(app: Arc<App>, _: Request, query: Query) -> Outcome {
    let page = app
        .store
        .read(move |reader| audit::page(reader, &query))
        .await?;
    // To the letter: the hash of an entry is that of its text.
    let texts: Vec<_> = page.lines.iter().map(|line| line.text.as_str()).collect();
    let next = page
        .next
        .map_or_else(|| "null".to_owned(), |next| next.to_string());
    let text = format!("{{\"entries\":[{}],\"next\":{next}}}", texts.join(","));
    Ok(no_store(body(StatusCode::OK, "application/json", text)))
}

struct From(Option<u64>);

impl Shape for From {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let from = fields.optional_integer("from", 0..=LARGEST);
        fields.finish().map(|()| Self(from))
    }
}

/// Entries proven by one request.
const PROVEN: u64 = 100_000;

async fn verify(app: Arc<App>, _: Request, From(from): From) -> Outcome {
    let hasher = Arc::clone(app.live.audit.hasher());
    let checked = app
        .store
        .read(move |reader| audit::verify(reader, &hasher, from, PROVEN))
        .await?;
    Ok(no_store(ok(&checked)))
}
