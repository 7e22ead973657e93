//! `[tracing]`: where a trace of each request goes, if anywhere.

use std::time::Duration;

use super::{audit::is_safe, sheet::Section};
use crate::secret::Secret;

/// `[tracing]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Address of the collector that takes the traces, without a trailing slash; none: nothing is
    /// traced.
    pub otlp_endpoint: Option<String>,
    /// Sent along: names in lower case, and values that may be secrets.
    pub otlp_headers: Headers,
    /// The part of the traces begun here that is kept, from 0 to 1.
    pub sample_ratio: f64,
    /// `service.name` of every span.
    pub service_name: String,
    /// Spans that may wait to be sent.
    pub max_queue: usize,
    /// Time the collector has to take a batch.
    pub export_timeout: Duration,
}

/// Names and values.
type Headers = Vec<(String, Secret<Vec<u8>>)>;

impl Tracing {
    /// Where traces go (the OTLP specification, "OTLP/HTTP Request").
    pub fn traces_url(&self) -> Option<String> {
        let endpoint = self.otlp_endpoint.as_ref()?;
        Some(format!("{endpoint}/v1/traces"))
    }
}

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn tracing(mut section: Section<'_>) -> Tracing {
    let otlp_endpoint = endpoint(&mut section);
    let tracing = Tracing {
        otlp_headers: headers(&mut section),
        otlp_endpoint,
        sample_ratio: section.ratio("sample_ratio", 1.0),
        service_name: service_name(&mut section),
        max_queue: section.integer("max_queue", 2048, 1..=1_000_000) as usize,
        export_timeout: section.duration("export_timeout", 10 * SECOND, SECOND..=60 * SECOND),
    };
    section.finish();
    tracing
}

/// The value is not quoted in a fault: somebody may have put a password in it.
fn endpoint(section: &mut Section<'_>) -> Option<String> {
    let (place, endpoint) = section.text("otlp_endpoint")?;
    if !is_safe(&endpoint) {
        let message = "must be an https address, or http on this machine";
        section.sheet.fault(&place, message);
        return None;
    }
    if endpoint.contains(['?', '#']) {
        let message = "must have no query: /v1/traces is added to it";
        section.sheet.fault(&place, message);
        return None;
    }
    Some(endpoint.trim_end_matches('/').to_owned())
}

fn headers(section: &mut Section<'_>) -> Headers {
    let Some((place, text)) = section.secret("otlp_headers", "otlp_headers_file") else {
        return Vec::new();
    };
    if section.place("otlp_endpoint").line.is_none() {
        let message = "goes nowhere without tracing.otlp_endpoint";
        section.sheet.fault(&place, message);
    }
    parse_headers(text.expose()).unwrap_or_else(|| {
        let message = "must be headers such as name=value,name=value, with % codes for what is no \
                       plain text";
        section.sheet.fault(&place, message);
        Vec::new()
    })
}

/// Headers that follow from what is sent.
const OURS: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// As `OTEL_EXPORTER_OTLP_HEADERS` has them (the OTLP exporter specification, "Specifying headers
/// via environment variables").
fn parse_headers(text: &str) -> Option<Headers> {
    let one = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim().parse::<http::HeaderName>().ok()?.to_string();
        let value = decode(value.trim())?;
        let is_good = http::HeaderValue::from_bytes(&value).is_ok() && !OURS.contains(&&*name);
        is_good.then(|| (name, Secret::new(value)))
    };
    text.trim().split(',').map(one).collect()
}

/// What `%` codes stand for.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = parts.next()?.to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(code, &mut byte).ok()?;
        bytes.extend_from_slice(&byte);
        bytes.extend_from_slice(rest);
    }
    Some(bytes)
}

fn service_name(section: &mut Section<'_>) -> String {
    let parse = |text: &str| {
        let is_good = text.len() <= 255 && !text.chars().any(char::is_control);
        is_good
            .then(|| text.to_owned())
            .ok_or_else(|| "must be at most 255 bytes without control characters".to_owned())
    };
    let name = section.parsed("service_name", parse);
    name.unwrap_or_else(|| "omnigent".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_headers;

    #[test]
    fn headers_are_read_as_the_specification_has_them() {
        let headers =
            parse_headers("authorization=Bearer%20a%3Db, x-scope = one").unwrap_or_default();
        let shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_slice()))
            .collect();
        let expected: [(&str, &[u8]); 2] = [("authorization", b"Bearer a=b"), ("x-scope", b"one")];
        assert_eq!(shown, expected);
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    #[test]
    fn what_is_no_header_or_is_ours_to_set_is_refused() {
        for text in [
            "",
            "a",
            "=b",
            "a b=c",
            "a=%",
            "a=%4",
            "a=%0a",
            "a=%zz",
            "a=b,",
            "host=x",
            "Content-Type=x",
            "a=\u{7f}",
        ] {
            assert!(parse_headers(text).is_none(), "{text:?}");
        }
    }
}
