//! What has to be done now and then: ending rotated API tokens, noting their use, sweeping what
//! has expired.
//!
//! **Invariant:** each round does a bounded amount of work.

use std::{sync::Arc, time::Duration};

use crate::{app::App, login, store::StoreError, token};

const BUDGET: usize = 2000;

/// Goes on until it is aborted.
pub(crate) async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut logins, mut revocations) = (None, None);
    for second in 0_u64.. {
        tick.tick().await;
        let round = async {
            retire(&app).await?;
            if second % 60 == 59 {
                app.flush_uses().await;
                let now = app.clock.now();
                let from: Option<Vec<u8>> = logins.take();
                logins = app
                    .store
                    .write(move |tx| login::sweep(tx, from, BUDGET, now))
                    .await?;
                let (index, from) = (Arc::clone(&app.live.revocations), revocations.take());
                revocations = app
                    .store
                    .write(move |tx| token::sweep(&index, tx, from, BUDGET))
                    .await?;
                app.live.revocations.purge(now);
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "upkeep failed; it is tried again");
        }
    }
}

async fn retire(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    if app
        .store
        .read(move |reader| token::api::any_due(reader, now))
        .await?
    {
        let live = app.live.clone();
        app.store
            .write(move |tx| token::api::retire_due(&live, tx, now))
            .await?;
    }
    Ok(())
}
