//! Where the requests of one connection come in, and which way each goes.
//!
//! Two ways: a route that answers at once is answered here and now, without a future, a timer or a
//! copy of the request. Everything else goes through warp's filter. Both end in `dispatch`.
//!
//! **Invariant:** the same request is decided alike on both ways: `dispatch` has each step once.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http::{Request, header};
use http_body_util::Full;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use warp::Filter;

use super::{
    dispatch::{Answer, answer, at_once},
    peer::{self, Peer},
    request::{Head, next_id},
    response::Response,
    rest::{Lent, Rest, hear_out},
    route::Table,
};
use crate::{
    app::{App, Running},
    metrics::{self, UNMATCHED},
};

/// What all requests of a connection share.
pub(super) struct Door {
    pub(super) running: Arc<Running>,
    pub(super) table: Arc<Table>,
    pub(super) peer: Peer,
}

/// A request on its way through the filter: where it came in, the server that answers it (one
/// configuration from beginning to end), and what it says.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) door: Arc<Door>,
    pub(super) app: Arc<App>,
    pub(super) head: Arc<Head>,
}

/// A body on its way out: ours, or warp's.
pub(super) type Body =
    http_body_util::Either<Full<Bytes>, http_body_util::combinators::BoxBody<Bytes, warp::Error>>;

type Out = Result<http::Response<Body>, Infallible>;

type Later = Pin<Box<dyn Future<Output = Out> + Send>>;

/// The way in of one connection. Once `closing` says so, each answer is the connection's last (RFC
/// 9112 section 9.6; over HTTP/2 there is another way).
pub(super) fn service<B>(
    door: Door,
    closing: Option<Arc<AtomicBool>>,
) -> impl hyper::service::Service<
    Request<B>,
    Response = http::Response<Body>,
    Error = Infallible,
    Future = Either<Ready<Out>, Later>,
>
where
    B: hyper::body::Body + Unpin + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    use http_body_util::BodyExt;

    let at = match door.peer {
        Peer::Tcp(_) | Peer::Balancer(_) => metrics::Door::Network,
        Peer::Socket => metrics::Door::Socket,
        Peer::Operator => metrics::Door::Operator,
    };
    let open = Arc::new(door.running.glance().meters.connections.open(at));
    let door = Arc::new(door);
    let is_http1 = closing.is_some();
    let last = move || {
        closing
            .as_ref()
            .is_some_and(|closing| closing.load(Ordering::Relaxed))
    };
    let filter = warp::ext::get::<Arrival>()
        .and(warp::body::stream())
        .then(|arrival, incoming| async { for_warp(answer(arrival, incoming).await) });
    let filter = warp::service(filter);
    hyper::service::service_fn(move |request: Request<B>| {
        let began = Instant::now();
        // Open as long as the connection has this service.
        let _ = &open;
        let (parts, body) = request.into_parts();
        // Over HTTP/2 a body is heard out where its stream is.
        let is_heard_out = is_http1 && !body.is_end_stream();
        let is_asked_for = is_heard_out && parts.headers.contains_key(header::EXPECT);
        let app = door.running.glance();
        let trusted = &app.settings.trusted_proxies;
        let (client, is_from_trusted_proxy) = peer::client(trusted, door.peer, &parts.headers);
        let head = Head {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            peer: door.peer,
            client,
            is_from_trusted_proxy,
            id: next_id(),
            began,
            route: AtomicU16::new(UNMATCHED),
            expiry_notice: OnceLock::new(),
            version: parts.version,
            trace: OnceLock::new(),
        };
        match at_once(&door, &app, head) {
            Answer::Now(response) if !is_heard_out => {
                Either::Left(ready(Ok(ended(ours(response), last()))))
            }
            Answer::Now(response) => {
                let is_last = last.clone();
                let later: Later = Box::pin(async move {
                    let is_over = !is_asked_for && hear_out(body).await;
                    Ok(ended(ours(response), is_last() || !is_over))
                });
                Either::Right(later)
            }
            Answer::Later(later) => {
                let is_last = last.clone();
                let later: Later = Box::pin(async move {
                    let response = later.await;
                    let is_over = !is_heard_out || !is_asked_for && hear_out(body).await;
                    Ok(ended(ours(response), is_last() || !is_over))
                });
                Either::Right(later)
            }
            Answer::Elsewhere(head) => {
                // Handed over whole: the filter would have to clone the headers to see them.
                let rest = is_heard_out.then(Rest::default);
                let body = match &rest {
                    Some(rest) => Lent::new(body, rest),
                    None => Lent::given(body),
                };
                let mut request = Request::new(body);
                request.extensions_mut().insert(Arrival {
                    door: Arc::clone(&door),
                    app: Arc::clone(&app),
                    head,
                });
                let is_last = last.clone();
                let answered = TowerToHyperService::new(filter).call(request);
                let later: Later = Box::pin(async move {
                    let response = answered.await?;
                    let response = response.map(|body| http_body_util::Either::Right(body.boxed()));
                    let is_over = match rest {
                        Some(rest) => rest.is_none() || !is_asked_for && rest.hear_out().await,
                        None => true,
                    };
                    Ok(ended(response, is_last() || !is_over))
                });
                Either::Right(later)
            }
        }
    })
}

fn ended(mut response: http::Response<Body>, is_last: bool) -> http::Response<Body> {
    if is_last {
        let close = http::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

fn ours(response: Response) -> http::Response<Body> {
    response.map(|bytes| http_body_util::Either::Left(Full::new(bytes)))
}

fn for_warp(response: Response) -> warp::reply::Response {
    response.map(Into::into)
}
