//! What a server stands on from its start to its end, whatever its configuration becomes meanwhile.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use super::{StartError, data_dir, parts};
use crate::{
    archive::{self, Held},
    audit::Audit,
    backend::Services,
    clock::{Clock, Timestamp},
    config::Config,
    http,
    live::Live,
    login::{Waiting, conversation::Conversations, device, throttle::Throttle},
    metrics::Meters,
    store::{Options, Store},
    token::{Keyring, Keys, Verifier, installation},
    uses::Uses,
};

/// See the module.
pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) live: Live,
    pub(super) verifier: Arc<Verifier>,
    pub(super) keys: Arc<Keys>,
    pub(super) services: Services,
    pub(super) clock: Clock,
    pub(super) throttle: Arc<Throttle>,
    pub(super) conversations: Arc<Conversations<Waiting>>,
    pub(super) uses: Uses,
    pub(super) meters: Arc<Meters>,
    pub(super) device_pace: device::Pace,
    /// The archive an operator is reading.
    pub(super) held: Held,
    pub(super) audience: Box<str>,
    pub(super) listening: SocketAddr,
    pub(super) started_at: Timestamp,
    pub(super) data_dir: PathBuf,
    pub(super) setup_code_file: PathBuf,
}

impl Ground {
    pub(super) async fn open(
        config: &Config,
        listening: SocketAddr,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let data_dir = config.server.data_dir.clone();
        data_dir::prepare(&data_dir)?;
        archive::refuse_unfinished(&data_dir)
            .map_err(|error| StartError::Damaged(error.to_string()))?;
        let folder = data_dir.join("store");
        let began = tokio::time::Instant::now();
        let opened =
            tokio::task::spawn_blocking(move || Store::open(&folder, &Options::default())).await;
        let store =
            opened.map_err(|_| StartError::Config("opening the store panicked".into()))??;
        tracing::debug!(millis = began.elapsed().as_millis(), "store opened");
        installation::expect_keyring(&store, &data_dir)??;
        let now = clock.now();
        let settings = parts::key_settings(config, listening);
        let keyring = Keyring::load_or_create(&data_dir, &settings, now)?;
        installation::bind(&store, &keyring, &data_dir).await??;
        let mut live = Live::load(&store, keyring.hasher(), now)?;
        live.audit = Audit::new(Arc::clone(&live.hasher), clock.clone());
        tracing::debug!(
            millis = began.elapsed().as_millis(),
            "accounts and revocations loaded"
        );
        let audience = config.tokens.audience.as_str();
        let (accounts, revocations) = (Arc::clone(&live.accounts), Arc::clone(&live.revocations));
        let verifier = Verifier::new(keyring, settings.issuer, audience, accounts, revocations)
            .allow_endless_api_tokens(config.tokens.api_allow_unlimited);
        let hasher = Arc::clone(&live.hasher);
        let throttle = Arc::new(Throttle::new(parts::limits(config), hasher));
        throttle.restore(&store.reader(), now)?;
        let verifier = Arc::new(verifier);
        Ok(Self {
            services: parts::services(config, &store, &clock)?,
            throttle,
            conversations: Arc::default(),
            uses: Uses::default(),
            meters: Arc::new(Meters::new(
                http::routes()
                    .iter()
                    .map(|route| (route.method.to_string(), route.path)),
            )),
            device_pace: device::Pace::default(),
            held: Held::default(),
            audience: audience.into(),
            started_at: now,
            setup_code_file: data_dir.join("setup-code"),
            keys: Arc::new(Keys::new(Arc::clone(&verifier), data_dir.clone())),
            verifier,
            store,
            live,
            clock,
            listening,
            data_dir,
        })
    }
}
