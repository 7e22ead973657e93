//! Pages of a long list.

use std::sync::Arc;

use super::{House, SETTLED, login, median, text};
use crate::{
    Plan,
    fill::Scale,
    load::{self, request},
    process,
    server::Outcome,
};

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
        tokio::time::sleep(SETTLED).await;
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
