//! Durable writes.

use std::sync::Arc;

use super::{House, create_session, median};
use crate::{Plan, load, server::Outcome};

/// Durable writes with 64 clients.
pub async fn writes(plan: Plan) -> Outcome<()> {
    let house = House::new()?;
    let server = house.server()?;
    let requests = Arc::new(vec![create_session(server.port)?]);
    let (mut per_second, mut p99) = (vec![], vec![]);
    for _ in 0..plan.rounds {
        let outcome = load::run(server.port, 64, plan.round, Arc::clone(&requests)).await?;
        if outcome.bad > 0 {
            return Err(format!("{} sessions were not made", outcome.bad).into());
        }
        per_second.push(outcome.per_second());
        p99.push(outcome.quantile(0.99).as_secs_f64() * 1e3);
    }
    println!("| 64 clients, durable | a second | p99 |\n|---|---|---|");
    println!(
        "| `POST /v1/sessions` | {:.0} | {:.1} ms |",
        median(per_second),
        median(p99)
    );
    Ok(())
}
