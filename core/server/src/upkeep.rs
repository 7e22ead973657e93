//! What has to be done now and then: ending rotated API tokens, noting their use, sweeping what
//! has expired, retiring keys that have outlived their tokens.
//!
//! **Invariant:** each round does a bounded amount of work.

use std::{sync::Arc, time::Duration};

use crate::{
    app::{App, Running},
    audit::{Entry, Event, Retention, prune},
    clock::Timestamp,
    live::Live,
    store::{Store, StoreError},
    sweep::Sweeper,
    token::{self, Overlap, keynotes},
};

/// Records that are looked at in one go.
const TURN: usize = 2000;

/// Milliseconds whoever changes a key has to note it.
const KEYS_ALONE: u64 = 30_000;

/// Goes on until it is aborted.
pub(crate) async fn run(running: Arc<Running>, is_serving: bool) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sweeper = Sweeper::default();
    let mut overlap = Overlap::default();
    for second in 0_u64.. {
        tick.tick().await;
        let app = running.current();
        if second % 5 == 2 {
            look_after_certificate(&app);
        }
        if second % 10 == 0 {
            look_after_backends(Arc::clone(&running));
        }
        let round = async {
            retire(&app).await?;
            app.held().drop_idle(app.clock.now());
            if second % 60 == 0 {
                // What is being changed just now is for who changes it to note.
                let now = app.clock.now().millis();
                let margin = if second == 0 { 0 } else { KEYS_ALONE };
                settle_keys(&app, Timestamp::from_millis(now.saturating_sub(margin))).await?;
            }
            if second % 60 == 29 {
                retire_keys(&app, &mut overlap).await?;
            }
            // Who signed in by the configuration before may have been let in as what it said.
            if second % 60 == 45
                && is_serving
                && let Err(error) = app.settle_admins().await
            {
                tracing::warn!(%error, "who is an admin by the configuration is settled later");
            }
            if second % 600 == 30 {
                shorten_trail(&app).await?;
            }
            if second % 60 == 59 {
                app.flush_uses().await;
                app.save_throttle().await;
                app.live.revocations.purge(app.clock.now());
                sweeper.begin();
                if second % 600 == 599 {
                    token::keep(&app.live.revocations, &app.store).await?;
                }
            }
            sweeper
                .turn(&app.store, &app.live.revocations, app.clock.now(), TURN)
                .await?;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "upkeep failed; it is tried again");
        }
    }
}

/// Puts a certificate that was renewed in force.
fn look_after_certificate(app: &App) {
    let Some(tls) = app.tls.clone() else { return };
    let (live, store) = (app.live.clone(), app.store.clone());
    tokio::spawn(async move {
        let renewed = tokio::task::spawn_blocking(move || tls.refresh()).await;
        if renewed.unwrap_or(false) {
            note(&live, &store, Entry::new(Event::CertificateRenewed)).await;
        }
    });
}

/// Notes what has been done outside the store.
async fn note(live: &Live, store: &Store, entry: Entry) {
    let live = live.clone();
    if let Err(error) = store.write(move |tx| live.note(tx, entry)).await {
        tracing::error!(%error, "not in the audit trail");
    }
}

/// Asks the backends how they are, opens what did not open before, and has them remove what is left of
/// people who were deleted. On its own: a backend may
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
        running.current().office.settle().await;
    });
}

/// The time that what is deleted goes by: a clock that jumps ahead makes nothing old at once.
fn steady_now(app: &App) -> Timestamp {
    app.live.revocations.trusted(app.clock.now())
}

/// Lets go of old entries of the audit trail: as many as a flood can add between two rounds.
async fn shorten_trail(app: &App) -> Result<(), StoreError> {
    let (config, now) = (&app.config.audit, steady_now(app));
    let keep = Retention {
        age: config.retention.as_secs(),
        count: config.max_entries,
    };
    for _ in 0..50 {
        let audit = app.live.audit.clone();
        let more = app
            .store
            .write(move |tx| prune(&audit, tx, keep, TURN as u64, now))
            .await?;
        if !more {
            break;
        }
    }
    Ok(())
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

/// Notes changes of the keys that the audit trail does not have.
async fn settle_keys(app: &App, until: Timestamp) -> Result<(), StoreError> {
    let (live, keys) = (app.live.clone(), app.keys.list());
    let asked = keys.clone();
    let owed = app
        .store
        .read(move |reader| keynotes::any_owed(reader, &asked, until));
    if owed.await? {
        app.store
            .write(move |tx| keynotes::settle(&live, tx, &keys, until))
            .await?;
    }
    Ok(())
}

/// Retires keys that no token rests on any more.
async fn retire_keys(app: &App, overlap: &mut Overlap) -> Result<(), StoreError> {
    let (keys, now, mut at) = (app.keys.list(), steady_now(app), std::mem::take(overlap));
    let (at, done) = app
        .store
        .read(move |reader| {
            let done = at.step(reader, &keys, TURN, now)?;
            Ok::<_, StoreError>((at, done))
        })
        .await?;
    *overlap = at;
    for kid in done {
        let (keys, name) = (Arc::clone(&app.keys), kid.clone());
        match tokio::task::spawn_blocking(move || keys.retire(&name, now)).await {
            Ok(Ok(())) => {
                let retired = Entry::new(Event::KeyRetired).key(&kid);
                let retired = retired.reason("outlived its tokens");
                let (live, keys) = (app.live.clone(), app.keys.list());
                app.store
                    .write(move |tx| keynotes::note(&live, tx, &keys, &kid, retired))
                    .await?;
            }
            Ok(Err(error)) => tracing::warn!(%error, kid, "a signing key was not retired"),
            Err(_) => tracing::error!(kid, "retiring a signing key panicked"),
        }
    }
    Ok(())
}
