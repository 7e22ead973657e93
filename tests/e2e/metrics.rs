//! What Prometheus reads: that the numbers are right, bounded, and nobody's secret.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder, repository, workshop};
use serde_json::json;

const ON: &str = "[metrics]\nlisten = \"127.0.0.1:0\"";

/// A client of the listener for metrics.
fn watcher(server: &Server) -> Client {
    assert!(server.says("metrics on http://"), "{}", server.log());
    let log = server.log();
    let (_, rest) = log.split_once("metrics on ").expect("it says where");
    let (url, _) = rest.split_once("/metrics").expect("a path");
    Client::new(url)
}

fn scrape(watcher: &Client) -> String {
    let answer = watcher.get("/metrics").expect(200);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text
}

/// The sample called exactly `series`; zero when there is none.
fn value(page: &str, series: &str) -> f64 {
    let mut lines = page.lines();
    let sample = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    sample.map_or(0.0, |number| number.parse().expect("a number"))
}

fn requests(page: &str, method: &str, route: &str, status: &str) -> f64 {
    let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
    value(page, &format!("omnigent_http_requests_total{{{labels}}}"))
}

fn logins(page: &str, backend: &str, result: &str) -> f64 {
    let labels = format!("backend=\"{backend}\",result=\"{result}\"");
    value(page, &format!("omnigent_logins_total{{{labels}}}"))
}

#[test]
fn metrics_count_what_was_done() {
    let server = ServerBuilder::accounts().also(ON).start();
    let watcher = watcher(&server);
    let admin = server.claim();
    let before = scrape(&watcher);
    for _ in 0..3 {
        server.login("admin", PASSWORD).get("/v1/me").expect(200);
    }
    let wrong = json!({"username": "admin", "password": "wrong-wrong"});
    for _ in 0..2 {
        let answer = server.client().post("/auth/login", wrong.clone());
        answer.expect(401);
    }
    for _ in 0..10 {
        admin.get("/v1/sessions").expect(200);
    }
    let forged = server.client().bearer("x").get("/v1/sessions");
    forged.expect(401);
    server.client().get("/nowhere").expect(404);
    server.client().delete("/v1/me").expect(405);
    let page = scrape(&watcher);
    let grew = |of: &dyn Fn(&str) -> f64| of(&page) - of(&before);

    assert_eq!(grew(&|page| logins(page, "local", "signed_in")), 3.0);
    assert_eq!(grew(&|page| logins(page, "local", "denied")), 2.0);
    assert_eq!(requests(&page, "POST", "/auth/login", "2xx"), 3.0);
    assert_eq!(requests(&page, "POST", "/auth/login", "4xx"), 2.0);
    assert_eq!(requests(&page, "GET", "/v1/sessions", "2xx"), 10.0);
    assert_eq!(requests(&page, "GET", "/v1/sessions", "4xx"), 1.0);
    assert_eq!(requests(&page, "other", "unmatched", "4xx"), 2.0);
    let took =
        "omnigent_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/sessions\"}";
    assert_eq!(value(&page, took), 11.0);

    // The admin's token was looked at twice before it was kept, those of the three logins once.
    let misses = grew(&|page| value(page, "omnigent_token_cache_misses_total"));
    assert_eq!(misses, 6.0, "and the forged one");
    let hits = grew(&|page| value(page, "omnigent_token_cache_hits_total"));
    assert_eq!(hits, 8.0);
    let refused = "omnigent_tokens_refused_total{reason=\"malformed\"}";
    assert_eq!(grew(&|page| value(page, refused)), 1.0);

    let resumed = "omnigent_backend_calls_total{backend=\"local\",method=\"login.resume\",result=\"answered\"}";
    assert_eq!(grew(&|page| value(page, resumed)), 5.0);
    let timed =
        "omnigent_backend_call_duration_seconds_count{backend=\"local\",method=\"login.resume\"}";
    assert_eq!(grew(&|page| value(page, timed)), 5.0);
    let hashed = grew(&|page| value(page, "omnigent_hashing_duration_seconds_count"));
    assert_eq!(hashed, 5.0);
    assert_eq!(value(&page, "omnigent_hashing_queue_length"), 0.0);

    let flushes = grew(&|page| value(page, "omnigent_store_flush_duration_seconds_count"));
    assert!(flushes >= 3.0, "each login is committed: {flushes}");
    let together = grew(&|page| value(page, "omnigent_store_transactions_total"));
    assert!(together >= flushes, "{together}");
    assert_eq!(value(&page, "omnigent_store_writing{state=\"open\"}"), 1.0);
    assert_eq!(value(&page, "omnigent_store_writing{state=\"full\"}"), 0.0);
    assert!(value(&page, "omnigent_store_size_bytes") > 1000.0);
    assert!(value(&page, "omnigent_store_disk_free_bytes") > 1000.0);

    assert_eq!(value(&page, "omnigent_backend_up{backend=\"local\"}"), 1.0);
    assert_eq!(value(&page, "omnigent_accounts"), 1.0);
    let resident = value(&page, "process_resident_memory_bytes");
    assert!(resident > 1e6 && resident < 1e9, "{resident}");
    assert!(value(&page, "process_start_time_seconds") > 1.7e9);
    assert!(value(&page, "process_max_fds") >= value(&page, "process_open_fds"));
    assert!(page.contains("omnigent_build_info{version="), "{page}");
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let server = ServerBuilder::accounts().also(ON).start();
    let watcher = watcher(&server);
    let open = || {
        let page = scrape(&watcher);
        value(&page, "omnigent_http_connections_open{listener=\"tcp\"}")
    };
    let address = server.url.trim_start_matches("http://");
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).expect("it listens");
            stream
                .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .expect("sent");
            let mut answer = [0; 12];
            std::io::Read::read_exact(&mut stream, &mut answer).expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    // The harness's own client may hold one too.
    assert!(open() >= 3.0);
    drop(held);
    let closed = (0..500).any(|_| open() <= 1.0);
    assert!(closed, "{}", open());
}

#[test]
fn the_breaker_of_a_failing_backend_is_seen() {
    let file = workshop::built().join("libomnigent_auth_misbehaving.so");
    let table = format!(
        "[auth]\nbackends = [\"local\", \"bad\"]\n[backend.local]\nplugin = \"accounts\"\n\
         [backend.bad]\nplugin = \"misbehaving\"\npath = {file:?}\nentry = \"begin\"\n\
         how = \"panic\"\nrequired = false\n{ON}\n"
    );
    let server = ServerBuilder::no_auth().config(&table).start();
    let watcher = watcher(&server);
    let breaker = "omnigent_backend_breaker_open{backend=\"bad\"}";
    assert_eq!(value(&scrape(&watcher), breaker), 0.0);
    for _ in 0..7 {
        let begin = json!({"backend": "bad"});
        let begun = server.client().post("/auth/conversations", begin);
        begun.expect(503);
    }
    let page = scrape(&watcher);
    assert_eq!(value(&page, breaker), 1.0);
    assert_eq!(value(&page, "omnigent_backend_up{backend=\"bad\"}"), 0.0);
    assert_eq!(value(&page, "omnigent_backend_up{backend=\"local\"}"), 1.0);
    let calls = |result: &str| {
        let labels = format!("backend=\"bad\",method=\"login.begin\",result=\"{result}\"");
        value(&page, &format!("omnigent_backend_calls_total{{{labels}}}"))
    };
    assert_eq!(calls("failed"), 5.0, "{page}");
    assert_eq!(calls("paused"), 2.0, "the breaker opened after five");
    assert_eq!(logins(&page, "bad", "unavailable"), 7.0);
    let ready = watcher.get("/healthz/ready").expect(200).json();
    assert_eq!(ready["status"], "degraded");
    assert_eq!(ready["store"], "writable");
}

#[test]
fn what_strangers_send_adds_no_series() {
    let patient = "[throttle]\naccount_failures = 100000\naddress_failures = 100000\n";
    let server = ServerBuilder::accounts()
        .also(&format!("{patient}{ON}"))
        .start();
    let watcher = watcher(&server);
    let admin = server.claim();
    let knock = |round: usize| {
        for i in 0..60 {
            let mark = format!("stranger{round}x{i}");
            server.client().get(&format!("/{mark}/{mark}")).expect(404);
            admin.get(&format!("/v1/sessions/{mark}")).expect(404);
            admin.get(&format!("/v1/sessions?{mark}=1"));
            server
                .client()
                .send(&format!("M{mark}"), "/v1/me", None, "");
            let body = json!({"username": mark, "password": "wrong-wrong", "backend": mark});
            server.client().post("/auth/login", body);
            let begin = json!({"backend": mark});
            server.client().post("/auth/conversations", begin);
            server
                .client()
                .bearer(&mark)
                .with("host", &mark)
                .get("/v1/me");
        }
    };
    knock(0);
    let first = scrape(&watcher);
    knock(1);
    let second = scrape(&watcher);
    let series = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.rsplit_once(' ').expect("a sample").0.to_owned())
            .collect()
    };
    assert_eq!(series(&first), series(&second));
    assert!(!second.contains("stranger"), "{second}");
    let asked = requests(&second, "GET", "/v1/sessions/{id}", "4xx");
    assert_eq!(asked, 120.0);
}

#[test]
fn the_listener_for_metrics_answers_nothing_else() {
    let server = ServerBuilder::accounts().also(ON).start();
    let watcher = watcher(&server);
    let admin = server.claim();
    let answer = server.client().post(
        "/auth/login",
        json!({"username": "admin", "password": PASSWORD}),
    );
    let token = answer.expect(200).json()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    for route in omnigent_server::http::routes() {
        if !route.path.starts_with("/healthz/") {
            let path = route.path.replace(['{', '}'], "");
            watcher.get(&path).expect(404);
            watcher.bearer(&token).get(&path).expect(404);
        }
    }
    for path in [
        "/",
        "/metrics/",
        "/metrics/x",
        "/Metrics",
        "/admin.sock",
        "//metrics",
    ] {
        watcher.get(path).expect(404);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = watcher.send(method, "/metrics", None, "").expect(405);
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    watcher
        .with("host", "evil.example")
        .get("/metrics")
        .expect(403);
    let log = server.log();
    let (_, rest) = log.split_once("metrics on http://").expect("it says where");
    let (address, _) = rest.split_once('/').expect("a path");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let two = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n";
    std::io::Write::write_all(&mut stream, two.as_bytes()).expect("written");
    let mut said = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut said).expect("an answer");
    assert_eq!(&said, b"HTTP/1.1 403");
    watcher
        .with("host", "localhost:9464")
        .get("/metrics")
        .expect(200);
    assert_eq!(
        watcher.get("/healthz/live").expect(200).json(),
        json!({"status": "ok"})
    );

    // The people's listener shows no metrics, to nobody.
    server.client().get("/metrics").expect(404);
    admin.get("/metrics").expect(404);

    let page = scrape(&watcher.bearer(&token));
    let dir = server.dir.path().display().to_string();
    for secret in [
        "admin\"",
        PASSWORD,
        token.as_str(),
        "127.0.0.1",
        dir.as_str(),
        "eyJ",
    ] {
        assert!(!page.contains(secret), "{secret} in\n{page}");
    }
}

/// Runs promtool on `input`; what it says when it finds a fault.
fn promtool(args: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: scripts/test installs it");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said).into_owned())
    }
}

#[test]
fn promtool_finds_no_fault_with_names_and_values() {
    let server = ServerBuilder::accounts().also(ON).start();
    let watcher = watcher(&server);
    let admin = server.claim();
    admin.get("/v1/sessions").expect(200);
    server.client().get("/nowhere").expect(404);
    server.client().bearer("x").get("/v1/me").expect(401);
    let page = scrape(&watcher);
    promtool(&["check", "metrics"], &page).unwrap_or_else(|fault| panic!("{fault}\n{page}"));
}

#[test]
fn the_sample_configuration_and_rules_are_good_and_name_metrics_there_are() {
    promtool(&["check", "config", "docs/prometheus/prometheus.yml"], "").expect("a good sample");
    promtool(&["test", "rules", "docs/prometheus/alerts.test.yml"], "").expect("rules that work");
    let server = ServerBuilder::accounts().also(ON).start();
    let watcher = watcher(&server);
    server.claim();
    server.login("admin", PASSWORD);
    let forged = server.client().bearer("x").get("/v1/sessions");
    forged.expect(401);
    let page = scrape(&watcher);
    let rules = std::fs::read_to_string(repository().join("docs/prometheus/alerts.yml"));
    let manual = std::fs::read_to_string(repository().join("docs/operations.md"));
    for text in [rules.expect("rules"), manual.expect("a manual")] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named = words.filter(|word| word.starts_with("omnigent_") && word.len() > 12);
        for name in named.filter(|name| !name.starts_with("omnigent_client")) {
            let bare = ["_bucket", "_sum", "_count"];
            let bare = bare
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let is_there = page.contains(&format!("# TYPE {bare} "));
            assert!(is_there, "{name} is not on the page");
        }
    }
    for line in page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE omnigent_"))
    {
        let name = line.split(' ').next().expect("a name");
        let manual = std::fs::read_to_string(repository().join("docs/operations.md"));
        assert!(
            manual
                .expect("a manual")
                .contains(&format!("omnigent_{name}")),
            "docs/operations.md does not explain omnigent_{name}"
        );
    }
}

#[test]
fn a_server_told_to_stop_says_so_before_it_does() {
    let server = ServerBuilder::accounts()
        .also(&format!("[server]\ndrain_delay = \"60s\"\n{ON}"))
        .start();
    let watcher = watcher(&server);
    let ready = |client: &Client| client.get("/healthz/ready");
    let answer = ready(&watcher).expect(200).json();
    assert_eq!(answer["status"], "ok");
    assert_eq!(
        answer["backends"],
        json!([{"name": "local", "state": "ok"}])
    );
    let sent = Command::new("kill").arg(server.pid().to_string()).status();
    assert!(sent.expect("kill is there").success());
    let told = (0..1000).any(|_| ready(&watcher).status == 503);
    assert!(told, "{}", ready(&watcher).text);
    // New connections are still taken, so that who looks for it hears of it.
    let answer = ready(&server.client()).expect(503).json();
    assert_eq!(answer["status"], "draining");
    server.client().get("/healthz/live").expect(200);
    watcher.get("/healthz/live").expect(200);
    assert_eq!(value(&scrape(&watcher), "omnigent_draining"), 1.0);
}

#[test]
fn metrics_are_off_unless_asked_for_and_stay_on_this_machine_unless_told() {
    let server = ServerBuilder::accounts().start();
    assert!(!server.log().contains("metrics on"));
    let open = ServerBuilder::accounts().also("[metrics]\nlisten = \"0.0.0.0:0\"");
    let refused = open.try_start().err().expect("refused");
    assert!(refused.contains("metrics.listen"), "{refused}");
    assert!(refused.contains("allow_on_network = true"), "{refused}");
    let told = "[metrics]\nlisten = \"0.0.0.0:0\"\nallow_on_network = true";
    let server = ServerBuilder::accounts().also(told).start();
    assert!(server.says("metrics on http://0.0.0.0:"));
}
