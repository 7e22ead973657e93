//! The connection layer: accepting, limits, deadlines, draining. `arrive` leads a connection to its
//! door, `connection` and `http2` live it, `door` takes its requests.
//!
//! **Invariants:** no more than the configured number of connections are open, in all and from one
//! address; a drain ends at its deadline, and refuses nobody who was let in.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::net::SocketFlags;
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
    pub tcp: Option<Entrance<TcpListener>>,
    /// Proxies of users the operator trusts.
    pub unix: Option<Entrance<UnixListener>>,
    /// The operator.
    pub operator: UnixListener,
}

/// A listener that may be somebody else's.
#[derive(Debug)]
pub struct Entrance<L> {
    /// It.
    pub listener: L,
    /// Whether somebody else holds it too, and goes on with it when we end: systemd.
    pub is_shared: bool,
}

/// Somebody who was accepted.
enum Caller {
    Network(TcpStream, SocketAddr),
    Proxy(UnixStream),
    Operator(UnixStream),
}

/// Serves until `shutdown` resolves, then lets running requests end within the deadline.
///
/// # Errors
/// Two routes that cannot be told apart: a fault of the build.
pub async fn serve(
    running: Arc<Running>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let table = Arc::new(Table::new(super::routes()).map_err(io::Error::other)?);
    let app = running.current();
    let places = Places::new(app.settings.max_connections);
    let within = app.settings.shutdown_timeout;
    // Only a restart changes these.
    let proxies = app.settings.unix_socket_uids.clone();
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
            caller = listeners.accept() => match caller {
                Ok(caller) => let_in(&house, &drain, &proxies, caller),
                Err(error) => pause(&error).await,
            },
        }
    }
    drain.begin();
    let gone = async {
        let let_in = |caller| let_in(&house, &drain, &proxies, caller);
        listeners.close(let_in).await;
        drop(house);
        drain.end().await;
    };
    if tokio::time::timeout(within, gone).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

fn let_in(house: &Arc<House>, drain: &Drain, proxies: &[u32], caller: Caller) {
    match caller {
        Caller::Network(stream, from) => welcome(house, drain, stream, from),
        Caller::Proxy(stream) => welcome_proxy(house, drain, stream, proxies),
        Caller::Operator(stream) => welcome_operator(house, drain, stream),
    }
}

/// How long a client has that knocked just before the door was closed: the kernel has told it that it
/// is in, and must hear that it knows.
const LINGER: Duration = Duration::from_millis(500);

impl Listeners {
    async fn accept(&self) -> io::Result<Caller> {
        let network = async {
            match &self.tcp {
                Some(tcp) => tcp.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let proxy = async {
            match &self.unix {
                Some(unix) => unix.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            network = network => network.map(|(stream, from)| Caller::Network(stream, from)),
            proxy = proxy => proxy.map(|(stream, _)| Caller::Proxy(stream)),
            operator = self.operator.accept() => operator.map(|(stream, _)| Caller::Operator(stream)),
        }
    }

    /// Lets in whoever knocked, and nobody after: closing a listener resets whom it finds waiting. The
    /// kernel first no longer lets in anybody new, who hears that nobody is there. (Over TCP it no
    /// longer hears them: they knock again, and hear it then.) What is shared is let go of: who waits
    /// there waits for who goes on with it.
    async fn close(self, let_in: impl Fn(Caller)) {
        let unix = self.unix.filter(|unix| !unix.is_shared);
        if let Some(unix) = unix {
            refuse_more(&unix.listener);
            waiting(unix.listener, |stream| {
                UnixStream::from_std(stream.into()).map(|stream| let_in(Caller::Proxy(stream)))
            });
        }
        refuse_more(&self.operator);
        waiting(self.operator, |stream| {
            UnixStream::from_std(stream.into()).map(|stream| let_in(Caller::Operator(stream)))
        });
        let Some(tcp) = self.tcp.filter(|tcp| !tcp.is_shared) else {
            return;
        };
        if let Err(error) = SockRef::from(&tcp.listener).attach_filter(&DEAF_TO_SYN) {
            tracing::debug!(%error, "who connects right now may be reset");
        }
        let let_in = |stream: TcpStream, from| {
            // It may have inherited the filter.
            let _ = SockRef::from(&stream).detach_filter();
            let_in(Caller::Network(stream, from));
        };
        let more = async {
            while let Ok((stream, from)) = tcp.listener.accept().await {
                let_in(stream, from);
            }
        };
        let _ = tokio::time::timeout(LINGER, more).await;
        waiting(tcp.listener, |stream| {
            let stream = TcpStream::from_std(stream.into())?;
            let from = stream.peer_addr()?;
            let_in(stream, from);
            Ok(())
        });
    }
}

/// Of a Unix socket the kernel lets nobody in any more, and keeps who is in already.
fn refuse_more(listener: &UnixListener) {
    if let Err(error) = SockRef::from(listener).shutdown(Shutdown::Read) {
        tracing::debug!(%error, "who connects right now may be reset");
    }
}

/// Takes in whoever waits: the kernel itself is asked, for tokio knows of them only when it has looked.
fn waiting(listener: impl AsFd, take_in: impl Fn(OwnedFd) -> io::Result<()>) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        let taken = match rustix::net::accept_with(&listener, flags) {
            Ok(stream) => take_in(stream),
            Err(error) => Err(error.into()),
        };
        match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // Who broke off is their own affair.
            Err(error) if is_of_one(&error) => {}
            Err(error) => return tracing::warn!(%error, "a connection was not accepted"),
            Ok(()) => {}
        }
    }
}

/// Whether it is no fault of the listener.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | NotConnected
    )
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

/// Lets the system recover.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection was not accepted");
    tokio::time::sleep(BACKOFF).await;
}

/// Lets in whoever the kernel says is one of these users.
fn welcome_proxy(house: &Arc<House>, drain: &Drain, stream: UnixStream, uids: &[u32]) {
    if !is_one(house, &stream, "the proxies' socket", |uid| {
        uids.contains(&uid)
    }) {
        return;
    }
    match house.places.take() {
        Some(place) => converse(house, stream, Peer::Socket, drain.hear(), Some(place)),
        None => {
            let app = house.running.glance();
            app.meters.connections.refuse(metrics::Door::Socket);
        }
    }
}

/// Lets in whoever the kernel says is this user or root.
fn welcome_operator(house: &Arc<House>, drain: &Drain, stream: UnixStream) {
    let us = rustix::process::geteuid().as_raw();
    if is_one(house, &stream, "the operator's socket", |uid| {
        uid == 0 || uid == us
    }) {
        converse(house, stream, Peer::Operator, drain.hear(), None);
    }
}

/// Whether the user at the other end is one of those; notes it when another tried a socket that is not
/// theirs.
fn is_one(
    house: &House,
    stream: &UnixStream,
    socket: &'static str,
    those: impl Fn(u32) -> bool,
) -> bool {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            return false;
        }
    };
    let is_one = those(uid);
    if !is_one {
        let app = house.running.glance();
        let scene = Scene::system(app.clock.now()).done_by(Who::Nobody);
        let denied = Entry::new(Event::AccessDenied).reason(socket);
        app.live
            .audit
            .report(scene, denied.detail(format!("user {uid}")));
    }
    is_one
}
