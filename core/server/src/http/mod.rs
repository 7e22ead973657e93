//! HTTP: routes by feature, error shapes, cookies, origins, pages.
//!
//! Owns: everything a client sees. Does not: decide who may have what, beyond what a route's
//! [`Access`] says. The only place that knows warp.
//!
//! **Invariants:** errors are answers, never rejections; a handler runs only after its route's
//! access was granted; every route is in [`routes`].

mod accounts;
mod agents;
mod arrive;
mod audit;
mod authenticate;
mod body;
mod cli;
mod connection;
mod conversations;
mod cookies;
mod data;
mod device;
mod dispatch;
mod door;
mod due;
mod error;
mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http2;
mod incoming;
mod info;
mod introspect;
mod json;
mod keys;
mod logins;
mod magic;
mod oauth;
mod openapi;
mod operator;
mod origin;
mod pages;
mod panics;
mod peer;
mod people;
mod places;
mod proxied;
mod ready;
mod redirects;
mod request;
mod response;
mod rest;
mod room;
mod route;
mod serve;
mod sessions;
mod strangers;
mod target;
mod throttle;
mod tokens;
mod watch;

use std::time::Duration;

use http::HeaderValue;

use crate::config::Cidr;

pub use body::{BodyRule, Fields, Shape};
pub use due::Times;
pub use error::{ApiError, Fault};
pub use info::VERSION;
pub use panics::caught_panics;
pub use peer::Peer;
pub use proxied::{Malformed, Parsed, parse as parse_proxy_header};
pub use request::{Authority, Head, Principal, Request};
pub use response::{Outcome, Response};
pub use route::{Access, Route};
pub use serve::{Entrance, Listeners, serve};
pub use watch::show_metrics;

/// What HTTP needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where people reach the server, without a trailing slash.
    pub base_url: String,
    /// The host and port of it.
    pub authority: String,
    /// Whether people reach the server by https.
    pub is_secure: bool,
    /// Peers whose word on identities and addresses counts.
    pub trusted_proxies: Vec<Cidr>,
    /// Users whose word counts on the Unix socket.
    pub unix_socket_uids: Vec<u32>,
    /// The session cookie's name.
    pub cookie_name: &'static str,
    /// Everybody is `local`.
    pub is_no_auth: bool,
    /// The operator's word that no-auth may be reached from the network.
    pub is_open_to_network: bool,
    /// `sharing_mode` of `/v1/info`.
    pub sharing_mode: &'static str,
    /// Whether a session can be shared with everybody.
    pub public_sharing: bool,
    /// Bytes of a body.
    pub max_body: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once of one address.
    pub max_connections_per_address: usize,
    /// Requests at once of one HTTP/2 connection.
    pub max_streams: u32,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// What says that browsers are to come by https only: with pages, and with every answer that we
    /// encrypt ourselves.
    pub hsts: Option<HeaderValue>,
    /// How long a connection may take over what.
    pub times: Times,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long a drain may take.
    pub shutdown_timeout: Duration,
}

impl Settings {
    /// Whether people reach the server by https.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }
}

/// Every route there is.
pub fn routes() -> Vec<Route> {
    let features = [
        info::routes(),
        accounts::routes(),
        agents::routes(),
        audit::routes(),
        sessions::routes(),
        conversations::routes(),
        forms::routes(),
        redirects::routes(),
        cli::routes(),
        logins::routes(),
        magic::routes(),
        oauth::routes(),
        introspect::routes(),
        device::routes(),
        operator::routes(),
        throttle::routes(),
        keys::routes(),
        data::routes(),
        people::routes(),
        tokens::routes(),
        pages::routes(),
        openapi::routes(),
    ];
    features.into_iter().flatten().collect()
}
