//! A thousand of everything, and a million.

use std::sync::Arc;

use super::{Contender, House, SETTLED, with_each};
use crate::{Plan, fill::Scale, process, server::Outcome};

/// What becomes of a bearer request, and of memory, when a thousand of everything become a million.
pub async fn growth(plan: Plan) -> Outcome<()> {
    let mut houses = Vec::new();
    for count in [1_000, 1_000_000] {
        let scale = Scale {
            accounts: count,
            sessions: count,
            api_tokens: count,
            ..Scale::default()
        };
        let mut house = House::new()?;
        let tokens = house.fill(scale, 10_000)?;
        houses.push((house, with_each(&tokens)));
    }
    let mut contenders = Vec::new();
    for ((house, requests), name) in houses.iter().zip([
        "1 000 accounts, sessions and API tokens",
        "1 000 000 of each",
    ]) {
        contenders.push(Contender::new(name, house.server()?, Arc::clone(requests)));
    }
    // Let the proof of the store come to its end: it is not what is measured.
    tokio::time::sleep(SETTLED).await;
    let [few, many] = contenders.as_mut_slice() else {
        return Err("there are two sizes".into());
    };
    for _ in 0..plan.rounds {
        let cost = few.round(plan, None).await?;
        many.round(plan, Some(cost)).await?;
    }
    println!(
        "| 10 000 tokens in rotation | CPU each | × few | a second | × few | p99 |\n\
         |---|---|---|---|---|---|"
    );
    contenders.into_iter().for_each(Contender::print);
    drop(houses);
    let mut house = House::new()?;
    house.fill(Scale::default(), 0)?;
    tokio::time::sleep(SETTLED).await;
    let without = process::resident(house.server()?.pid());
    let api_tokens = 1_000_000;
    let scale = Scale {
        api_tokens,
        ..Scale::default()
    };
    house.fill(scale, 0)?;
    tokio::time::sleep(SETTLED).await;
    let with = process::resident(house.server()?.pid());
    println!(
        "\nresident for each of a million live API tokens: {} bytes",
        with.saturating_sub(without) / api_tokens as u64
    );
    Ok(())
}
