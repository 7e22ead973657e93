//! From a request to its answer: the one way in.
//!
//! In order: id, `Host`, path, route, body, credential, origin, handler, headers that every answer
//! has. **Invariant:** whatever happens, there is an answer, and it carries its request's id.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Stream};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use tracing::field::display;

use super::{
    ApiError, Settings,
    authenticate::{Credential, Looked, Unknown, admit, authenticate, look},
    body::{BodyRule, Content, content},
    door::{Arrival, Door},
    incoming, origin, panics,
    request::{Head, Request},
    response::{Outcome, Response},
    room::{ROOM, Share},
    route::Handler,
    strangers, target,
};
use crate::{
    app::App,
    audit::{Entry, Event},
    clock::Timestamp,
    trace::{self, Trace},
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TOKEN_EXPIRES: HeaderName = HeaderName::from_static("omnigent-token-expires");

/// How a request is answered.
pub(super) enum Answer {
    /// It is.
    Now(Response),
    /// It needs no body, but the store.
    Later(Pin<Box<dyn Future<Output = Response> + Send>>),
    /// By [`answer`], through the filter.
    Elsewhere(Arc<Head>),
}

/// Answers a request whose route answers at once.
pub(super) fn at_once(door: &Arc<Door>, app: &Arc<App>, head: Head) -> Answer {
    let head = Arc::new(head);
    let work = || -> Result<Outcome, Option<Box<Unknown>>> {
        target::check(&head).map_err(|_| None)?;
        let found = door.table.find(&head.method, head.uri.path());
        let (route, params) = found.map_err(|_| None)?;
        head.route.store(route.place, Ordering::Relaxed);
        let Handler::Now(handler) = route.handler else {
            return Err(None);
        };
        if route.body != BodyRule::None {
            return Err(None);
        }
        let now = app.clock.now();
        let credential = match look(app, &head, now) {
            Some(Looked::Decided(credential)) => credential,
            Some(Looked::Unknown(unknown)) => return Err(Some(unknown)),
            None => return Err(None),
        };
        Ok(
            check_credential(app, &head, &credential, now).and_then(|()| {
                let request = Request {
                    door: Arc::clone(door),
                    head: Arc::clone(&head),
                    params,
                    credential,
                    access: route.access,
                    content: Content::None,
                    bytes: Bytes::new(),
                    now,
                };
                request.admit()?;
                handler(app, &request)
            }),
        )
    };
    let outcome = match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(None)) => return Answer::Elsewhere(head),
        Ok(Err(Some(unknown))) => {
            let arrival = Arrival {
                door: Arc::clone(door),
                app: Arc::clone(app),
                head,
            };
            let nothing = futures_util::stream::empty::<Result<Bytes, warp::Error>>();
            return Answer::Later(Box::pin(settle(arrival, nothing, Some(unknown))));
        }
        Err(_) => Err(panics::caught()),
    };
    Answer::Now(shaped(app, &head, outcome))
}

/// Answers a request.
pub(super) fn answer<B: Buf + Send>(
    arrival: Arrival,
    incoming: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> impl Future<Output = Response> + Send {
    settle(arrival, incoming, None)
}

async fn settle<B: Buf + Send>(
    Arrival { door, app, head }: Arrival,
    incoming: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
    unknown: Option<Box<Unknown>>,
) -> Response {
    let work = run(door, Arc::clone(&app), Arc::clone(&head), incoming, unknown);
    let work = AssertUnwindSafe(work).catch_unwind();
    let work = tokio::time::timeout(app.settings.request_timeout, work);
    let outcome = match Trace::around(head.trace(&app), work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(panics::caught()),
        Err(_) => Err(ApiError::unavailable(
            "this took too long",
            "request timeout",
        )),
    };
    shaped(&app, &head, outcome)
}

fn shaped(app: &App, head: &Head, outcome: Outcome) -> Response {
    let settings = &app.settings;
    let mut response = outcome.unwrap_or_else(|error| {
        log(app, head, &error);
        super::pages::failure(settings, head, &error)
            .unwrap_or_else(|| error.shaped_for(head.uri.path()).into_response())
    });
    finish(settings, head, &mut response);
    let (route, status) = (head.route.load(Ordering::Relaxed), response.status());
    let took = head.began.elapsed();
    app.meters.requests.note(route, status.as_u16(), took);
    if app.tracer.is_some() {
        end_trace(app, head, status);
    }
    response
}

#[cold]
fn end_trace(app: &App, head: &Head, status: StatusCode) {
    let Some(trace) = head.trace(app) else { return };
    trace.end(trace::Answer {
        method: known(&head.method),
        route: app.meters.requests.path(head.route.load(Ordering::Relaxed)),
        status: status.as_u16(),
        version: match head.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        is_secure: app.settings.is_secure(),
    });
}

/// The name of a method that is in RFC 9110 or RFC 5789: whatever else comes is a stranger's word.
fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    KNOWN.into_iter().find(|known| method == known)
}

async fn run<B: Buf + Send>(
    door: Arc<Door>,
    app: Arc<App>,
    head: Arc<Head>,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
    unknown: Option<Box<Unknown>>,
) -> Outcome {
    target::check(&head)?;
    let table = Arc::clone(&door.table);
    let (route, params) = table.find(&head.method, head.uri.path())?;
    head.route.store(route.place, Ordering::Relaxed);
    let (most, within) = (app.settings.max_body, app.settings.body_timeout);
    // The body is there until the handler is done, and so is what it takes.
    let mut share = Share::new(&ROOM, head.client, most);
    let (bytes, content) = if route.body == BodyRule::None {
        (Bytes::new(), Content::None)
    } else {
        let bytes = incoming::read(&head.headers, body, most, within, &mut share).await?;
        let content = content(route.body, &head.headers, &bytes)?;
        (bytes, content)
    };
    let now = app.clock.now();
    let credential = match unknown {
        Some(unknown) => admit(&app, &head, unknown, now).await,
        None => authenticate(&app, &head, now).await,
    };
    check_credential(&app, &head, &credential, now)?;
    strangers::count(&app, &head, route, &credential, now)?;
    let request = Request {
        door,
        head,
        params,
        credential,
        access: route.access,
        content,
        bytes,
        now,
    };
    match &route.handler {
        Handler::Now(handler) => {
            request.admit()?;
            handler(&app, &request)
        }
        Handler::Later(handler) => handler(app, request).await,
    }
}

/// Notes a credential that is no good, and refuses one that does not fit where the request is from.
fn check_credential(
    app: &App,
    head: &Head,
    credential: &Credential,
    now: Timestamp,
) -> Result<(), ApiError> {
    let report = |entry| {
        let scene = head.scene(now);
        let scene = match credential {
            Credential::Good(principal) => scene.done_by(principal.who()),
            _ => scene,
        };
        app.live.audit.report(scene, entry);
    };
    if let Credential::Bad(reason) = credential {
        let path = head.uri.path();
        tracing::debug!(request_id = %head.id, path, reason, "credential refused");
        // To grow old is no offence.
        if *reason != "expired" {
            report(Entry::new(Event::CredentialDenied).reason(reason));
        }
    }
    let checked = origin::check_host(&app.settings, head, credential)
        .and_then(|()| origin::check(&app.settings, head, credential));
    if checked.is_err() {
        report(Entry::new(Event::RequestForged).reason("another site"));
    }
    checked
}

fn log(app: &App, head: &Head, error: &ApiError) {
    let (request_id, status, path) = (head.id, error.status().as_u16(), head.uri.path());
    let trace_id = head.trace(app).map(|trace| display(trace.id()));
    match error.cause() {
        Some(cause) if status == 500 => {
            tracing::error!(%request_id, trace_id, status, path, cause, "request failed")
        }
        Some(cause) => tracing::warn!(%request_id, trace_id, status, path, cause, "request failed"),
        None => tracing::debug!(%request_id, trace_id, status, path, "request refused"),
    }
}

/// What every answer carries.
fn finish(settings: &Settings, head: &Head, response: &mut Response) {
    if let Ok(id) = HeaderValue::from_bytes(&head.id.digits()) {
        response.headers_mut().insert(&REQUEST_ID, id);
    }
    if let Some(at) = head.expiry_notice.get() {
        let headers = response.headers_mut();
        headers.insert(&TOKEN_EXPIRES, at.seconds().into());
    }
    if response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
    {
        super::pages::protect(settings, response);
    }
}
