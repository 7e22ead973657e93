//! The server in force, and how another configuration takes its place.
//!
//! **Invariants:** a request is answered by one configuration from its first byte to its last; a
//! configuration that cannot work changes nothing; backends that go out of use are let go of after
//! the last request that may ask them.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Mutex,
};

use super::{App, StartError, in_force::InForce, parts};
use crate::{
    account::{AccountError, settle_admins, tenure},
    audit::{Keeper, Scene},
    config::{Change, Config, Problem},
    http::{self, Entrance, Listeners},
    token,
};

/// Reads the configuration anew.
pub type Loader = Box<dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync>;

/// Why a configuration did not take the place of the one in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is no configuration.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// It cannot work.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What a reload changed.
#[derive(Debug)]
pub struct Reloaded {
    /// The keys that changed.
    pub changes: Vec<Change>,
    /// What may be allowed but not meant.
    pub warnings: Vec<Problem>,
}

/// A server that runs.
pub struct Running {
    current: ArcSwap<App>,
    load: Loader,
    changing: Mutex<()>,
    draining: AtomicBool,
}

/// How long old backends are kept for requests that may still ask them.
const LINGER: Duration = Duration::from_secs(120);

/// How long the last holders of the store have to let go of it.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// How long the traces of the last requests have to be sent.
const LAST_TRACES: Duration = Duration::from_secs(3);

impl Running {
    /// Puts `app` in force. `load` reads its configuration anew.
    pub fn new(app: Arc<App>, load: Loader) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::new(app),
            load,
            changing: Mutex::new(()),
            draining: AtomicBool::new(false),
        })
    }

    /// The server as it is configured now.
    pub fn current(&self) -> Arc<App> {
        self.current.load_full()
    }

    /// As [`Running::current`], for a moment: costs no reference count.
    pub fn glance(&self) -> arc_swap::Guard<Arc<App>> {
        self.current.load()
    }

    /// Whether it stops: it answers what it is asked, and is not to be asked more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Shows metrics and health on `listener` for as long as the server runs.
    pub fn show_metrics(self: &Arc<Self>, listener: TcpListener) {
        tokio::spawn(http::show_metrics(Arc::downgrade(self), listener));
    }

    /// Reads the configuration anew and puts it in force, or changes nothing. `scene`: who asks.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload(self: &Arc<Self>, scene: Scene) -> Result<Reloaded, ReloadError> {
        let _alone = self.changing.lock().await;
        let running = Arc::clone(self);
        let loaded = tokio::task::spawn_blocking(move || (running.load)()).await;
        let panicked = |_| StartError::Config("reading the configuration panicked".into());
        let config = loaded.map_err(panicked)?.map_err(ReloadError::Config)?;
        let changes = self.current().config.changes(&config);
        self.put_in_force(&config, &changes, scene).await?;
        Ok(Reloaded {
            changes,
            warnings: config.warnings,
        })
    }

    /// Tries once more to open the backends that did not open.
    pub(crate) async fn heal(&self) {
        let _alone = self.changing.lock().await;
        let app = self.current();
        let failed = app.backends.failures().len();
        if failed == 0 {
            return;
        }
        match app.reopen(&app.config).await {
            Ok(new) if new.backends.failures().len() < failed => self.swap(new),
            Ok(new) => new.backends.shutdown_except(app.backends.shared()),
            Err(error) => tracing::debug!(%error, "a backend still does not open"),
        }
    }

    async fn put_in_force(
        &self,
        config: &Config,
        changes: &[Change],
        scene: Scene,
    ) -> Result<(), StartError> {
        let new = self.current().reopen(config).await?;
        let noted = note_changes(&new, changes, scene).await;
        if noted.is_err() {
            new.backends
                .shutdown_except(self.current().backends.shared());
        }
        warn_of_last(noted?);
        self.swap(new);
        self.current().office.settle().await;
        Ok(())
    }

    fn swap(&self, new: App) {
        let new = Arc::new(new);
        new.keep_limits();
        let old = self.current.swap(Arc::clone(&new));
        tokio::spawn(async move {
            let until = Instant::now() + LINGER;
            while Arc::strong_count(&old) > 1 && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let stop = move || old.backends.shutdown_except(new.backends.shared());
            let _ = tokio::task::spawn_blocking(stop).await;
        });
    }

    /// Serves on `tcp`, if given, on the Unix socket, if given, and on the operator's socket until
    /// `shutdown` resolves or the store turns out to be damaged; then lets running requests end,
    /// and lets go of everything.
    ///
    /// # Errors
    /// [`StartError::Damaged`].
    pub async fn serve(
        self: Arc<Self>,
        tcp: Option<Entrance<TcpListener>>,
        unix: Option<Entrance<UnixListener>>,
        operator: UnixListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let listeners = Listeners {
            tcp,
            unix,
            operator,
        };
        let app = self.current();
        let (store, data_dir) = (app.store.clone(), app.ground.data_dir.clone());
        let drain_delay = app.config.server.drain_delay;
        drop(app);
        let is_serving = listeners.tcp.is_some() || listeners.unix.is_some();
        if is_serving {
            if let Err(error) = self.current().note_configuration().await {
                tracing::warn!(%error, "what changed in the configuration is noted at the next start");
            }
            match self.current().settle_admins().await {
                Ok(is_one_left) => warn_of_last(is_one_left),
                Err(error) => {
                    tracing::error!(%error, "who is an admin by the configuration is settled later");
                }
            }
        }
        let upkeep = tokio::spawn(crate::upkeep::run(Arc::clone(&self), is_serving));
        let webhook = tokio::spawn(crate::webhook::run(Arc::clone(&self)));
        let keeper = Keeper::start(&self.current().live.audit, &store, is_serving);
        let mut damage = None;
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                found = store.damaged() => damage = Some(found),
            }
            // First it says that it goes, then it goes.
            self.draining.store(true, Ordering::Relaxed);
            if damage.is_none() {
                tokio::time::sleep(drain_delay).await;
            }
        };
        let served = http::serve(Arc::clone(&self), listeners, stop).await;
        upkeep.abort();
        let _ = upkeep.await;
        keeper.end().await;
        webhook.abort();
        let _ = webhook.await;
        let _ = fs::remove_file(data_dir.join("admin.sock"));
        if let Some(damage) = damage {
            return Err(StartError::Damaged(damage.to_string()));
        }
        let app = self.current();
        if let Some(tracer) = &app.tracer {
            tracer.flush(LAST_TRACES).await;
        }
        app.flush_uses().await;
        app.save_throttle().await;
        if let Err(error) = token::keep(&app.live.revocations, &app.store).await {
            tracing::debug!(%error, "the next start will take longer");
        }
        app.backends.shutdown();
        drop((app, self));
        // What was written is on disk already; this makes the next start quick.
        let close = move || store.close_within(STOP_WITHIN);
        let _ = tokio::task::spawn_blocking(close).await;
        served.map_err(|source| StartError::Io {
            path: data_dir,
            source,
        })
    }
}

/// Notes the keys that change, and settles who is an admin by them, before they do. Says whether
/// somebody stays one for being the last.
async fn note_changes(new: &App, changes: &[Change], scene: Scene) -> Result<bool, AccountError> {
    let (live, changes) = (new.live.by(scene), changes.to_vec());
    let ungrouped = parts::ungrouped(&new.config);
    let wanted = parts::tenancies(&new.config);
    let in_force = InForce::of(&new.config, &live);
    new.store
        .write(move |tx| {
            tenure::give(tx, &wanted)?;
            let is_one_left = settle_admins(&live, tx, &ungrouped)?;
            in_force.note_reload(&live, tx, changes)?;
            Ok(is_one_left)
        })
        .await
}

fn warn_of_last(is_one_left: bool) {
    if is_one_left {
        tracing::warn!(
            "somebody whom the configuration makes an admin no more stays one: there is no other"
        );
    }
}
