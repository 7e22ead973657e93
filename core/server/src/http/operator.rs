//! What only the operator does, on the Unix socket: reload, plan a swap, carry people over, and get
//! in when nothing else works.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Outcome, Request, Route,
    response::{no_content, no_store, ok},
};
use crate::{
    account::{
        AccountError, Expected, MagicLink, Mark, by_name, expect, expected_of, issue_magic,
        swap::{self, By, Target},
        tenure, unlink_all,
    },
    app::{App, ReloadError},
    audit::{Entry, Event},
    id::Uid,
    live::Live,
    store::{StoreError, Tx},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::POST,
            "/auth/operator/reload",
            Access::Operator,
            reload,
        ),
        Route::new(Method::POST, "/auth/operator/plan", Access::Operator, plan)
            .body(BodyRule::Json),
        Route::new(
            Method::POST,
            "/auth/operator/migrate",
            Access::Operator,
            migrate,
        )
        .body(BodyRule::Json),
        Route::new(
            Method::POST,
            "/auth/users/{id}/reset-link",
            Access::Operator,
            reset_link,
        ),
        Route::new(
            Method::GET,
            "/auth/users/{id}/identities",
            Access::Operator,
            identities,
        ),
        Route::new(
            Method::POST,
            "/auth/users/{id}/identities",
            Access::Operator,
            link,
        )
        .body(BodyRule::Json),
        Route::new(
            Method::DELETE,
            "/auth/users/{id}/identities/{backend}",
            Access::Operator,
            unlink_backend,
        ),
    ]
}

/// What the operator's command says.
pub(super) fn message<T: DeserializeOwned>(request: &Request) -> Result<T, ApiError> {
    serde_json::from_slice(&request.bytes)
        .map_err(|error| ApiError::auth(StatusCode::BAD_REQUEST, &error.to_string()))
}

async fn reload(_: Arc<App>, request: Request) -> Outcome {
    match request.door.running.reload(request.scene()).await {
        Ok(reloaded) => Ok(no_store(ok(&json!({
            "changes": reloaded.changes,
            "warnings": reloaded.warnings,
        })))),
        Err(ReloadError::Config(problems)) => {
            let text: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(ApiError::auth(StatusCode::BAD_REQUEST, &text.join("\n")))
        }
        Err(ReloadError::Start(error)) => {
            Err(ApiError::auth(StatusCode::CONFLICT, &error.to_string()))
        }
    }
}

#[derive(Deserialize)]
struct PlanBody {
    backends: Vec<Target>,
    after: Option<String>,
}

/// Accounts planned at once.
const PAGE: usize = 1000;

async fn plan(app: Arc<App>, request: Request) -> Outcome {
    let PlanBody { backends, after } = message(&request)?;
    let now: Vec<Target> = app.config.auth.backends.iter().map(Target::of).collect();
    let (refused, rows) = app
        .store
        .read(move |reader| {
            let wanted: Vec<_> = backends.iter().map(Target::tenancy).collect();
            let refused = tenure::held(reader, &wanted)?;
            let rows = swap::plan(reader, &now, &backends, after.as_deref(), PAGE)?;
            Ok::<_, StoreError>((refused, rows))
        })
        .await?;
    let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
    Ok(no_store(ok(&json!({"refused": refused, "accounts": rows}))))
}

#[derive(Deserialize)]
struct MigrateBody {
    from: Option<String>,
    to: String,
    by: By,
    #[serde(default)]
    dry_run: bool,
    after: Option<String>,
}

async fn migrate(app: Arc<App>, request: Request) -> Outcome {
    let MigrateBody {
        from,
        to,
        by,
        dry_run,
        after,
    } = message(&request)?;
    let work = swap::Migration { from, to, by };
    let live = app.live.by(request.scene());
    let page = app
        .store
        .write(move |tx| {
            let page = swap::migrate(tx, &work, after.as_deref(), PAGE, dry_run)?;
            for moved in page.accounts.iter().filter(|moved| moved.is_expected()) {
                let uid = by_name(tx, &moved.id.to_lowercase())?.uid;
                note_expected(&live, tx, &uid, &work.to, moved.by.as_ref())?;
            }
            Ok::<_, AccountError>(page)
        })
        .await?;
    Ok(no_store(ok(&page)))
}

/// A link that signs the account in once: for when its backend is down.
async fn reset_link(app: Arc<App>, request: Request) -> Outcome {
    let (live, name) = (app.live.by(request.scene()), request.param("id").to_owned());
    let expires_at = request.now.plus_seconds(app.magic_ttl);
    let token = app
        .store
        .write(move |tx| {
            let uid = by_name(tx, &name)?.uid;
            issue_magic(&live, tx, &MagicLink { uid, expires_at })
        })
        .await?;
    let base = &app.settings.base_url;
    Ok(no_store(ok(&json!({
        "redeem_url": format!("{base}/auth/magic/redeem?t={}", token.expose()),
        "expires_at": expires_at.seconds(),
    }))))
}

fn note_expected(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    backend: &str,
    by: Option<&Mark>,
) -> Result<(), StoreError> {
    let by = match by {
        Some(Mark::Subject(subject)) => format!("subject {subject}"),
        Some(Mark::Email(email)) => format!("email {email}"),
        Some(Mark::Username(name)) => format!("username {name}"),
        None => String::new(),
    };
    let expected = Entry::new(Event::IdentityExpected).backend(backend);
    live.note_of(tx, uid, expected.detail(by))
}

async fn identities(app: Arc<App>, request: Request) -> Outcome {
    let name = request.param("id").to_owned();
    let (account, expected) = app
        .store
        .read(move |reader| {
            let account = by_name(reader, &name)?;
            let expected = expected_of(reader, &account.uid)?;
            Ok::<_, AccountError>((account, expected))
        })
        .await?;
    let linked = account
        .identities
        .iter()
        .map(|key| json!({"backend": key.backend, "issuer": key.issuer, "subject": key.subject}));
    let linked: Vec<_> = linked.collect();
    Ok(no_store(ok(&json!({
        "id": account.name, "linked": linked, "expected": expected,
    }))))
}

#[derive(Deserialize)]
struct LinkBody {
    backend: String,
    by: Mark,
}

/// Expects an identity for the account: it is linked when its person first signs in with it.
async fn link(app: Arc<App>, request: Request) -> Outcome {
    let LinkBody { backend, by } = message(&request)?;
    let (name, expected) = (
        request.param("id").to_owned(),
        Expected {
            backend,
            by: by.normal(),
        },
    );
    let live = app.live.by(request.scene());
    app.store
        .write(move |tx| {
            let uid = by_name(tx, &name)?.uid;
            expect(tx, &expected, &uid, false)?;
            note_expected(&live, tx, &uid, &expected.backend, Some(&expected.by))?;
            live.forget_identities(tx);
            Ok::<_, AccountError>(())
        })
        .await?;
    Ok(no_content())
}

/// Takes all identities of a backend from the account, and ends what rests on them.
async fn unlink_backend(app: Arc<App>, request: Request) -> Outcome {
    let live = app.live.by(request.scene());
    let (name, backend) = (
        request.param("id").to_owned(),
        request.param("backend").to_owned(),
    );
    app.store
        .write(move |tx| {
            let account = by_name(tx, &name)?;
            let mut count = swap::unexpect(tx, &account.uid, &backend)?;
            if count > 0 {
                let unlinked = Entry::new(Event::IdentityUnlinked).backend(&backend);
                let unlinked = unlinked.reason("expected no more");
                live.note_of(tx, &account.uid, unlinked)?;
            }
            count += unlink_all(&live, tx, &account.uid, &backend)?;
            if count == 0 {
                return Err(AccountError::NotFound);
            }
            Ok(())
        })
        .await?;
    Ok(no_content())
}
