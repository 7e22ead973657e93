//! From an accepted connection to its door: who is at the other end, TLS, and which HTTP.
//!
//! **Invariants:** whatever comes before the first request has a deadline; with the PROXY protocol
//! nobody but a trusted peer is heard, and nobody without a header.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use http::{Request, Response, header::STRICT_TRANSPORT_SECURITY};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    connection::{self, Hearing},
    door::{Body, Door, service},
    due::{Due, Watched},
    http2,
    peer::Peer,
    places::{Place, Places},
    proxied,
    route::Table,
    serve::seat,
};
use crate::{app::Running, tls};

/// Header bytes of one request.
const MAX_HEADER: usize = 16 * 1024;

/// What all connections share.
pub(super) struct House {
    pub(super) running: Arc<Running>,
    pub(super) table: Arc<Table>,
    pub(super) places: Places,
}

/// Serves a connection over which HTTP/1.1 is spoken, in the clear, and nothing before it.
pub(super) fn converse(
    house: &Arc<House>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    hearing: Hearing,
    place: Option<Place>,
) {
    let due = Due::new(house.running.glance().settings.times);
    let service = service(house.door(peer), Some(Arc::clone(&hearing.began)));
    tokio::spawn(async move {
        let _place = place;
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&due)));
        connection::run(stream, service, due, MAX_HEADER, hearing).await;
    });
}

/// Serves a connection that begins with a PROXY header or a handshake, or both.
pub(super) async fn arrive(
    house: Arc<House>,
    mut stream: TcpStream,
    from: IpAddr,
    hearing: Hearing,
    mut place: Place,
) {
    let Some(peer) = introduce(&house, &mut stream, from).await else {
        return;
    };
    let (Peer::Tcp(address) | Peer::Balancer(address)) = peer else {
        return;
    };
    if !seat(&house, &mut place, address) {
        return;
    }
    let app = house.running.current();
    let (terminator, settings) = (app.tls.clone(), app.settings.clone());
    drop(app);
    let Some(terminator) = terminator else {
        return converse(&house, stream, peer, hearing, Some(place));
    };
    let due = Due::new(settings.times);
    let stream = Watched::new(stream, Arc::clone(&due));
    let stream = match terminator.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "no handshake");
            return;
        }
    };
    drop(terminator);
    if tls::is_http2(&stream) {
        let service = secured(house.door(peer), None);
        let limits = http2::Limits {
            header: MAX_HEADER,
            streams: settings.max_streams,
        };
        drop((house, settings));
        http2::run(TokioIo::new(stream), service, due, limits, hearing).await;
    } else {
        let service = secured(house.door(peer), Some(Arc::clone(&hearing.began)));
        drop((house, settings));
        connection::run(TokioIo::new(stream), service, due, MAX_HEADER, hearing).await;
    }
}

/// Who is at the other end; nobody when they may not be, or do not say.
async fn introduce(house: &House, stream: &mut TcpStream, from: IpAddr) -> Option<Peer> {
    let app = house.running.current();
    if !app.settings.proxy_protocol {
        return Some(Peer::Tcp(from));
    }
    let trusted = &app.settings.trusted_proxies;
    if !trusted.iter().any(|block| block.contains(from)) {
        tracing::debug!(%from, "refused: not a trusted proxy");
        return None;
    }
    let within = app.settings.times.header;
    drop(app);
    match tokio::time::timeout(within, proxied::read(stream, from)).await {
        Ok(Ok(peer)) => Some(peer),
        // A balancer that only looks whether we are there.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            tracing::debug!(%from, "a trusted proxy said nothing");
            None
        }
        Ok(Err(error)) => {
            tracing::warn!(%from, %error, "a trusted proxy's connection was refused");
            None
        }
        Err(_) => {
            tracing::warn!(%from, "a trusted proxy's connection was refused: no PROXY header in time");
            None
        }
    }
}

impl House {
    fn door(&self, peer: Peer) -> Door {
        Door {
            running: Arc::clone(&self.running),
            table: Arc::clone(&self.table),
            peer,
        }
    }
}

/// The way in of a connection we encrypt: its answers say to come back that way.
fn secured<B>(
    door: Door,
    closing: Option<Arc<AtomicBool>>,
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
where
    B: hyper::body::Body + Unpin + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let running = Arc::clone(&door.running);
    let service = service(door, closing);
    hyper::service::service_fn(move |request| {
        let hsts = running.glance().settings.hsts.clone();
        let answered = service.call(request);
        async move {
            let mut response = answered.await?;
            if let Some(hsts) = hsts {
                response
                    .headers_mut()
                    .insert(STRICT_TRANSPORT_SECURITY, hsts);
            }
            Ok(response)
        }
    })
}
