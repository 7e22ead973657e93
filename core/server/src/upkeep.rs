//! What has to be done now and then: ending rotated API tokens, noting their use, sweeping what
//! has expired.
//!
//! **Invariant:** each round does a bounded amount of work.

use std::{sync::Arc, time::Duration};

use crate::{
    app::{App, Running},
    login,
    store::StoreError,
    token,
};

const BUDGET: usize = 2000;

/// Goes on until it is aborted.
pub(crate) async fn run(running: Arc<Running>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut logins, mut revocations, mut sessions) = (None, None, None);
    for second in 0_u64.. {
        tick.tick().await;
        let app = running.current();
        if second % 10 == 0 {
            look_after_backends(Arc::clone(&running));
        }
        let round = async {
            retire(&app).await?;
            if second % 60 == 59 {
                app.flush_uses().await;
                app.save_throttle().await;
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
                let from: Option<Vec<u8>> = sessions.take();
                sessions = app
                    .store
                    .write(move |tx| login::sweep_issuer_sessions(tx, from, BUDGET))
                    .await?;
                app.store
                    .write(move |tx| login::device::sweep(tx, BUDGET, now))
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

/// Asks the backends how they are, and opens what did not open before. On its own: a backend may
/// take its time.
fn look_after_backends(running: Arc<Running>) {
    tokio::spawn(async move {
        let app = running.current();
        let checks = app.backends.shared().iter().map(|backend| {
            let backend = Arc::clone(backend);
            tokio::spawn(async move { backend.check_health().await })
        });
        let checks: Vec<_> = checks.collect();
        drop(app);
        for check in checks {
            let _ = check.await;
        }
        running.heal().await;
    });
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
