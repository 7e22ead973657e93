//! What is measured, row by row.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Plan,
    fill::{Scale, fill},
    load::{self, request},
    process,
    server::{Outcome, Process},
};

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

fn with_token(token: &str) -> Vec<u8> {
    request(
        "GET",
        "/v1/me",
        &[("authorization", &format!("Bearer {token}"))],
        "",
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

struct Contender<'a> {
    name: &'static str,
    process: &'a Process,
    requests: Arc<Vec<Vec<u8>>>,
    micros: Vec<f64>,
    ratios: Vec<f64>,
    per_second: Vec<f64>,
    p99: Vec<f64>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, process: &'a Process, requests: Vec<Vec<u8>>) -> Self {
        let requests = Arc::new(requests);
        Self {
            name,
            process,
            requests,
            micros: vec![],
            ratios: vec![],
            per_second: vec![],
            p99: vec![],
        }
    }

    async fn round(&mut self, plan: Plan, bare: Option<f64>) -> Outcome<f64> {
        let before = process::cpu(self.process.pid());
        let outcome = load::run(
            self.process.port,
            plan.connections,
            plan.round,
            Arc::clone(&self.requests),
        )
        .await?;
        let used = process::cpu(self.process.pid()).saturating_sub(before);
        if outcome.bad > 0 {
            return Err(format!("{}: {} bad answers", self.name, outcome.bad).into());
        }
        let micros = used.as_secs_f64() * 1e6 / outcome.good.max(1) as f64;
        self.micros.push(micros);
        self.ratios.extend(bare.map(|bare| micros / bare));
        self.per_second.push(outcome.per_second());
        self.p99.push(outcome.quantile(0.99).as_secs_f64() * 1e3);
        Ok(micros)
    }

    fn print(self) {
        let ratio = if self.ratios.is_empty() {
            1.0
        } else {
            median(self.ratios)
        };
        println!(
            "| {} | {:.2} µs | {ratio:.2} | {:.0} | {:.2} ms |",
            self.name,
            median(self.micros),
            median(self.per_second),
            median(self.p99)
        );
    }
}

/// What a bearer request costs, with a million revoked ids.
pub async fn bearer(plan: Plan) -> Outcome<()> {
    let mut house = House::new()?;
    let firsts = 200_000;
    let mut tokens = house.fill(
        Scale {
            revoked: 1_000_000,
            ..Scale::default()
        },
        10_001 + firsts,
    )?;
    let unseen: Vec<_> = tokens
        .split_off(10_001)
        .iter()
        .map(|token| with_token(token))
        .collect();
    let many: Vec<_> = tokens
        .split_off(1)
        .iter()
        .map(|token| with_token(token))
        .collect();
    let one = vec![with_token(&tokens[0])];
    let server = house.server()?;
    let proxied = tempfile::tempdir()?;
    let header = Process::omnigent(&proxied.path().join("data"), HEADER)?;
    let says = request(
        "GET",
        "/v1/me",
        &[("x-forwarded-email", "ada@example.com")],
        "",
    );
    let bare = Process::peer("serve-bare")?;
    let axum = Process::peer("serve-axum")?;
    let claims = crate::peers::Claims {
        sub: "admin".into(),
        exp: 4_000_000_000,
        iss: "bench".into(),
    };
    let key = jsonwebtoken::EncodingKey::from_secret(crate::peers::SECRET);
    let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
    let mut base = Contender::new("bare hyper, a constant", &bare, one.clone());
    let mut others = [
        Contender::new("axum + jsonwebtoken", &axum, vec![with_token(&theirs)]),
        Contender::new("omnigent, one token", server, one),
        Contender::new("omnigent, 10 000 tokens in rotation", server, many),
        Contender::new("omnigent, tokens never seen before", server, unseen),
        Contender::new("omnigent, header mode", &header, vec![says]),
    ];
    for _ in 0..plan.rounds {
        let cost = base.round(plan, None).await?;
        for other in &mut others {
            other.round(plan, Some(cost)).await?;
        }
    }
    println!("| `GET /v1/me` | CPU each | × bare | a second | p99 |\n|---|---|---|---|---|");
    base.print();
    others.into_iter().for_each(Contender::print);
    println!(
        "\nresident with a million revoked ids: {} MB",
        process::resident(server.pid()) >> 20
    );
    Ok(())
}

/// Whether sign-ins hold up bearer requests.
pub async fn logins(plan: Plan) -> Outcome<()> {
    let house = House::new()?;
    let server = house.server()?;
    let idle = process::resident(server.pid());
    let token = text(&login(server.port)?["token"]);
    let bearer = Arc::new(vec![with_token(&token)]);
    let password = json!({"username": "admin", "password": PASSWORD}).to_string();
    let sign_in = Arc::new(vec![request("POST", "/auth/login", &[], &password)]);
    let (mut quiet, mut busy, mut logins, mut peak) = (vec![], vec![], vec![], 0);
    for _ in 0..plan.rounds {
        let bearers = || {
            let pause = Duration::from_millis(4);
            load::run_paced(server.port, 8, plan.round, Arc::clone(&bearer), pause)
        };
        let alone = bearers().await?;
        let (with, signing) = tokio::join!(
            bearers(),
            load::run(server.port, 8, plan.round, Arc::clone(&sign_in)),
        );
        let (with, signing) = (with?, signing?);
        if with.bad + signing.bad > 0 {
            return Err(format!(
                "{} bearer and {} login requests failed",
                with.bad, signing.bad
            )
            .into());
        }
        quiet.push(alone.quantile(0.5).as_secs_f64() * 1e6);
        busy.push(with.quantile(0.5).as_secs_f64() * 1e6);
        logins.push(signing.per_second());
        peak = peak.max(process::resident(server.pid()));
    }
    let (quiet, busy) = (median(quiet), median(busy));
    println!("| eight clients sign in without pause | |\n|---|---|");
    println!(
        "| bearer p50, quiet → busy | {quiet:.0} → {busy:.0} µs ({:.2}×) |",
        busy / quiet
    );
    println!("| sign-ins a second | {:.0} |", median(logins));
    println!(
        "| resident, idle → busy | {:.1} → {:.1} MB |",
        idle as f64 / 1e6,
        peak as f64 / 1e6
    );
    Ok(())
}

/// Durable writes with 64 clients.
pub async fn writes(plan: Plan) -> Outcome<()> {
    let house = House::new()?;
    let server = house.server()?;
    let (create, login) = create_session(server.port)?;
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        text(&login["refresh_token"])
    );
    let refresh = format!(
        "POST /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    println!("| 64 clients | a second | p99 |\n|---|---|---|");
    for (name, bytes) in [
        ("`POST /v1/sessions`", create),
        ("`POST /oauth/token`", refresh.into_bytes()),
    ] {
        let requests = Arc::new(vec![bytes]);
        let (mut per_second, mut p99) = (vec![], vec![]);
        for _ in 0..plan.rounds {
            let outcome = load::run(server.port, 64, plan.round, Arc::clone(&requests)).await?;
            if outcome.bad > 0 {
                return Err(format!("{name}: {} bad answers", outcome.bad).into());
            }
            per_second.push(outcome.per_second());
            p99.push(outcome.quantile(0.99).as_secs_f64() * 1e3);
        }
        println!(
            "| {name} | {:.0} | {:.1} ms |",
            median(per_second),
            median(p99)
        );
    }
    Ok(())
}

/// What a page of sessions costs, with few and with a million stored.
pub async fn lists(plan: Plan) -> Outcome<()> {
    println!("| `GET /v1/sessions?limit=20` | CPU each | p50 |\n|---|---|---|");
    for stored in [20, 1_000_000] {
        let mut house = House::new()?;
        house.fill(
            Scale {
                sessions: stored,
                ..Scale::default()
            },
            0,
        )?;
        let server = house.server()?;
        let bearer = format!("Bearer {}", text(&login(server.port)?["token"]));
        let requests = Arc::new(vec![request(
            "GET",
            "/v1/sessions?limit=20",
            &[("authorization", &bearer)],
            "",
        )]);
        // Let the proof of the store come to its end: it is not what is measured.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let (mut micros, mut p50) = (vec![], vec![]);
        for _ in 0..plan.rounds {
            let before = process::cpu(server.pid());
            let outcome = load::run(server.port, 8, plan.round, Arc::clone(&requests)).await?;
            let used = process::cpu(server.pid()).saturating_sub(before);
            micros.push(used.as_secs_f64() * 1e6 / outcome.good.max(1) as f64);
            p50.push(outcome.quantile(0.5).as_secs_f64() * 1e6);
        }
        println!(
            "| {stored} stored | {:.0} µs | {:.0} µs |",
            median(micros),
            median(p50)
        );
    }
    Ok(())
}

/// From the start of the process to its first answer.
pub async fn start(keep: Option<&Path>) -> Outcome<()> {
    println!("| start to first answer | |\n|---|---|");
    let empty = tempfile::tempdir()?;
    let (first, server) = first_answer(&empty.path().join("data"))?;
    println!("| empty | {:.0} ms |", first.as_secs_f64() * 1e3);
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!(
        "| idle, empty: resident | {:.1} MB |",
        process::resident(server.pid()) as f64 / 1e6
    );
    drop(server);
    let folder = tempfile::tempdir()?;
    let folder = keep.unwrap_or(folder.path());
    for (name, revoked, size) in [
        (
            "used",
            0,
            "100 000 accounts, 1 000 000 sessions, 1 000 000 logins",
        ),
        ("revoked", 1_000_000, "the same and 1 000 000 revoked ids"),
    ] {
        let data = folder.join(name);
        if !data.join("store").exists() {
            large_store(&data, revoked)?;
        }
        let (mut clean, mut killed) = (vec![], vec![]);
        for _ in 0..3 {
            let (took, server) = first_answer(&data)?;
            clean.push(took.as_secs_f64() * 1e3);
            write_for(&server, Duration::from_secs(1)).await?;
            drop(server);
            let (took, server) = first_answer(&data)?;
            killed.push(took.as_secs_f64() * 1e3);
            server.stop()?;
        }
        println!("| {size}, after a clean stop | {:.0} ms |", median(clean));
        println!("| … after writes and kill -9 | {:.0} ms |", median(killed));
    }
    Ok(())
}

/// Makes sessions for so long.
async fn write_for(server: &Process, duration: Duration) -> Outcome<()> {
    let requests = Arc::new(vec![create_session(server.port)?.0]);
    let outcome = load::run(server.port, 64, duration, requests).await?;
    if outcome.bad > 0 {
        return Err(format!("{} sessions were not made", outcome.bad).into());
    }
    Ok(())
}

/// The request that makes a session, and the login it acts by.
fn create_session(port: u16) -> Outcome<(Vec<u8>, Value)> {
    let login = login(port)?;
    let bearer = format!("Bearer {}", text(&login["token"]));
    let agents = ureq::get(format!("http://127.0.0.1:{port}/v1/agents"))
        .header("authorization", &bearer)
        .call()?;
    let agents: Value = serde_json::from_str(&agents.into_body().read_to_string()?)?;
    let body = json!({"agent_id": agents["data"][0]["id"]}).to_string();
    let create = request("POST", "/v1/sessions", &[("authorization", &bearer)], &body);
    Ok((create, login))
}

/// A data directory as after years of use, its server stopped cleanly.
fn large_store(data: &Path, revoked: usize) -> Outcome<()> {
    let server = Process::omnigent(data, CONFIG)?;
    let claim = json!({"username": "admin", "password": PASSWORD});
    post(server.port, "/auth/setup", None, claim)?;
    server.stop()?;
    let scale = Scale {
        accounts: 100_000,
        sessions: 1_000_000,
        logins: 1_000_000,
        revoked,
    };
    fill(data, scale, "admin", 0)?;
    Process::omnigent(data, CONFIG)?.stop()
}

fn first_answer(data: &Path) -> Outcome<(Duration, Process)> {
    let began = Instant::now();
    let server = Process::omnigent(data, CONFIG)?;
    ureq::get(format!("http://127.0.0.1:{}/health", server.port)).call()?;
    Ok((began.elapsed(), server))
}
