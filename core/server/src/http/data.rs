//! The data as a whole, for the operator: how it is doing, and reading a backup or an export while
//! writing goes on.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Outcome, Request, Route,
    response::{body, no_content, no_store, ok},
};
use crate::{
    app::App,
    archive::{About, ArchiveError, Kind, Source, trail},
    audit,
    store::{StoreError, Writing},
    tables,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/auth/operator/store",
            Access::Operator,
            status,
        ),
        Route::new(
            Method::POST,
            "/auth/operator/archive",
            Access::Operator,
            begin,
        )
        .body(BodyRule::Json),
        Route::new(
            Method::POST,
            "/auth/operator/archive/{id}",
            Access::Operator,
            lines,
        ),
    ]
}

async fn status(app: Arc<App>, _: Request) -> Outcome {
    let store = app.store.clone();
    let stats = tokio::task::spawn_blocking(move || store.stats()).await;
    let stats = stats.map_err(|_| ApiError::internal("reading the statistics panicked"))?;
    let writing = match stats.writing {
        Writing::Open => "open",
        Writing::SignOffsOnly => "sign-offs only: the disk is nearly full",
        Writing::Full => "nothing: the disk is full",
        Writing::ReadOnly => "nothing until a restart: a write failed",
    };
    let tables: Vec<_> = stats
        .by_table
        .iter()
        .map(|(id, records)| json!({"name": tables::name(*id), "records": records}))
        .collect();
    Ok(no_store(ok(&json!({
        "writing": writing,
        "disk_bytes": stats.disk,
        "free_bytes": stats.free,
        "has_reserve": stats.has_reserve,
        "sequence": stats.sequence,
        "records": stats.records,
        "tables": tables,
        "waiting": stats.waiting,
        "flushes": stats.flushes,
        "longest_flush_seconds": stats.longest.as_secs_f64(),
        "last_flush_seconds_ago": stats.since_flush.map(|since| since.as_secs_f64()),
        "being_backed_up": stats.has_snapshot,
    }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    kind: Kind,
}

async fn begin(app: Arc<App>, request: Request) -> Outcome {
    let Begin { kind } = serde_json::from_slice(&request.bytes)
        .map_err(|error| ApiError::auth(StatusCode::BAD_REQUEST, &error.to_string()))?;
    app.held().make_room(request.now)?;
    let snapshot = app.store.snapshot().await?;
    let about = About::new(&app.config, request.now);
    let mut source = Source::new(kind, snapshot, app.data_dir(), about)?;
    let records = source.records();
    let (live, read) = (app.live.by(request.scene()), trail::reading(kind, records));
    let noted = app.store.write(move |tx| {
        live.note(tx, read)?;
        audit::ends(tx)
    });
    match noted.await {
        Ok(ends) => source.leave_trail(ends.as_ref()),
        // A full disk must not keep anybody from a backup.
        Err(error) => {
            tracing::warn!(%error, "not in the audit trail: the operator reads all data");
        }
    }
    let head = json!(source.head());
    let id = app.held().hold(source, request.now);
    Ok(no_store(ok(
        &json!({"id": id, "head": head, "records": records}),
    )))
}

async fn lines(app: Arc<App>, request: Request) -> Outcome {
    let (id, now) = (request.param("id").to_owned(), request.now);
    let read = tokio::task::spawn_blocking(move || app.held().lines(&id, now)).await;
    let read = read.map_err(|_| ApiError::internal("reading the archive panicked"))?;
    let read = read.ok_or_else(|| ApiError::auth(StatusCode::NOT_FOUND, "no such archive"))?;
    Ok(no_store(match read? {
        Some(lines) => body(StatusCode::OK, "application/x-ndjson", lines),
        None => no_content(),
    }))
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(StoreError::SnapshotLost | StoreError::SnapshotTaken) => {
                Self::auth(StatusCode::CONFLICT, &error.to_string())
            }
            ArchiveError::Store(error) => error.into(),
            // The operator alone hears it, and it is theirs to mend.
            error => Self::auth(StatusCode::CONFLICT, &error.to_string()),
        }
    }
}
