//! The sockets the server listens on: its own, or those systemd holds for it (`sd_listen_fds(3)`).
//!
//! **Invariants:** a socket that is handed in takes the place of the one in the configuration, and
//! one nobody knows what to do with is refused; what may listen where is checked of both alike.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::Path,
};

use listenfd::ListenFd;
use omnigent_server::{config::Config, http::Entrance};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::failure::Failure;

/// For people and programs.
const PUBLIC: &str = "public";
/// For proxies on this machine.
const PROXY: &str = "proxy";

/// Where connections come in.
pub(crate) struct Listeners {
    pub(crate) tcp: Entrance<TcpListener>,
    /// Where `tcp` is.
    pub(crate) address: SocketAddr,
    pub(crate) unix: Option<Entrance<UnixListener>>,
}

/// Takes what is handed in, and opens what is not.
///
/// # Errors
/// An address in use; a socket that is not for us; no authentication on an address of the network.
pub(crate) async fn open(config: &Config) -> Result<Listeners, Failure> {
    let mut handed = handed_in()?;
    let tcp = match handed.tcp.take() {
        Some(listener) => shared(listener),
        None => our_own(bind(config.server.listen).await?),
    };
    let address = tcp.listener.local_addr();
    let address = address.map_err(|error| Failure::Failed(error.to_string()))?;
    let is_open = !address.ip().is_loopback() && !config.auth.allow_no_auth_on_network;
    if config.is_no_auth() && is_open {
        return Err(Failure::Usage(format!(
            "without authentication everybody who reaches {address} is an admin: the socket handed \
             in must be one of this machine's, or name [auth] backends"
        )));
    }
    if handed.unix.is_some() && config.server.unix_socket_uids.is_empty() {
        return Err(Failure::Usage(
            "server.unix_socket_uids: is required with a Unix socket that is handed in".into(),
        ));
    }
    let unix = match handed.unix.take() {
        Some(unix) => Some(shared(unix)),
        None => match config.server.unix_socket.as_deref() {
            Some(path) => Some(our_own(unix_socket(path).await?)),
            None => None,
        },
    };
    Ok(Listeners { tcp, address, unix })
}

fn shared<L>(listener: L) -> Entrance<L> {
    let is_shared = true;
    Entrance {
        listener,
        is_shared,
    }
}

fn our_own<L>(listener: L) -> Entrance<L> {
    let is_shared = false;
    Entrance {
        listener,
        is_shared,
    }
}

#[derive(Default)]
struct Handed {
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
}

fn handed_in() -> Result<Handed, Failure> {
    let mut sockets = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut handed = Handed::default();
    for index in 0..sockets.len() {
        let name = names.next().unwrap_or_default();
        let refuse =
            |why: &str| Failure::Usage(format!("the socket \"{name}\" that was handed in {why}"));
        let failed = |error: io::Error| refuse(&format!("cannot be used: {error}"));
        if let Ok(Some(socket)) = sockets.take_tcp_listener(index) {
            if name == PROXY || handed.tcp.is_some() {
                return Err(refuse("is of TCP: one such is served, called \"public\""));
            }
            ready(&socket, |socket| socket.set_nonblocking(true)).map_err(failed)?;
            handed.tcp = Some(TcpListener::from_std(socket).map_err(failed)?);
        } else if let Ok(Some(socket)) = sockets.take_unix_listener(index) {
            if name == PUBLIC || handed.unix.is_some() {
                return Err(refuse("is of Unix: one such is served, called \"proxy\""));
            }
            ready(&socket, |socket| socket.set_nonblocking(true)).map_err(failed)?;
            handed.unix = Some(UnixListener::from_std(socket).map_err(failed)?);
        } else {
            return Err(refuse("is neither a TCP nor a Unix stream socket"));
        }
    }
    Ok(handed)
}

/// It must listen already, and not block.
fn ready<S: AsFd>(socket: &S, unblock: impl FnOnce(&S) -> io::Result<()>) -> io::Result<()> {
    if !rustix::net::sockopt::socket_acceptconn(socket)? {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it does not listen",
        ));
    }
    unblock(socket)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!(
            "cannot listen on {address}: {error} (--listen takes another address and port)"
        ))
    })
}

/// The socket for proxies of this machine. Who may connect is decided by the kernel's word on each
/// peer's user, not by the socket's mode.
async fn unix_socket(path: &Path) -> Result<UnixListener, Failure> {
    let bind = async {
        make_way(path).await?;
        let socket = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(socket)
    };
    bind.await.map_err(|error: io::Error| {
        Failure::Failed(format!("cannot listen on {}: {error}", path.display()))
    })
}

/// Removes a socket that its server left behind; one that somebody listens on stays, and so does what
/// is no socket.
async fn make_way(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_socket() => {}
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
        Err(_) => return Ok(()),
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Who is too busy to answer (WouldBlock) is there, too.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(
            ErrorKind::AddrInUse,
            "another process listens there",
        )),
    }
}
