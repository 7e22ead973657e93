//! Signing keys: the public ones for everybody, the rest for the operator (RFC 7517).

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header::CACHE_CONTROL};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Access, ApiError, BodyRule, Outcome, Request, Route,
    operator::message,
    response::{json as json_response, no_store, ok},
};
use crate::{
    app::App,
    audit::{Entry, Event},
    clock::Timestamp,
    token::{Algorithm, KeyInfo, KeyState, KeyringError, Keys, Rest, keynotes, rests},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::now(Method::GET, "/.well-known/jwks.json", Access::Public, jwks),
        Route::new(Method::GET, "/auth/operator/keys", Access::Operator, list),
        Route::new(
            Method::POST,
            "/auth/operator/keys/rotate",
            Access::Operator,
            rotate,
        )
        .body(BodyRule::Json),
        Route::new(
            Method::POST,
            "/auth/operator/keys/{kid}/retire",
            Access::Operator,
            retire,
        )
        .body(BodyRule::Json),
    ]
}

/// How long a verifier elsewhere may go by what it fetched. A new key signs at once: a `kid` that a
/// verifier does not know is its reason to fetch again, sooner than this.
const JWKS_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

fn jwks(app: &App, _: &Request) -> Outcome {
    let keys: Vec<Value> = app.verifier.keyring().public().collect();
    let mut response = ok(&json!({"keys": keys}));
    response.headers_mut().insert(CACHE_CONTROL, JWKS_AGE);
    Ok(response)
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let rows = rows(&app, request.now).await?;
    Ok(no_store(ok(&json!({"keys": rows}))))
}

/// All keys, and what rests on each.
async fn rows(app: &App, now: Timestamp) -> Result<Vec<Value>, ApiError> {
    let keys = app.keys.list();
    let asked = keys.clone();
    let rests = app.store.read(move |reader| rests(reader, &asked, now));
    let rests = rests.await?;
    let rows = keys.iter().zip(&rests).map(|(key, rest)| row(key, rest));
    Ok(rows.collect())
}

fn row(key: &KeyInfo, rest: &Rest) -> Value {
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
    let (state, replaced, retired) = match key.state {
        KeyState::Signing => ("signing", None, None),
        KeyState::Verifying(since) => ("verifying", since, None),
        KeyState::Retired(at) => ("retired", None, Some(at)),
    };
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": state,
        "source": if key.is_configured { "configuration" } else { "keyring" },
        "created_at": seconds(key.created),
        "replaced_at": seconds(replaced),
        "retired_at": seconds(retired),
        "tokens_until": seconds(rest.until),
        "endless_tokens": rest.is_endless,
        "api_tokens": rest.api_tokens,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    algorithm: Option<Algorithm>,
}

async fn rotate(app: Arc<App>, request: Request) -> Outcome {
    let RotateBody { algorithm } = message(&request)?;
    let now = request.now;
    let kid = change(&app, move |keys| keys.rotate(algorithm, now)).await?;
    let keys = app.keys.list();
    let made = keys.iter().find(|key| key.kid == kid);
    let algorithm = made.map(|key| key.algorithm.to_string());
    let rotated = Entry::new(Event::KeyRotated).detail(algorithm.unwrap_or_default());
    let noted = note(&app, &request, &kid, rotated).await;
    // It has signed nothing so far.
    let mut made = made.map_or(Value::Null, |key| row(key, &Rest::default()));
    made["noted"] = noted.into();
    Ok(no_store(json_response(StatusCode::CREATED, &made)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetireBody {
    #[serde(default)]
    now: bool,
}

async fn retire(app: Arc<App>, request: Request) -> Outcome {
    let RetireBody { now: at_once } = message(&request)?;
    let (kid, now) = (request.param("kid").to_owned(), request.now);
    let key = app.keys.may_retire(&kid)?;
    if !at_once {
        let asked = vec![key];
        let found = app.store.read(move |reader| rests(reader, &asked, now));
        if let Some(rest) = found.await?.first().filter(|rest| rest.any(now)) {
            return Err(ApiError::auth(StatusCode::CONFLICT, &still_needed(rest)));
        }
    }
    let name = kid.clone();
    change(&app, move |keys| keys.retire(&name, now)).await?;
    let retired = Entry::new(Event::KeyRetired);
    let retired = match at_once {
        true => retired.reason("at once"),
        false => retired,
    };
    let noted = note(&app, &request, &kid, retired).await;
    Ok(no_store(ok(
        &json!({"kid": kid, "state": "retired", "noted": noted}),
    )))
}

/// Notes what was done to a key. What was done stands also when that fails: then the entry is owed
/// ([`keynotes`]), and whoever asked is told so.
async fn note(app: &App, request: &Request, kid: &str, entry: Entry) -> bool {
    let (live, keys) = (app.live.by(request.scene()), app.keys.list());
    let (name, entry) = (kid.to_owned(), entry.key(kid));
    let noted = app
        .store
        .write(move |tx| keynotes::note(&live, tx, &keys, &name, entry))
        .await;
    if let Err(error) = &noted {
        tracing::error!(%error, kid, "a change of keys is not in the audit trail yet");
    }
    noted.is_ok()
}

/// The last second that has a date.
const YEAR_9999: u64 = 253_402_300_799;

fn still_needed(rest: &Rest) -> String {
    let until = match (rest.until, rest.is_endless) {
        (Some(until), _) => {
            let until = std::time::Duration::from_secs(until.seconds().min(YEAR_9999));
            let until = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + until);
            format!("until {until}")
        }
        (None, true) => "for ever".to_owned(),
        (None, false) => "for a while".to_owned(),
    };
    let count = match rest.api_tokens {
        0 => String::new(),
        1 => ", 1 API token among them".to_owned(),
        count => format!(", {count} API tokens among them"),
    };
    format!("tokens that this key signed may live {until}{count}; retired now, they all end")
}

/// Changes keys, on a thread that may wait for the disk.
async fn change<T: Send + 'static>(
    app: &App,
    change: impl FnOnce(&Keys) -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, ApiError> {
    let keys = Arc::clone(&app.keys);
    let changed = tokio::task::spawn_blocking(move || change(&keys)).await;
    Ok(changed.map_err(ApiError::internal)??)
}

impl From<KeyringError> for ApiError {
    fn from(error: KeyringError) -> Self {
        let text = error.to_string();
        match error {
            KeyringError::Unknown => Self::auth(StatusCode::NOT_FOUND, &text),
            KeyringError::Configured
            | KeyringError::OtherAlgorithm(_)
            | KeyringError::TooMany
            | KeyringError::Signs
            | KeyringError::Secret
            | KeyringError::Retired => Self::auth(StatusCode::CONFLICT, &text),
            // Only the operator comes here: the path and the reason are theirs to know.
            _ => Self::unavailable(&text, error),
        }
    }
}
