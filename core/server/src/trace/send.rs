//! Speaking to the collector: OTLP over HTTP, protobuf (the OTLP specification, "OTLP/HTTP").
//!
//! **Invariants:** redirects are not followed; a request ends within the timeout, however the answer
//! drips; of an answer no more than [`MOST`] is read; what it says is shown to nobody.

use std::{io, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};

use super::wire::rejected;
use crate::{
    config::Tracing,
    outgoing::{self, words},
};

/// Bytes read of an answer.
const MOST: usize = 64 * 1024;

/// Longest time a collector may ask us to wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// The collector, and a client for it.
pub(super) struct Collector {
    client: Client,
    url: String,
    headers: HeaderMap,
}

/// Spans were not taken.
pub(super) struct Failure {
    /// In words, without the address.
    pub(super) why: String,
    /// Whether they may be taken later.
    pub(super) is_passing: bool,
    /// How long the collector asks us to wait.
    pub(super) after: Option<Duration>,
}

impl Collector {
    /// That of the configuration, if there is one.
    pub(super) fn new(config: &Tracing) -> io::Result<Option<Self>> {
        let Some(url) = config.traces_url() else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &config.otlp_headers {
            let name: HeaderName = name.parse().map_err(io::Error::other)?;
            let mut value = HeaderValue::from_bytes(value.expose()).map_err(io::Error::other)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        let client = outgoing::client(config.export_timeout)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| io::Error::other(words(&error)))?;
        Ok(Some(Self {
            client,
            url,
            headers,
        }))
    }

    /// Sends a request to take spans: how many of them it does not take.
    pub(super) async fn send(&self, body: Bytes) -> Result<u64, Failure> {
        let request = self.client.post(&self.url).headers(self.headers.clone());
        let answer = request.body(body).send().await.map_err(|e| broken(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(rejected(&read(answer).await?));
        }
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        Err(Failure {
            why: format!("it answered {}", status.as_u16()),
            // The table "Retryable Response Codes".
            is_passing: matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            after: after.map(|seconds| Duration::from_secs(seconds).min(PATIENCE)),
        })
    }
}

/// The answer's body. One that is too long says nothing; the connection is given up.
async fn read(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > MOST {
            return Ok(Vec::new());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(error: &reqwest::Error) -> Failure {
    Failure {
        why: words(error).to_owned(),
        is_passing: true,
        after: None,
    }
}
