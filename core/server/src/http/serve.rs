//! The connection layer: accepting, limits, deadlines, draining. `connection` lives it,
//! `door` takes its requests.
//!
//! **Invariants:** a connection that sends its header slowly, or nothing, is cut off; no more than
//! the configured number are open; a drain ends at its deadline.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
};

use super::{
    connection::{self, Drain},
    door::{Door, service},
    peer::Peer,
    route::Table,
};
use crate::{
    app::Running,
    audit::{Entry, Event, Scene, Who},
};

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
    let (within, socket_uids) = (
        app.settings.shutdown_timeout,
        app.settings.unix_socket_uids.clone(),
    );
    drop(app);
    let drain = Drain::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(listeners.tcp.as_ref()) => accepted,
            operator = accept_operator(&running, &listeners.operator) => {
                match operator {
                    Ok(stream) => {
                        converse(&running, &table, stream, Peer::Operator, &drain, None);
                    }
                    Err(error) => pause(&error).await,
                }
                continue;
            }
            proxy = accept_proxy(&running, listeners.unix.as_ref(), &socket_uids) => {
                match proxy {
                    Ok(stream) => if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        converse(&running, &table, stream, Peer::Socket, &drain, Some(place));
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
                    converse(&running, &table, stream, peer, &drain, Some(place));
                }
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listeners);
    if tokio::time::timeout(within, drain.run()).await.is_err() {
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
    running: &Running,
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
        Err(turn_away(running, uid, "the proxies' socket"))
    }
}

/// Accepts from the operator's socket whoever the kernel says is this user or root.
async fn accept_operator(
    running: &Running,
    listener: &UnixListener,
) -> std::io::Result<UnixStream> {
    let (stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        Ok(stream)
    } else {
        Err(turn_away(running, uid, "the operator's socket"))
    }
}

/// Notes that another user of this machine tried a socket that is not theirs.
fn turn_away(running: &Running, uid: u32, socket: &'static str) -> std::io::Error {
    let app = running.glance();
    let scene = Scene::system(app.clock.now()).done_by(Who::Nobody);
    let denied = Entry::new(Event::AccessDenied).reason(socket);
    app.live
        .audit
        .report(scene, denied.detail(format!("user {uid}")));
    std::io::ErrorKind::PermissionDenied.into()
}

fn converse(
    running: &Arc<Running>,
    table: &Arc<Table>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    drain: &Drain,
    place: Option<tokio::sync::OwnedSemaphorePermit>,
) {
    let header_timeout = running.glance().settings.header_timeout;
    let service = service(Door {
        running: Arc::clone(running),
        table: Arc::clone(table),
        peer,
    });
    let hearing = drain.hear();
    tokio::spawn(async move {
        let _place = place;
        let stream = TokioIo::new(stream);
        connection::run(stream, service, header_timeout, MAX_HEADER, hearing).await;
    });
}
