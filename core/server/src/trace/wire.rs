//! Spans as OTLP has them (opentelemetry.proto.trace.v1), named by the semantic conventions for HTTP
//! of OpenTelemetry, as far as those are stable. What is our own begins with `omnigent.`.
//!
//! **Invariant:** what is written is listed here; `url.path`, `client.address` and the like are left
//! out on purpose: a path, a query or an address may be somebody's.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use prost::Message;

use super::{
    Parent, Work,
    request::{Child, Ended},
};
use crate::id::{InstanceId, random_bytes};

/// What sends: this server.
pub(super) struct About(Resource);

impl About {
    pub(super) fn new(service_name: &str) -> Self {
        let instance = InstanceId::from_bytes(random_bytes());
        Self(Resource {
            attributes: vec![
                text("service.name", service_name),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", instance.to_string()),
            ],
            ..Resource::default()
        })
    }
}

/// A request to take these spans.
pub(super) fn encode(about: &About, requests: &[Ended]) -> Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(about.0.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: env!("CARGO_PKG_NAME").to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: requests.iter().flat_map(of_request).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    };
    request.encode_to_vec().into()
}

/// How many spans an answer says were not taken; none when it says nothing readable.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |part| part.rejected_spans);
    u64::try_from(rejected).unwrap_or(0)
}

fn of_request(ended: &Ended) -> impl Iterator<Item = Span> {
    let children = ended.children.iter().enumerate();
    let children = children.map(|(i, child)| of_child(ended, i + 1, child));
    std::iter::once(server(ended)).chain(children)
}

fn server(ended: &Ended) -> Span {
    let answer = &ended.answer;
    let name = match (answer.method, answer.route) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        (Some(method), None) => method.to_owned(),
        (None, _) => "HTTP".to_owned(),
    };
    let scheme = if answer.is_secure { "https" } else { "http" };
    let mut attributes = vec![
        text("http.request.method", answer.method.unwrap_or("_OTHER")),
        number("http.response.status_code", answer.status.into()),
        text("url.scheme", scheme),
        text("network.protocol.version", answer.version),
        text("omnigent.request.id", ended.request.to_string()),
    ];
    attributes.extend(answer.route.map(|route| text("http.route", route)));
    let is_error = answer.status >= 500;
    if is_error {
        attributes.push(text("error.type", answer.status.to_string()));
    }
    Span {
        parent_span_id: ended
            .parent
            .map(|parent| parent.span.to_vec())
            .unwrap_or_default(),
        links: ended.link.iter().map(link).collect(),
        ..span(
            ended,
            0,
            name,
            SpanKind::Server,
            (ended.start, ended.end),
            attributes,
            is_error,
        )
    }
}

fn of_child(ended: &Ended, place: usize, child: &Child) -> Span {
    let (name, attributes, is_error) = match &child.work {
        Work::Call {
            backend,
            operation,
            result,
            is_answer,
        } => {
            let mut attributes = vec![
                text("omnigent.backend.name", backend),
                text("omnigent.backend.operation", *operation),
                text("omnigent.backend.result", *result),
            ];
            if !is_answer {
                attributes.push(text("error.type", *result));
            }
            (*operation, attributes, !is_answer)
        }
        Work::Write { is_committed } => {
            let result = if *is_committed {
                "committed"
            } else {
                "refused"
            };
            let attributes = vec![text("omnigent.store.result", result)];
            ("store.write", attributes, false)
        }
    };
    let (name, times) = (name.to_owned(), (child.start, child.end));
    Span {
        parent_span_id: ended.span(0).to_vec(),
        ..span(
            ended,
            place,
            name,
            SpanKind::Internal,
            times,
            attributes,
            is_error,
        )
    }
}

fn span(
    ended: &Ended,
    place: usize,
    name: String,
    kind: SpanKind,
    (start, end): (u64, u64),
    attributes: Vec<KeyValue>,
    is_error: bool,
) -> Span {
    let is_remote = place == 0 && ended.parent.is_some();
    Span {
        trace_id: ended.trace.as_bytes().to_vec(),
        span_id: ended.span(place).to_vec(),
        flags: flags(true, is_remote),
        name,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        status: is_error.then(|| Status {
            message: String::new(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn link(parent: &Parent) -> Link {
    Link {
        trace_id: parent.trace.as_bytes().to_vec(),
        span_id: parent.span.to_vec(),
        flags: flags(parent.is_sampled, true),
        ..Link::default()
    }
}

/// The flags of W3C, and whether the parent or what is linked to is another process's.
fn flags(is_sampled: bool, is_remote: bool) -> u32 {
    let has = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = SpanFlags::ContextIsRemoteMask as u32;
    u32::from(is_sampled) | has | if is_remote { remote } else { 0 }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
