//! What sign-ins cost, and what they cost others.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{House, PASSWORD, login, median, text, with_token};
use crate::{
    Plan, hashing,
    load::{self, request},
    process,
    server::Outcome,
};

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
    let (mut hashes, mut shares) = (vec![], vec![]);
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
        // Nothing but hashing on the one side, nothing but sign-ins on the other.
        let hashing = hashing::rate(plan.round)?;
        let signing = load::run(server.port, 8, plan.round, Arc::clone(&sign_in)).await?;
        if signing.bad > 0 {
            return Err(format!("{} login requests failed", signing.bad).into());
        }
        hashes.push(hashing);
        shares.push(signing.per_second() / hashing);
    }
    let (quiet, busy) = (median(quiet), median(busy));
    println!("| eight clients sign in without pause | |\n|---|---|");
    println!(
        "| bearer p50, quiet → busy | {quiet:.0} → {busy:.0} µs ({:.2}×) |",
        busy / quiet
    );
    println!("| sign-ins a second meanwhile | {:.0} |", median(logins));
    println!(
        "| sign-ins alone, of the {:.0} hashes a second that as many threads do | {:.0} % |",
        median(hashes),
        100.0 * median(shares)
    );
    println!(
        "| resident, idle → busy | {:.1} → {:.1} MB |",
        idle as f64 / 1e6,
        peak as f64 / 1e6
    );
    Ok(())
}
