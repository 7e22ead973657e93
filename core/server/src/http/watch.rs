//! The listener for those who watch the server: `/metrics`, `/healthz/live`, `/healthz/ready` and
//! nothing else.
//!
//! It goes on while the server drains, and answers when the other listeners are full. **Invariants:**
//! nothing here asks for or looks at a credential, and nothing it shows is worth one; a client that
//! is slow, or one of many, holds up nobody but other watchers.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{
    Response,
    ready::readiness,
    response::{body, json as json_response, no_store, ok},
};
use crate::{app::Running, metrics};

/// Connections at once.
const CONNECTIONS: usize = 16;

/// How long a header may take, and a connection may be silent between two.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last: whoever scrapes more seldom comes back.
const LIFE: Duration = Duration::from_secs(300);

/// Header bytes of one request.
const MAX_HEADER: usize = 8 * 1024;

/// How long to wait after the system refused a connection.
const BACKOFF: Duration = Duration::from_millis(100);

/// As the format's documentation names it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers on `listener` until the server is gone.
pub async fn show_metrics(running: Weak<Running>, listener: TcpListener) {
    let bound = listener.local_addr().map(|address| address.ip());
    let is_loopback = bound.is_ok_and(|address| address.is_loopback());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics was not accepted");
                tokio::time::sleep(BACKOFF).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let running = Weak::clone(&running);
            tokio::spawn(async move {
                let _place = place;
                // Whoever breaks off, or has been here for long, comes back.
                let _ = tokio::time::timeout(LIFE, converse(running, stream, is_loopback)).await;
            });
        }
    }
}

async fn converse(running: Weak<Running>, stream: TcpStream, is_loopback: bool) {
    let service = service_fn(move |request: Request<Incoming>| {
        let running = running.upgrade();
        async move {
            let response = answer(running, &request, is_loopback).await;
            Ok::<_, Infallible>(response.map(Full::<Bytes>::new))
        }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<B>(
    running: Option<Arc<Running>>,
    request: &Request<B>,
    is_loopback: bool,
) -> Response {
    let detail = |status, text: &str| json_response(status, &json!({"detail": text}));
    let mut response = match running {
        _ if is_loopback && !is_of_this_machine(request) => detail(
            StatusCode::FORBIDDEN,
            "this listener is reached by an address or as localhost",
        ),
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
        None => detail(StatusCode::SERVICE_UNAVAILABLE, "the server has stopped"),
        Some(running) => match request.uri().path() {
            "/metrics" => page(running).await,
            "/healthz/live" => ok(&json!({"status": "ok"})),
            "/healthz/ready" => readiness(&running.current(), running.is_draining()),
            _ => detail(StatusCode::NOT_FOUND, "Not Found"),
        },
    };
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    no_store(response)
}

async fn page(running: Arc<Running>) -> Response {
    let (app, is_draining) = (running.current(), running.is_draining());
    drop(running);
    let written = tokio::task::spawn_blocking(move || metrics::page(&app, is_draining)).await;
    match written {
        Ok(Ok(text)) => body(StatusCode::OK, TEXT_FORMAT, text),
        other => {
            let cause = match other {
                Ok(Err(error)) => error.to_string(),
                _ => "writing them panicked".to_owned(),
            };
            tracing::error!(cause, "the metrics cannot be shown");
            let text = json!({"detail": "the metrics cannot be shown; the log says why"});
            json_response(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

/// Whether the request names an address or `localhost`: a page in a browser that was lured here
/// under another name does not (THREATS: DNS rebinding).
fn is_of_this_machine<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none());
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(authority) = host.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}
