//! The connection layer: accepting, limits, deadlines, draining. `arrive` leads a connection to its
//! door, `connection` and `http2` live it, `door` takes its requests.
//!
//! **Invariants:** no more than the configured number of connections are open, in all and from one
//! address; a drain ends at its deadline, and refuses nobody who was let in.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{
    arrive::{House, arrive, converse},
    connection::Drain,
    peer::Peer,
    places::{Place, Places},
    route::Table,
};
use crate::{
    app::Running,
    audit::{Entry, Event, Scene, Who},
    metrics,
};

/// How long to wait after the system refused a connection (too many open files).
const BACKOFF: Duration = Duration::from_millis(100);

/// Where connections come in.
#[derive(Debug)]
pub struct Listeners {
    /// People and programs.
    pub tcp: Option<Tcp>,
    /// Proxies of users the operator trusts.
    pub unix: Option<UnixListener>,
    /// The operator.
    pub operator: UnixListener,
}

/// A listener for people and programs.
#[derive(Debug)]
pub struct Tcp {
    /// It.
    pub listener: TcpListener,
    /// Whether somebody else holds it too, and goes on with it when we end: systemd.
    pub is_shared: bool,
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
    let places = Places::new(app.settings.max_connections);
    let (within, socket_uids) = (
        app.settings.shutdown_timeout,
        app.settings.unix_socket_uids.clone(),
    );
    drop(app);
    let drain = Drain::new();
    let house = Arc::new(House {
        running,
        table,
        places,
    });
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(listeners.tcp.as_ref()) => match accepted {
                Ok((stream, from)) => welcome(&house, &drain, stream, from),
                Err(error) => pause(&error).await,
            },
            operator = accept_operator(&house.running, &listeners.operator) => match operator {
                Ok(stream) => converse(&house, stream, Peer::Operator, drain.hear(), None),
                Err(error) => pause(&error).await,
            },
            proxy = accept_proxy(&house.running, listeners.unix.as_ref(), &socket_uids) => match proxy {
                Ok(stream) => match house.places.take() {
                    Some(place) => {
                        converse(&house, stream, Peer::Socket, drain.hear(), Some(place));
                    }
                    None => {
                        let app = house.running.glance();
                        app.meters.connections.refuse(metrics::Door::Socket);
                    }
                },
                Err(error) => pause(&error).await,
            },
        }
    }
    drain.begin();
    let gone = async {
        if let Some(tcp) = listeners.tcp.filter(|tcp| !tcp.is_shared)
            && let Err(error) = close(&house, &drain, tcp.listener).await
        {
            tracing::warn!(%error, "a connection was not accepted");
        }
        drop((listeners.unix, listeners.operator));
        drop(house);
        drain.end().await;
    };
    if tokio::time::timeout(within, gone).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

/// How long a client has that knocked just before the door was closed: the kernel has told it that it
/// is in, and must hear that it knows.
const LINGER: Duration = Duration::from_millis(500);

/// Lets in whoever knocked, and nobody after: closing a listener resets whom it finds waiting. The
/// kernel no longer hears anybody new; they knock again, and hear that nobody is there.
async fn close(house: &Arc<House>, drain: &Drain, listener: TcpListener) -> std::io::Result<()> {
    if let Err(error) = SockRef::from(&listener).attach_filter(&DEAF_TO_SYN) {
        tracing::debug!(%error, "who connects right now may be reset");
    }
    let let_in = |stream: TcpStream, from| {
        // It may have inherited the filter.
        let _ = SockRef::from(&stream).detach_filter();
        welcome(house, drain, stream, from);
    };
    let more = async {
        while let Ok((stream, from)) = listener.accept().await {
            let_in(stream, from);
        }
    };
    let _ = tokio::time::timeout(LINGER, more).await;
    // tokio knows of who waits only when it has looked: the kernel itself is asked.
    let listener = listener.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(true)?;
                let_in(TcpStream::from_std(stream)?, from);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A packet filter (`socket(7)`) that drops what begins a connection and lets all else through.
const DEAF_TO_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),   // load the flags of the TCP header
    SockFilter::new(0x45, 0, 1, 0x02), // unless SYN is among them, pass over the next
    SockFilter::new(0x06, 0, 0, 0),    // keep nothing of the packet
    SockFilter::new(0x06, 0, 0, u32::MAX), // keep all of it
];

/// Past a limit the connection is closed at once.
fn welcome(house: &Arc<House>, drain: &Drain, stream: TcpStream, from: SocketAddr) {
    let app = house.running.glance();
    let Some(mut place) = house.places.take() else {
        app.meters.connections.refuse(metrics::Door::Network);
        return;
    };
    let _ = stream.set_nodelay(true);
    let from = from.ip().to_canonical();
    if app.settings.proxy_protocol || app.tls.is_some() {
        drop(app);
        tokio::spawn(arrive(Arc::clone(house), stream, from, drain.hear(), place));
    } else if seat(house, &mut place, from) {
        drop(app);
        converse(house, stream, Peer::Tcp(from), drain.hear(), Some(place));
    }
}

/// Counts the connection as one of `address`, unless that is a proxy's, through which many come.
pub(super) fn seat(house: &House, place: &mut Place, address: IpAddr) -> bool {
    let app = house.running.glance();
    let settings = &app.settings;
    let is_proxy = settings
        .trusted_proxies
        .iter()
        .any(|block| block.contains(address));
    let most = settings.max_connections_per_address;
    let is_seated =
        is_proxy || most >= settings.max_connections || house.places.seat(place, address, most);
    if !is_seated {
        app.meters.connections.refuse(metrics::Door::Network);
    }
    is_seated
}

/// Lets the system recover; somebody who was turned away holds nobody else up.
async fn pause(error: &std::io::Error) {
    if error.kind() != std::io::ErrorKind::PermissionDenied {
        tracing::warn!(%error, "a connection was not accepted");
        tokio::time::sleep(BACKOFF).await;
    }
}

async fn accept(tcp: Option<&Tcp>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match tcp {
        Some(tcp) => tcp.listener.accept().await,
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
