//! What is measured, row by row.

mod bearer;
mod growth;
mod lists;
mod logins;
mod start;
mod writes;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Plan,
    fill::{Scale, fill},
    load::{self, request},
    process,
    server::{Outcome, Process},
};

pub use bearer::bearer;
pub use growth::growth;
pub use lists::lists;
pub use logins::logins;
pub use start::start;
pub use writes::writes;

const PASSWORD: &str = "tidal-Orchid-77-lantern";
const CONFIG: &str = r#"
[auth]
backends = ["local"]
[backend.local]
plugin = "accounts"
[throttle]
account_failures = 10000
writes_per_minute = 60000
address_failures = 100000
[[agent]]
name = "reviewer"
"#;

const HEADER: &str = r#"
[server]
trusted_proxies = ["127.0.0.1"]
[auth]
backends = ["proxy"]
[backend.proxy]
plugin = "header"
"#;

/// In this time a server has proven what it opened.
const SETTLED: Duration = Duration::from_secs(8);

/// A claimed data directory, and a token of its admin.
struct House {
    dir: TempDir,
    server: Option<Process>,
}

impl House {
    fn new() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let server = Process::omnigent(&dir.path().join("data"), CONFIG)?;
        post(
            server.port,
            "/auth/setup",
            None,
            json!({"username": "admin", "password": PASSWORD}),
        )?;
        Ok(Self {
            dir,
            server: Some(server),
        })
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn fill(&mut self, scale: Scale, tokens: usize) -> Outcome<Vec<String>> {
        if let Some(server) = self.server.take() {
            server.stop()?;
        }
        let tokens = fill(&self.data(), scale, "admin", tokens)?;
        self.server = Some(Process::omnigent(&self.data(), CONFIG)?);
        Ok(tokens)
    }

    fn server(&self) -> Outcome<&Process> {
        self.server.as_ref().ok_or_else(|| "no server runs".into())
    }
}

fn post(port: u16, path: &str, token: Option<&str>, body: Value) -> Outcome<Value> {
    let mut request = ureq::post(format!("http://127.0.0.1:{port}{path}"))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let text = request
        .send(body.to_string())?
        .body_mut()
        .read_to_string()?;
    Ok(serde_json::from_str(&text)?)
}

fn login(port: u16) -> Outcome<Value> {
    let body = json!({"username": "admin", "password": PASSWORD, "client_id": "omnigent-cli"});
    post(port, "/auth/login", None, body)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The command line's refresh. With a bearer token as well, because who has none may write only so
/// often: the real one costs a little less.
fn refresh(token: &str, bearer: &str) -> Vec<u8> {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    format!(
        "POST /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

fn with_token(token: &str) -> Vec<u8> {
    request(
        "GET",
        "/v1/me",
        &[("authorization", &format!("Bearer {token}"))],
        "",
    )
}

/// For each of these tokens the request that carries it.
fn with_each(tokens: &[String]) -> Arc<Vec<Vec<u8>>> {
    Arc::new(tokens.iter().map(|token| with_token(token)).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What one round measured.
#[derive(Clone, Copy)]
struct Round {
    micros: f64,
    per_second: f64,
}

struct Contender<'a> {
    name: &'static str,
    process: &'a Process,
    requests: Arc<Vec<Vec<u8>>>,
    rounds: Vec<Round>,
    /// Each round in parts of the base's.
    ratios: Vec<Round>,
    p99: Vec<f64>,
}

impl<'a> Contender<'a> {
    fn new(
        name: &'static str,
        process: &'a Process,
        requests: impl Into<Arc<Vec<Vec<u8>>>>,
    ) -> Self {
        Self {
            name,
            process,
            requests: requests.into(),
            rounds: vec![],
            ratios: vec![],
            p99: vec![],
        }
    }

    /// Asks twice: first with a client that sleeps as clients do, for how many answers a second there
    /// are; then with one that is always awake, for what an answer costs.
    async fn round(&mut self, plan: Plan, base: Option<Round>) -> Outcome<Round> {
        let (port, pid) = (self.process.port, self.process.pid());
        let requests = Arc::clone(&self.requests);
        let usual = load::run(port, plan.connections, plan.round, requests).await?;
        let before = process::cpu(pid);
        let requests = Arc::clone(&self.requests);
        let awake = load::run_awake(port, plan.connections, plan.round, requests).await?;
        let used = process::cpu(pid).saturating_sub(before);
        if awake.bad + usual.bad > 0 {
            let bad = awake.bad + usual.bad;
            return Err(format!("{}: {bad} bad answers", self.name).into());
        }
        let round = Round {
            micros: used.as_secs_f64() * 1e6 / awake.good.max(1) as f64,
            per_second: usual.per_second(),
        };
        self.rounds.push(round);
        self.ratios.extend(base.map(|base| Round {
            micros: round.micros / base.micros,
            per_second: round.per_second / base.per_second,
        }));
        self.p99.push(usual.quantile(0.99).as_secs_f64() * 1e3);
        Ok(round)
    }

    /// CPU each, times the base's, answers a second, times the base's, the slowest hundredth.
    fn print(self) {
        let micros = |rounds: &[Round]| median(rounds.iter().map(|round| round.micros).collect());
        let rate = |rounds: &[Round]| median(rounds.iter().map(|round| round.per_second).collect());
        let (times_micros, times_rate) = match &*self.ratios {
            [] => (1.0, 1.0),
            ratios => (micros(ratios), rate(ratios)),
        };
        println!(
            "| {} | {:.2} µs | {times_micros:.2} | {:.0} | {times_rate:.2} | {:.2} ms |",
            self.name,
            micros(&self.rounds),
            rate(&self.rounds),
            median(self.p99)
        );
    }
}

/// The request that makes a session.
fn create_session(port: u16) -> Outcome<Vec<u8>> {
    let bearer = format!("Bearer {}", text(&login(port)?["token"]));
    let agents = ureq::get(format!("http://127.0.0.1:{port}/v1/agents"))
        .header("authorization", &bearer)
        .call()?;
    let agents: Value = serde_json::from_str(&agents.into_body().read_to_string()?)?;
    let body = json!({"agent_id": agents["data"][0]["id"]}).to_string();
    let bearer = [("authorization", bearer.as_str())];
    Ok(request("POST", "/v1/sessions", &bearer, &body))
}
