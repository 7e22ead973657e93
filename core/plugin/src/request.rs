//! A request as [`Identify`](crate::Identify) sees it, and what it says of it.

use crate::{
    Identity,
    abi::{CLIENT_CERTIFICATE, FfiRequest, TRUSTED_PROXY},
};

/// A borrowed view of one request. Nothing is copied.
pub struct RequestView<'a>(pub(crate) FfiRequest<'a>);

impl<'a> RequestView<'a> {
    /// The method.
    pub fn method(&self) -> &'a str {
        self.0.method.as_str()
    }

    /// The path, without query.
    pub fn path(&self) -> &'a str {
        self.0.path.as_str()
    }

    /// The address of the TCP peer: not what a header claims.
    pub fn peer(&self) -> &'a str {
        self.0.peer.as_str()
    }

    /// All values of a header, by its lower-case name, one per line as they came.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let headers = self.0.headers.as_slice();
        headers
            .iter()
            .filter(move |header| header.name.as_str() == name)
            .map(|header| header.value.as_slice())
    }

    /// Whether the TCP peer is a proxy the operator trusts (`server.trusted_proxies`). What a proxy
    /// vouches for in a plain header counts only then.
    pub fn is_from_trusted_proxy(&self) -> bool {
        let mut more = self.0.more.as_slice().iter();
        more.any(|header| header.name.as_str() == TRUSTED_PROXY)
    }

    /// The certificate the client has proved to hold in TLS, in DER form.
    pub fn client_certificate(&self) -> Option<&'a [u8]> {
        let more = self.0.more.as_slice().iter();
        let mut found = more.filter(|header| header.name.as_str() == CLIENT_CERTIFICATE);
        found.next().map(|header| header.value.as_slice())
    }

    /// The names of all header lines, lower-case.
    pub fn header_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0
            .headers
            .as_slice()
            .iter()
            .map(|header| header.name.as_str())
    }
}

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request carries nothing this backend reads.
    NotMine,
    /// It does, and it is no good. The reason is for the log.
    Denied(String),
    /// It is from this person.
    Accepted(Identity),
}
