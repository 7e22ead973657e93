//! One HTTP exchange with a provider, on our terms.
//!
//! **Invariants** (THREATS O9): one deadline for the whole answer, at most [`MAX_BODY`] bytes of it,
//! no redirect is followed, nothing is decompressed. What cannot be an answer (a 5xx, a 429, a
//! redirect, too much of it) is a [`Failure`]; texts name the host, never a query or a body.

use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use omnigent_plugin::BackendError;
use reqwest::redirect::Policy;
use url::Url;

use crate::json::{self, Object};

/// The longest answer that is read.
pub(crate) const MAX_BODY: usize = 512 * 1024;

/// No answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure.0)
    }
}

/// The client.
#[derive(Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    /// For a provider on this machine, no proxy of the environment's is used.
    ///
    /// # Errors
    /// When TLS cannot start (no certificate authorities).
    pub(crate) fn new(timeout: Duration, local: bool) -> Result<Self, BackendError> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .user_agent(concat!("omnigent-auth-oidc/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeout)
            .timeout(timeout);
        if local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            BackendError::misconfigured(format!(
                "TLS cannot start ({}): install certificate authorities (the package \
                 ca-certificates) or name them in SSL_CERT_FILE",
                deepest(&error)
            ))
        })?;
        Ok(Self(client))
    }

    /// Sends, and reads the answer.
    ///
    /// # Errors
    /// When there is none that can be one.
    pub(crate) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed = |error: reqwest::Error| Failure(format!("{host} {}", reason(&error)));
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = self.0.execute(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure(format!("{host} answered {}", status.as_u16())));
        }
        if status.is_redirection() {
            let status = status.as_u16();
            return Err(Failure(format!("{host} answered {status}: not followed")));
        }
        let too_long = || Failure(format!("{host} answered more than {MAX_BODY} bytes"));
        if answer.content_length() > Some(MAX_BODY as u64) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = Response::new(body);
        *whole.status_mut() = status;
        std::mem::swap(whole.headers_mut(), answer.headers_mut());
        Ok(whole)
    }

    /// Sends, and reads an answer that must be a JSON object. What is sent back is for libraries
    /// that read it once more: by then no member is in it twice.
    ///
    /// # Errors
    /// When there is none, or it is something else (a page of a proxy's, say).
    pub(crate) async fn send_json(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(Object, Response<Vec<u8>>), Failure> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.send(request).await?;
        let status = answer.status().as_u16();
        let object = json::object(answer.body()).map_err(|why| {
            Failure(format!(
                "{host} answered {status} with a body that is {why}"
            ))
        })?;
        Ok((object, answer))
    }

    /// Gets a JSON object.
    ///
    /// # Errors
    /// When there is none; any other status than 200 is none.
    pub(crate) async fn get_json(&self, url: &Url) -> Result<Object, Failure> {
        let request = get(url, None)?;
        let (object, answer) = self.send_json(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(object),
            status => {
                let host = url.host_str().unwrap_or_default();
                Err(Failure(format!("{host} answered {}", status.as_u16())))
            }
        }
    }
}

/// A GET that asks for JSON.
///
/// # Errors
/// When the token cannot be in a header.
pub(crate) fn get(url: &Url, bearer: Option<&str>) -> Result<Request<Vec<u8>>, Failure> {
    let mut builder = Request::get(url.as_str()).header(header::ACCEPT, "application/json");
    if let Some(token) = bearer {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let wrong = |_| Failure("the request cannot be written: a token that is no token".into());
    builder.body(Vec::new()).map_err(wrong)
}

/// Why, without the URL: it may hold what is secret.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "did not answer in time".into();
    }
    let what = if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off"
    };
    format!("{what}: {}", deepest(error))
}

/// The cause behind all causes. The outermost text of reqwest's holds the URL, so not that.
fn deepest(error: &reqwest::Error) -> String {
    let mut deepest = std::error::Error::source(error);
    while let Some(deeper) = deepest.and_then(|cause| cause.source()) {
        deepest = Some(deeper);
    }
    let text = deepest.map_or_else(|| "no reason given".into(), ToString::to_string);
    crate::text::sanitised(&text)
}
