//! A real OpenTelemetry collector, Rotel, which says in words what it was sent.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::repository;

/// A collector that runs. Dropping it ends it.
pub struct Collector {
    child: Child,
    /// Where it listens for OTLP over HTTP.
    pub endpoint: String,
    log: Arc<Mutex<String>>,
}

/// A span as the collector understood it.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// The id of its trace.
    pub trace: String,
    /// The id of its parent; empty without one.
    pub parent: String,
    /// Its own id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `SPAN_KIND_SERVER`.
    pub kind: String,
    /// Such as `STATUS_CODE_ERROR`.
    pub status: String,
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// The same.
    pub end: u64,
    /// Numbers are written as text.
    pub attributes: BTreeMap<String, String>,
    /// Those of what sent it.
    pub resource: BTreeMap<String, String>,
    /// Trace and span of each.
    pub links: Vec<(String, String)>,
}

impl Span {
    /// The value of an attribute; empty without it.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    /// Starts one on a free port.
    #[track_caller]
    pub fn start() -> Self {
        Self::on(free_port())
    }

    /// Starts one on this port.
    #[track_caller]
    pub fn on(port: u16) -> Self {
        let folder = repository().join("tests/peers/rotel/venv/lib");
        let versions = std::fs::read_dir(folder).expect("scripts/test installs rotel");
        let agent = versions
            .flatten()
            .map(|version| version.path().join("site-packages/rotel/rotel-agent"))
            .find(|agent| agent.exists());
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new(agent.expect("scripts/test installs rotel"))
            .args(["start", "--otlp-http-endpoint", &address])
            .args([
                "--otlp-grpc-endpoint",
                &format!("127.0.0.1:{}", free_port()),
            ])
            .args(["--exporter", "blackhole", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("rotel is a program");
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, said) = (child.stdout.take().expect("piped"), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let mut said = said.lock().expect("a log");
                said.push_str(&line);
                said.push('\n');
            }
        });
        let is_up = (0..1000).any(|_| {
            let is_up = TcpStream::connect(&address).is_ok();
            if !is_up {
                std::thread::sleep(Duration::from_millis(10));
            }
            is_up
        });
        assert!(is_up, "rotel does not listen");
        Self {
            child,
            endpoint: format!("http://{address}"),
            log,
        }
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// The spans it has, once `enough` is true of them; those it has after a while.
    pub fn spans(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = Vec::new();
        for _ in 0..1500 {
            spans = read(&self.log());
            if enough(&spans) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Where an attribute goes.
enum Section {
    Resource,
    Attributes,
    Links,
    Other,
}

fn read(log: &str) -> Vec<Span> {
    let (mut spans, mut resource) = (Vec::new(), BTreeMap::new());
    let mut section = Section::Other;
    // The last line may be half of one.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    for line in whole.lines() {
        let line = line.trim();
        match line {
            _ if line.starts_with("ResourceSpans #") => resource = BTreeMap::new(),
            "Resource attributes:" => section = Section::Resource,
            _ if line.starts_with("ScopeSpans #") => section = Section::Other,
            _ if line.starts_with("Span #") => {
                section = Section::Other;
                spans.push(Span {
                    resource: resource.clone(),
                    ..Span::default()
                });
            }
            "Attributes:" => section = Section::Attributes,
            "Links:" => section = Section::Links,
            _ => {
                let span = spans.last_mut();
                match line
                    .strip_prefix("-> ")
                    .and_then(|line| line.split_once(": "))
                {
                    Some(pair) => noted(&section, span, &mut resource, pair),
                    None => field(span, line),
                }
            }
        }
    }
    spans
}

fn noted(
    section: &Section,
    span: Option<&mut Span>,
    resource: &mut BTreeMap<String, String>,
    (key, value): (&str, &str),
) {
    let bare = value.split_once('(').and_then(|(_, v)| v.strip_suffix(')'));
    let pair = (key.to_owned(), bare.unwrap_or(value).to_owned());
    match (section, span) {
        (Section::Resource, _) => drop(resource.insert(pair.0, pair.1)),
        (Section::Attributes, Some(span)) => drop(span.attributes.insert(pair.0, pair.1)),
        (Section::Links, Some(span)) if key == "Trace ID" => {
            span.links.push((value.to_owned(), String::new()));
        }
        (Section::Links, Some(span)) if key == "ID" => {
            if let Some(link) = span.links.last_mut() {
                value.clone_into(&mut link.1);
            }
        }
        _ => {}
    }
}

fn field(span: Option<&mut Span>, line: &str) {
    let (Some(span), Some((key, value))) = (span, line.split_once(':')) else {
        return;
    };
    let value = value.trim();
    let text = match key.trim() {
        "Trace ID" => &mut span.trace,
        "Parent ID" => &mut span.parent,
        "ID" => &mut span.id,
        "Name" => &mut span.name,
        "Kind" => &mut span.kind,
        "Status code" => &mut span.status,
        "Start time" => return span.start = value.parse().expect("a number"),
        "End time" => return span.end = value.parse().expect("a number"),
        _ => return,
    };
    value.clone_into(text);
}
