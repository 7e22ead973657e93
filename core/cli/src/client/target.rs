//! Which server a command speaks to, and as whom.

use reqwest::Method;
use serde_json::Value;

use super::{Address, Answer, Bearer, Body, Wire, credential, default_server, vault::Vault};
use crate::failure::Failure;

/// The option of every command that speaks to a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Which {
    /// The server; without it the default one, which is the one signed in to last
    #[arg(long, value_name = "URL", global = true, env = "OMNIGENT_SERVER_URL")]
    pub(crate) server: Option<String>,
}

impl Which {
    /// The server that is meant.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        if let Some(text) = self.server.as_deref().filter(|text| !text.is_empty()) {
            return Address::parse(text);
        }
        if let Some(server) = default_server::get() {
            return Ok(server);
        }
        // Whoever signed in to one server only means that one.
        let mut keys = Vault::open()?.map_or(Ok(Vec::new()), |vault| vault.servers())?;
        match (keys.pop(), keys.is_empty()) {
            (Some(only), true) => Address::parse(&only),
            (Some(_), false) => Err(Failure::Usage("which server? --server URL".into())),
            (None, _) => Err(Failure::SignedOut(
                "not signed in to any server: omnigent login URL".into(),
            )),
        }
    }

    /// The server that is meant, as whoever is signed in there.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        Target::new(&self.address()?)
    }
}

/// A server, and the credential for it.
pub(crate) struct Target {
    wire: Wire,
    bearer: Option<Bearer>,
}

impl Target {
    fn new(server: &Address) -> Result<Self, Failure> {
        let wire = Wire::new(server)?;
        let bearer = credential::fresh(&wire)?;
        Ok(Self { wire, bearer })
    }

    /// The client without the credential.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The credential, if there is one. A server in header or no-auth mode needs none.
    pub(crate) fn bearer(&self) -> Option<&Bearer> {
        self.bearer.as_ref()
    }

    /// Sends a request as whoever is signed in, and gives any answer back.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let answer = self.wire.send(method, path, self.bearer(), body)?;
        credential::warn_of_expiry(&answer);
        Ok(answer)
    }

    /// As [`Target::send`], when only a success will do.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let answer = self.send(method, path, body)?;
        answer.success().map_err(|failure| match failure {
            Failure::SignedOut(why) => Failure::SignedOut(self.explained(&why)),
            other => other,
        })
    }

    /// The JSON of a successful GET.
    pub(crate) fn fetch(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, Body::None)?.json()
    }

    fn explained(&self, why: &str) -> String {
        let server = self.wire.server();
        if credential::is_from_environment() {
            format!("{server} refuses the token in OMNIGENT_REMOTE_AUTH_TOKEN: {why}")
        } else if self.bearer.is_some() {
            format!(
                "{server} refuses the stored login: {why}. Sign in again: omnigent login {server}"
            )
        } else {
            format!("not signed in to {server}. Sign in: omnigent login {server}")
        }
    }
}
