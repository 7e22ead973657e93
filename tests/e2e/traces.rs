//! Traces, as a real collector gets them; and collectors that are not there, or mean harm.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use omnigent_tests::{
    PASSWORD, Server, ServerBuilder,
    collector::{Collector, Span, free_port},
    proxy::Proxy,
};
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const TRUSTED: &str = "[server]\ntrusted_proxies = [\"127.0.0.1\"]";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn tracing(endpoint: &str, more: &str) -> String {
    format!("[tracing]\notlp_endpoint = {endpoint:?}\n{more}\n")
}

/// The spans of requests.
fn requests<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    let of_name = |span: &&Span| span.kind == "SPAN_KIND_SERVER" && span.name == name;
    spans.iter().filter(of_name).collect()
}

/// The names of the spans right below `parent`.
fn below<'s>(spans: &'s [Span], parent: &Span) -> Vec<&'s Span> {
    let is_child = |span: &&Span| span.parent == parent.id && span.trace == parent.trace;
    spans.iter().filter(is_child).collect()
}

#[test]
fn a_sign_in_and_what_follows_are_traced_and_nobodys_secret_is_in_it() {
    let collector = Collector::start();
    let server = ServerBuilder::accounts()
        .also(&tracing(
            &collector.endpoint,
            "service_name = \"omnigent-under-test\"",
        ))
        .start();
    let name = "willemijn";
    let claim = json!({"username": name, "password": PASSWORD, "email": "wil@example.com"});
    server.client().post("/auth/setup", claim).expect(200);
    let sign_in = json!({"username": name, "password": PASSWORD});
    let signed_in = server.client().post("/auth/login", sign_in).expect(200);
    let request_id = signed_in.header("x-request-id").expect("an id").to_owned();
    let token = signed_in.json()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let me = server.client().bearer(&token);
    let me = me.with("user-agent", "agent-of-willemijn");
    for _ in 0..3 {
        me.get("/v1/me?hush=hush-in-the-query").expect(200);
    }
    me.get("/v1/sessions/hush-in-the-path").expect(404);
    server.client().get("/hush/nowhere").expect(404);
    server.client().send("HUSH", "/v1/me", None, "").expect(405);
    let wrong = json!({"username": name, "password": "hush-wrong-password"});
    server.client().post("/auth/login", wrong).expect(401);
    // What it has is sent before it ends.
    assert!(server.stop().0.success());
    let spans = collector.spans(|spans| requests(spans, "POST /auth/login").len() == 2);

    let logins = requests(&spans, "POST /auth/login");
    let login = logins
        .iter()
        .find(|span| span.get("http.response.status_code") == "200")
        .expect("the sign-in");
    assert_eq!(login.get("omnigent.request.id"), request_id);
    assert_eq!(login.trace, request_id, "a trace begun here is found by it");
    assert_eq!(login.parent, "");
    assert_eq!(login.get("http.request.method"), "POST");
    assert_eq!(login.get("http.route"), "/auth/login");
    assert_eq!(login.get("url.scheme"), "http");
    assert_eq!(login.get("network.protocol.version"), "1.1");
    assert_ne!(login.status, "STATUS_CODE_ERROR");
    assert_eq!(login.resource["service.name"], "omnigent-under-test");
    assert_eq!(login.resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(login.resource["service.instance.id"].len(), 32);

    let parts = below(&spans, login);
    let names: BTreeSet<&str> = parts.iter().map(|span| span.name.as_str()).collect();
    let expected = ["login.begin", "login.resume", "store.write"];
    assert_eq!(names, BTreeSet::from(expected), "{parts:#?}");
    for part in &parts {
        assert!(login.start <= part.start && part.start <= part.end && part.end <= login.end);
        assert_eq!(part.kind, "SPAN_KIND_INTERNAL");
        let (key, value) = match part.name.as_str() {
            "store.write" => ("omnigent.store.result", "committed"),
            _ => ("omnigent.backend.result", "answered"),
        };
        assert_eq!(part.get(key), value, "{part:?}");
    }
    let resume = parts.iter().find(|span| span.name == "login.resume");
    let resume = resume.expect("the plugin verifies the password");
    assert_eq!(resume.get("omnigent.backend.name"), "local");
    assert_eq!(resume.get("omnigent.backend.operation"), "login.resume");
    assert!(
        resume.end - resume.start > 1_000_000,
        "Argon2 takes its time"
    );

    let looks = requests(&spans, "GET /v1/me");
    assert_eq!(looks.len(), 3);
    for look in looks {
        assert!(below(&spans, look).is_empty(), "decided in memory");
    }
    assert_eq!(requests(&spans, "GET /v1/sessions/{id}").len(), 1);
    assert_eq!(requests(&spans, "GET").len(), 1, "no route");
    let strange = requests(&spans, "HTTP");
    assert_eq!(strange.len(), 1);
    assert_eq!(strange[0].get("http.request.method"), "_OTHER");
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "every span has an id of its own");

    let log = collector.log();
    let secrets = [
        name,
        PASSWORD,
        &token,
        "wil@example.com",
        "hush",
        "HUSH",
        "127.0.0.1:",
        "agent-of",
    ];
    // The collector says where it listens itself.
    let told = log.split_once("ResourceSpans").map_or("", |(_, told)| told);
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} is in a span");
    }
}

#[test]
fn only_a_trusted_proxy_decides_what_is_traced() {
    let collector = Collector::start();
    let never = tracing(&collector.endpoint, "sample_ratio = 0");
    let always = tracing(&collector.endpoint, "");
    let ask = |server: &Server, lines: &[&str]| {
        let mut client = server.client();
        for line in lines {
            client = client.with("traceparent", line);
        }
        client.get("/v1/info").expect(200);
    };
    let (kept, not_kept) = (traceparent("01"), traceparent("00"));

    // A stranger has nothing traced.
    let server = ServerBuilder::accounts().also(&never).start();
    ask(&server, &[&kept]);
    ask(&server, &[]);
    server.stop();
    // A trusted proxy has.
    let server = ServerBuilder::accounts().also(TRUSTED).also(&never).start();
    ask(&server, &[&not_kept]);
    ask(&server, &[]);
    ask(&server, &[&kept]);
    server.stop();
    let spans = collector.spans(|spans| !spans.is_empty());
    let [span] = spans.as_slice() else {
        panic!("{spans:#?}");
    };
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
    assert!(span.links.is_empty());
    assert_ne!(span.get("omnigent.request.id"), TRACE);

    // It can also have something left out; a stranger's word is linked to, and no more.
    let server = ServerBuilder::accounts()
        .also(TRUSTED)
        .also(&always)
        .start();
    ask(&server, &[&not_kept]);
    server.stop();
    let server = ServerBuilder::accounts().also(&always).start();
    ask(&server, &[&not_kept]);
    server.stop();
    let spans = collector.spans(|spans| spans.len() == 2);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let span = &spans[1];
    assert_eq!(span.parent, "");
    assert_eq!(span.trace, span.get("omnigent.request.id"));
    assert_eq!(span.links, [(TRACE.to_owned(), PARENT.to_owned())]);
}

#[test]
fn a_malformed_parent_is_no_parent() {
    let collector = Collector::start();
    let server = ServerBuilder::accounts()
        .also(TRUSTED)
        .also(&tracing(&collector.endpoint, ""))
        .start();
    let good = traceparent("01");
    let upper = good.to_uppercase();
    let bad = [
        "",
        "00",
        "hello",
        &good[..54],
        &format!("{good}-more"),
        &format!("ff{}", &good[2..]),
        &good.replace(TRACE, &"0".repeat(32)),
        &good.replace(PARENT, &"0".repeat(16)),
        &upper,
        &format!("{good},{good}"),
        &"0".repeat(4000),
    ];
    for line in bad {
        let client = server.client().with("traceparent", line);
        client.get("/v1/info").expect(200);
    }
    let twice = server.client().with("traceparent", &good);
    twice.with("traceparent", &good).get("/v1/info").expect(200);
    assert!(server.stop().0.success());
    let count = bad.len() + 1;
    let spans = collector.spans(|spans| spans.len() == count);
    assert_eq!(spans.len(), count);
    for span in spans {
        assert_eq!(
            (span.parent.as_str(), span.links.len()),
            ("", 0),
            "{span:?}"
        );
        assert_eq!(span.trace, span.get("omnigent.request.id"));
    }
}

/// What a collector does with a connection.
type Act = Box<dyn Fn(TcpStream) + Send + Sync>;

/// A collector that does this with every connection; it is heard of when one has come.
fn rogue(act: impl Fn(TcpStream) + Send + Sync + 'static) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (say, hear) = channel();
    let act = std::sync::Arc::new(act);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (act, say) = (std::sync::Arc::clone(&act), say.clone());
            std::thread::spawn(move || {
                let _ = say.send(());
                act(stream);
            });
        }
    });
    (url, hear)
}

/// Reads a request's head, and says what is in it.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The sum of the samples of `result`.
fn spans_that_were(server: &Server, result: &str) -> u64 {
    let log = server.log();
    let (_, rest) = log.split_once("metrics on ").expect("it says where");
    let (url, _) = rest.split_once("/metrics").expect("a path");
    let page = omnigent_tests::Client::new(url).get("/metrics").text;
    let series = format!("omnigent_trace_spans_total{{result=\"{result}\"}} ");
    let sample = page.lines().find_map(|line| line.strip_prefix(&series));
    sample.expect("a sample").parse().expect("a number")
}

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"";

#[test]
fn a_collector_that_means_harm_holds_nobody_up_and_fills_no_memory() {
    let (elsewhere, was_sent_on) = rogue(drop);
    let location = format!("{elsewhere}/v1/traces");
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n";
    let faults: [(&str, Act); 5] = [
        (
            "it hangs",
            Box::new(|stream| {
                std::thread::park_timeout(Duration::from_secs(300));
                drop(stream);
            }),
        ),
        (
            "it drips",
            Box::new(move |mut stream| {
                head(&mut stream);
                let _ = write!(stream, "{ok}content-length: 1000\r\n\r\n");
                while stream.write_all(b"\0").is_ok() {
                    std::thread::park_timeout(Duration::from_millis(100));
                }
            }),
        ),
        (
            "it is endless",
            Box::new(move |mut stream| {
                head(&mut stream);
                let _ = write!(stream, "{ok}transfer-encoding: chunked\r\n\r\n");
                let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
                // 64 MiB, if somebody takes them.
                for _ in 0..1024 {
                    if stream.write_all(&chunk).is_err() {
                        return;
                    }
                }
            }),
        ),
        (
            "it sends us elsewhere",
            Box::new(move |mut stream| {
                head(&mut stream);
                let _ = write!(
                    stream,
                    "HTTP/1.1 307 Go\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
                );
            }),
        ),
        (
            "it talks nonsense",
            Box::new(|mut stream| {
                let _ = stream.write_all(&[0xff; 70_000]);
            }),
        ),
    ];
    for (fault, act) in faults {
        let (url, has_come) = rogue(act);
        let more = "export_timeout = \"1s\"\nmax_queue = 64";
        let server = ServerBuilder::accounts()
            .also(&tracing(&url, more))
            .also(METRICS)
            .start();
        let me = server.claim();
        let before = server.resident();
        for _ in 0..200 {
            me.get("/v1/me").expect(200);
        }
        has_come
            .recv_timeout(Duration::from_secs(30))
            .expect("it is told");
        if fault != "it is endless" {
            assert!(
                server.says("traces are not taken by their collector"),
                "{fault}"
            );
        }
        for _ in 0..1000 {
            me.get("/v1/me").expect(200);
        }
        assert!(spans_that_were(&server, "dropped") > 900, "{fault}");
        let grew = server.resident().saturating_sub(before);
        assert!(grew < 16 << 20, "{fault}: {grew}");
        let (status, _) = server.stop();
        assert!(status.success(), "{fault}: it ends all the same");
    }
    assert!(was_sent_on.try_recv().is_err(), "a redirect was followed");
}

#[test]
fn a_collector_that_is_gone_is_told_of_once_and_found_again() {
    let port = free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let server = ServerBuilder::accounts()
        .also(&tracing(&endpoint, ""))
        .also(METRICS)
        .start();
    let me = server.claim();
    me.get("/v1/me").expect(200);
    assert!(server.says("traces are not taken by their collector"));
    assert!(
        server.log().contains("it cannot be reached"),
        "{}",
        server.log()
    );
    me.get("/v1/me").expect(200);
    let collector = Collector::on(port);
    let spans = collector.spans(|spans| requests(spans, "GET /v1/me").len() == 2);
    assert_eq!(requests(&spans, "GET /v1/me").len(), 2, "nothing was lost");
    assert!(server.says("traces are sent again"));
    let told = server.log().matches("traces are not taken").count();
    assert_eq!(told, 1, "{}", server.log());
    assert!(spans_that_were(&server, "sent") >= 3);
    assert_eq!(spans_that_were(&server, "dropped"), 0);
}

/// How many threads of this name it has.
fn threads(server: &Server, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("a process");
    let names = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

/// Whether it has so many of them, now or soon: a thread names itself.
fn has_threads(server: &Server, name: &str, count: usize) -> bool {
    (0..1000).any(|_| {
        let found = threads(server, name) == count;
        if !found {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        found
    })
}

#[test]
fn a_reload_turns_traces_on_and_off() {
    let collector = Collector::start();
    let server = ServerBuilder::accounts().start();
    let off = server.configuration();
    server.claim();
    assert_eq!(threads(&server, "traces"), 0, "off costs nothing");
    server.reconfigure(&format!("{off}{}", tracing(&collector.endpoint, "")));
    let (code, said, _) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0);
    assert!(said.contains("tracing.otlp_endpoint"), "{said}");
    assert!(has_threads(&server, "traces", 1));
    server.client().get("/v1/info").expect(200);
    server.reconfigure(&off);
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    // What it had is sent, and then it is gone.
    let spans = collector.spans(|spans| !requests(spans, "GET /v1/info").is_empty());
    assert!(!requests(&spans, "GET /v1/info").is_empty());
    server.client().get("/v1/agents");
    assert!(has_threads(&server, "traces", 0));
    assert!(requests(&collector.spans(|_| true), "GET /v1/agents").is_empty());
}

#[test]
fn the_collector_is_sent_its_headers_and_no_log_shows_them() {
    let (say, hear) = channel();
    let (url, _come) = rogue(move |mut stream| {
        let _ = say.send(head(&mut stream));
        let _ = stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n");
    });
    let more = "otlp_headers = \"authorization=Bearer%20hush-collector,x-tenant=one\"";
    let server = ServerBuilder::accounts()
        .also("[server]\nlog_level = \"trace\"")
        .also(&tracing(&format!("{url}/otlp/"), more))
        .start();
    server.client().get("/v1/info").expect(200);
    let head = hear
        .recv_timeout(Duration::from_secs(30))
        .expect("it is told");
    assert!(
        head.starts_with("POST /otlp/v1/traces HTTP/1.1\r\n"),
        "{head}"
    );
    let head = head.to_lowercase();
    for line in [
        "authorization: bearer hush-collector\r\n",
        "x-tenant: one\r\n",
        "content-type: application/x-protobuf\r\n",
    ] {
        assert!(head.contains(line), "{line} {head}");
    }
    assert!(server.says("it answered 401"));
    assert!(!server.log().contains("hush-collector"), "{}", server.log());
    let (_, shown, _) = server.operator(&["config", "check"]);
    assert!(!shown.contains("hush-collector"), "{shown}");
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    for (lines, key, words) in [
        (
            "otlp_endpoint = \"http://collector.example.com:4318\"",
            "otlp_endpoint",
            "https",
        ),
        (
            "otlp_endpoint = \"https://u:hush@collector.example.com\"",
            "otlp_endpoint",
            "https",
        ),
        (
            "otlp_endpoint = \"https://collector.example.com/?a=hush\"",
            "otlp_endpoint",
            "query",
        ),
        (
            "otlp_endpoint = \"collector:4318\"",
            "otlp_endpoint",
            "https",
        ),
        ("otlp_headers = \"a=hush\"", "otlp_headers", "otlp_endpoint"),
        (
            "otlp_endpoint = \"http://localhost:4318\"\notlp_headers = \"hush\"",
            "otlp_headers",
            "name=value",
        ),
        ("sample_ratio = 1.5", "sample_ratio", "from 0 to 1"),
        ("sample_ratio = \"hush\"", "sample_ratio", "from 0 to 1"),
        ("sample_ratio = nan", "sample_ratio", "from 0 to 1"),
        ("max_queue = 0", "max_queue", "between"),
        ("export_timeout = \"2h\"", "export_timeout", "between"),
        (
            "endpoint = \"http://127.0.0.1:4318\"",
            "endpoint",
            "no such key",
        ),
    ] {
        let server = ServerBuilder::accounts().also(&format!("[tracing]\n{lines}"));
        let log = server.try_start().err().expect("a refusal");
        assert!(log.contains("exit status: 2"), "{log}");
        assert!(
            log.contains(&format!("tracing.{key}")) && log.contains(words),
            "{log}"
        );
        assert!(!log.contains("hush") || lines.contains("ratio"), "{log}");
    }
}

#[test]
fn what_a_proxy_says_of_a_request_is_a_span_and_whom_it_names_is_not() {
    let collector = Collector::start();
    let table = "[auth]\nbackends = [\"proxy\"]\n[backend.proxy]\nplugin = \"header\"\n";
    let server = ServerBuilder::no_auth()
        .config(&format!("{TRUSTED}\n{table}"))
        .also(&tracing(&collector.endpoint, ""))
        .start();
    let zoe = server.client().with("x-forwarded-email", "zoe@example.com");
    let zoe = zoe.with("traceparent", &traceparent("01"));
    for _ in 0..2 {
        zoe.get("/v1/me").expect(200);
    }
    server
        .client()
        .with("x-forwarded-email", "a@b, c@d")
        .get("/v1/me");
    server.stop();
    let spans = collector.spans(|spans| requests(spans, "GET /v1/me").len() == 3);
    let looks = requests(&spans, "GET /v1/me");
    let names = |span: &Span| -> Vec<String> {
        let parts = below(&spans, span).into_iter();
        parts.map(|span| span.name.clone()).collect()
    };
    // Unknown at first: the store is asked. Then it is known.
    assert_eq!(names(looks[0]), ["identify", "store.write"]);
    assert_eq!(names(looks[1]), ["identify"]);
    assert_eq!(names(looks[2]), ["identify"]);
    assert_eq!(
        (looks[1].trace.as_str(), looks[1].parent.as_str()),
        (TRACE, PARENT)
    );
    // No letters that an id in hexadecimal may have.
    let log = collector.log();
    assert!(
        !log.contains("zoe") && !log.contains("example.com"),
        "{log}"
    );
}

#[test]
fn a_collector_is_spoken_to_by_tls_if_its_certificate_is_known() {
    let collector = Collector::start();
    let tls = Proxy::tls(&collector.endpoint);
    let certificate = tls.certificate().display().to_string();
    let with = || ServerBuilder::accounts().also(&tracing(&tls.url, ""));
    let server = with().start();
    server.client().get("/v1/agents");
    assert!(server.says("traces are not taken by their collector"));
    drop(server);
    let server = with().env("SSL_CERT_FILE", &certificate).start();
    server.client().get("/v1/info").expect(200);
    assert!(server.stop().0.success());
    let spans = collector.spans(|spans| !spans.is_empty());
    assert_eq!(requests(&spans, "GET /v1/info").len(), 1);
    assert!(requests(&spans, "GET /v1/agents").is_empty());
}
