//! The connection layer: accepting, limits, deadlines, draining. warp's filter runs under it.
//!
//! **Invariants:** a connection that sends its header slowly, or nothing, is cut off; no more than
//! the configured number are open; a drain ends at its deadline.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
};
use warp::Filter;

use super::{
    dispatch::dispatch,
    peer::{self, Peer},
    request::{Head, next_id},
    route::Table,
};
use crate::app::Running;

/// Header bytes of one request.
const MAX_HEADER: usize = 16 * 1024;

/// How long to wait after the system refused a connection (too many open files).
const BACKOFF: Duration = Duration::from_millis(100);

/// Where connections come in.
#[derive(Debug)]
pub struct Listeners {
    /// People and programs.
    pub tcp: Option<TcpListener>,
    /// Proxies of users the operator trusts.
    pub unix: Option<UnixListener>,
    /// The operator.
    pub operator: UnixListener,
}

/// Serves until `shutdown` resolves, then lets running requests end within the deadline.
///
/// # Errors
/// Two routes that cannot be told apart: a fault of the build.
pub async fn serve(
    running: Arc<Running>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let table = Arc::new(Table::new(super::routes()).map_err(std::io::Error::other)?);
    let app = running.current();
    let places = Arc::new(Semaphore::new(app.settings.max_connections));
    let (drain, socket_uids) = (
        app.settings.shutdown_timeout,
        app.settings.unix_socket_uids.clone(),
    );
    drop(app);
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(listeners.tcp.as_ref()) => accepted,
            operator = accept_operator(&listeners.operator) => {
                match operator {
                    Ok(stream) => {
                        connection(&running, &table, stream, Peer::Operator, &graceful, None);
                    }
                    Err(error) => pause(&error).await,
                }
                continue;
            }
            proxy = accept_proxy(listeners.unix.as_ref(), &socket_uids) => {
                match proxy {
                    Ok(stream) => if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        connection(&running, &table, stream, Peer::Socket, &graceful, Some(place));
                    },
                    Err(error) => pause(&error).await,
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                // Past the limit the connection is closed at once: better than a queue nobody sees.
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let _ = stream.set_nodelay(true);
                    let peer = Peer::Tcp(peer.ip().to_canonical());
                    connection(&running, &table, stream, peer, &graceful, Some(place));
                }
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listeners);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

/// Lets the system recover; somebody who was turned away holds nobody else up.
async fn pause(error: &std::io::Error) {
    if error.kind() != std::io::ErrorKind::PermissionDenied {
        tracing::warn!(%error, "a connection was not accepted");
        tokio::time::sleep(BACKOFF).await;
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Accepts from the Unix socket whoever the kernel says is one of these users.
async fn accept_proxy(
    listener: Option<&UnixListener>,
    uids: &[u32],
) -> std::io::Result<UnixStream> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let (stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    if uids.contains(&uid) {
        Ok(stream)
    } else {
        tracing::warn!(target: "audit", uid, "somebody else tried the proxies' socket");
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

/// Accepts from the operator's socket whoever the kernel says is this user or root.
async fn accept_operator(listener: &UnixListener) -> std::io::Result<UnixStream> {
    let (stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        Ok(stream)
    } else {
        tracing::warn!(uid, "somebody else tried the operator's socket");
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

fn connection(
    running: &Arc<Running>,
    table: &Arc<Table>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    graceful: &GracefulShutdown,
    place: Option<tokio::sync::OwnedSemaphorePermit>,
) {
    let (running, table) = (Arc::clone(running), Arc::clone(table));
    let header_timeout = running.current().settings.header_timeout;
    let heads = Arc::clone(&running);
    let filter = warp::ext::get::<Arc<Head>>()
        .and(warp::body::stream())
        .then(move |head, incoming| {
            let (running, table) = (Arc::clone(&running), Arc::clone(&table));
            dispatch(running, table, head, incoming)
        });
    let inner = warp::service(filter);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (parts, body) = request.into_parts();
        let app = heads.current();
        let trusted = &app.settings.trusted_proxies;
        let (client, is_from_trusted_proxy) = peer::client(trusted, peer, &parts.headers);
        let head = Head {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            peer,
            client,
            is_from_trusted_proxy,
            app,
            id: next_id(),
            expiry_notice: std::sync::OnceLock::new(),
        };
        // Handed over whole: the filter would have to clone the headers to see them.
        let mut request = Request::new(body);
        request.extensions_mut().insert(Arc::new(head));
        hyper::service::Service::call(
            &hyper_util::service::TowerToHyperService::new(inner.clone()),
            request,
        )
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        // A client that breaks off is its own affair.
        let _ = connection.await;
    });
}
