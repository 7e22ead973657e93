//! The HTTP client: one request, one answer, whatever its status.
//!
//! **Invariants:** redirects are answers and never followed; an answer is bounded in time and size;
//! errors name the server and never a header or a body.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode, header, redirect::Policy};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Address, Bearer, refusal};
use crate::failure::Failure;

/// How long a server may take: a password is hashed, behind a queue.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to reach it.
const REACH: Duration = Duration::from_secs(10);
/// Largest answer taken.
const MAX_ANSWER: usize = 16 << 20;
/// The origin of programs, which is nobody's web page.
const ORIGIN: &str = "omnigent://internal";

/// Sends requests to one server.
pub(crate) struct Wire {
    runtime: tokio::runtime::Runtime,
    client: Client,
    server: Address,
}

/// What a request carries.
pub(crate) enum Body<'a> {
    /// Nothing.
    None,
    /// JSON.
    Json(&'a Value),
    /// Fields of a form.
    Form(&'a [(&'a str, &'a str)]),
    /// Bytes of a content type.
    Raw(&'a str, Vec<u8>),
}

/// All of an answer that matters.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: header::HeaderMap,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Wire {
    /// A client of `server`.
    pub(crate) fn new(server: &Address) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let mut client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(REACH)
            .timeout(PATIENCE)
            .user_agent(concat!("omnigent/", env!("CARGO_PKG_VERSION")));
        if server.is_loopback() {
            // A proxy would look for the server on its own machine.
            client = client.no_proxy();
        } else {
            client = client.https_only(true);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Ok(Self {
            runtime: runtime.map_err(|error| failed(&error))?,
            client: client.build().map_err(|error| failed(&error))?,
            server: server.clone(),
        })
    }

    /// The server it speaks to.
    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    /// GET without a credential.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None, Body::None)
    }

    /// Sends a request to a path of the server.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Bearer>,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let mut request = self.request(method, path);
        if let Some(bearer) = bearer {
            let value = format!("Bearer {}", bearer.expose());
            let mut value = header::HeaderValue::from_str(&value)
                .map_err(|_| Failure::Failed("the token is not one a header can carry".into()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        self.finish(request, body)
    }

    /// As [`Wire::send`] without a credential of a person, but with the secret of a client, if it has
    /// one.
    pub(crate) fn send_as_client(
        &self,
        method: Method,
        path: &str,
        secret: Option<&str>,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let mut request = self.request(method, path);
        if let Some(secret) = secret {
            let mut value = header::HeaderValue::from_str(secret).map_err(|_| {
                Failure::Usage("the client secret is not one a header can carry".into())
            })?;
            value.set_sensitive(true);
            request = request.header("x-omnigent-client-secret", value);
        }
        self.finish(request, body)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.server.join(path))
            .header(header::ORIGIN, ORIGIN)
            .header(header::ACCEPT, "application/json")
    }

    fn finish(&self, request: RequestBuilder, body: Body<'_>) -> Result<Answer, Failure> {
        let answer = self.runtime.block_on(exchange(with(request, body)));
        answer.map_err(|why| {
            Failure::Unreachable(format!("{} cannot be reached: {why}", self.server))
        })
    }

    /// Waits.
    pub(crate) fn pause(&self, length: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(length).await });
    }
}

fn with(request: RequestBuilder, body: Body<'_>) -> RequestBuilder {
    match body {
        Body::None => request,
        Body::Json(value) => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(value.to_string()),
        Body::Form(fields) => request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(
                url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields)
                    .finish(),
            ),
        Body::Raw(kind, bytes) => request.header(header::CONTENT_TYPE, kind).body(bytes),
    }
}

async fn exchange(request: RequestBuilder) -> Result<Answer, String> {
    let mut answer = request.send().await.map_err(|error| cause(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err("its answer is too large".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: answer.status(),
        headers: answer.headers().clone(),
        body,
    })
}

/// The innermost cause, which is the one a person can do something about. The outer ones repeat the
/// address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::output::plain(&cause.to_string())
}

impl Answer {
    /// This answer if it is a success, or else the failure it means.
    pub(crate) fn success(self) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.failure())
    }

    /// The failure an unsuccessful answer means.
    pub(crate) fn failure(&self) -> Failure {
        let reason = refusal::reason(&self.body);
        let reason = reason.unwrap_or_else(|| format!("the server answered {}", self.status));
        let reason = match self.request_id() {
            Some(id) => format!("{reason} (request {id})"),
            None => reason,
        };
        match self.status {
            StatusCode::UNAUTHORIZED => Failure::SignedOut(reason),
            status if status.is_server_error() => Failure::Unreachable(reason),
            status if status.is_redirection() => Failure::Refused(format!(
                "the server sends elsewhere, which is not followed: {reason}"
            )),
            _ => Failure::Refused(reason),
        }
    }

    /// A header's value, made plain.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(crate::output::plain(value))
    }

    /// What to quote when asking for help.
    pub(crate) fn request_id(&self) -> Option<String> {
        let id = self.header("x-request-id")?;
        let is_id = id.len() <= 64
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_id.then_some(id)
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            Failure::Failed("the server's answer makes no sense; is it an omnigent server?".into())
        })
    }
}
