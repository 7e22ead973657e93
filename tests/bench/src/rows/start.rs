//! Starting.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{CONFIG, PASSWORD, create_session, median, post};
use crate::{
    fill::{Scale, fill},
    load, process,
    server::{Outcome, Process},
};

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
    let used = Scale {
        accounts: 100_000,
        sessions: 1_000_000,
        logins: 1_000_000,
        ..Scale::default()
    };
    let revoked = 1_000_000;
    let only_revoked = Scale {
        revoked,
        ..Scale::default()
    };
    for (name, scale, size) in [
        ("only-revoked", only_revoked, "1 000 000 revoked ids"),
        (
            "used",
            used,
            "100 000 accounts, 1 000 000 sessions, 1 000 000 logins",
        ),
        (
            "revoked",
            Scale { revoked, ..used },
            "the same and 1 000 000 revoked ids",
        ),
    ] {
        let data = folder.join(name);
        if !data.join("store").exists() {
            large_store(&data, scale)?;
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
    let requests = Arc::new(vec![create_session(server.port)?]);
    let outcome = load::run(server.port, 64, duration, requests).await?;
    if outcome.bad > 0 {
        return Err(format!("{} sessions were not made", outcome.bad).into());
    }
    Ok(())
}

/// A data directory as after years of use, its server stopped cleanly.
fn large_store(data: &Path, scale: Scale) -> Outcome<()> {
    let server = Process::omnigent(data, CONFIG)?;
    let claim = json!({"username": "admin", "password": PASSWORD});
    post(server.port, "/auth/setup", None, claim)?;
    server.stop()?;
    fill(data, scale, "admin", 0)?;
    Process::omnigent(data, CONFIG)?.stop()
}

fn first_answer(data: &Path) -> Outcome<(Duration, Process)> {
    let began = Instant::now();
    let server = Process::omnigent(data, CONFIG)?;
    ureq::get(format!("http://127.0.0.1:{}/health", server.port)).call()?;
    Ok((began.elapsed(), server))
}
