//! From a configuration to a running server: the only file that knows all parts.
//!
//! **Invariant:** everything that can be wrong is found before anything is served.

mod data_dir;
mod ground;
mod in_force;
mod parts;
mod running;

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::UnixListener;

use crate::{
    account::{
        AccountError, Office, OfficeError, are_addresses_noted, note_addresses, settle_admins,
        tenure, unsettled_admins,
    },
    archive::Held,
    backend::{Backends, Hashing},
    clock::{Clock, Timestamp},
    config::{Config, Origin},
    http::Settings,
    id::{AgentId, Uid},
    live::Live,
    login::{Desk, Lifetimes, device, throttle},
    metrics::Meters,
    secret::Secret,
    store::{self, Store, StoreError},
    tls::Terminator,
    token::{
        self, AccountState, KeyringError, Keys, SteadyGrants, TokenUse, VerifiedToken, Verifier,
        api::policy::Policy,
    },
    trace::Tracer,
};

use ground::Ground;
use in_force::InForce;
pub(crate) use in_force::tables;
pub use parts::wanted;
pub use running::{Loader, ReloadError, Reloaded, Running};

/// Why the server does not start, or not go on with another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not open; see [`store::OpenError`].
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The store turned out to be damaged while serving.
    #[error("{0}")]
    Damaged(String),
    /// The store opens and cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Required backends are not there.
    #[error("{}", .0.join("\n"))]
    Backends(Vec<String>),
    /// What the configuration no longer gives cannot be taken back.
    #[error("who is an admin by the configuration: {0}")]
    Admins(#[from] AccountError),
    /// The initial admin cannot be made.
    #[error("the initial admin was not made: {0}")]
    InitialAdmin(OfficeError),
    /// Something else in the configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// A file or socket cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An agent of the configuration.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its id, which follows from its name.
    pub id: AgentId,
    /// What the configuration says of it.
    pub about: crate::config::Agent,
}

impl Agent {
    fn new(about: &crate::config::Agent) -> Self {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, about.name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        Self {
            id: AgentId::from_bytes(id),
            about: about.clone(),
        }
    }
}

/// A server with all its parts, as one configuration wants them.
pub struct App {
    /// What must survive.
    pub store: Store,
    /// What is true right now.
    pub live: Live,
    /// Decides on tokens.
    pub verifier: Arc<Verifier>,
    /// Changes the keys of tokens.
    pub keys: Arc<Keys>,
    /// Says who somebody is.
    pub backends: Arc<Backends>,
    /// Signs people in.
    pub desk: Desk,
    /// Makes accounts.
    pub office: Office,
    /// Tells the time.
    pub clock: Clock,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// What HTTP needs to know.
    pub settings: Settings,
    /// What encrypts, when we do.
    pub tls: Option<Arc<Terminator>>,
    /// Who everybody is in no-auth mode, and the operator always.
    pub local: Arc<AccountState>,
    /// The agents of the configuration.
    pub agents: Vec<Agent>,
    /// When this server started.
    pub started_at: Timestamp,
    /// Seconds an invite is good for.
    pub invite_ttl: u64,
    /// Seconds a magic link is good for.
    pub magic_ttl: u64,
    /// The grants that refresh without the store.
    pub steady: SteadyGrants,
    /// For how long API tokens are good, and who may make them.
    pub api_policy: Policy,
    /// What passed through so far.
    pub meters: Arc<Meters>,
    /// What takes the traces of requests, if anything does.
    pub tracer: Option<Arc<Tracer>>,
    /// What it was made from.
    pub config: Config,
    ground: Arc<Ground>,
}

impl App {
    /// Opens everything. `listening` is where the server will be reached, for its own URLs.
    ///
    /// # Errors
    /// See [`StartError`]; each says what to do.
    pub async fn open(
        config: &Config,
        listening: SocketAddr,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let ground = Arc::new(Ground::open(config, listening, clock).await?);
        parts::check_tenancies(config, &ground.store)?;
        let url = config.base_url(listening).to_string();
        let wanted = wanted(config);
        let backends = Backends::open(wanted, &ground.services, &url).await;
        let tracer = parts::tracer(config, &ground.meters)?;
        let mut app = Self::on(ground, config, backends, tracer)?;
        app.office.settle().await;
        let now = app.started_at;
        parts::initial_admin(config, &app.office, now).await?;
        app.note_tenancies().await?;
        app.settle_addresses().await?;
        app.make_claimable()?;
        if !app.office.needs_setup() {
            app.setup_done();
        }
        Ok(Arc::new(app))
    }

    /// The same server by another configuration: on the same ground, with the backends that have
    /// not changed.
    ///
    /// # Errors
    /// See [`StartError`]: then nothing has changed.
    pub(crate) async fn reopen(&self, config: &Config) -> Result<Self, StartError> {
        let ground = Arc::clone(&self.ground);
        parts::check_tenancies(config, &ground.store)?;
        let url = config.base_url(ground.listening).to_string();
        let wanted = wanted(config);
        let backends = self.backends.reopen(wanted, &ground.services, &url).await;
        let tracer = match self.config.tracing == config.tracing {
            true => self.tracer.clone(),
            false => parts::tracer(config, &ground.meters)?,
        };
        let mut app = Self::on(ground, config, backends, tracer)?;
        app.make_claimable()?;
        if app.office.needs_setup() && !self.office.needs_setup() {
            let file = app.ground.setup_code_file.display();
            tracing::warn!("nobody has claimed this server yet: the setup code is in {file}");
        }
        // Last, for it cannot be taken back.
        let (keys, now) = (Arc::clone(&app.keys), app.clock.now());
        let settings = parts::key_settings(config, app.ground.listening);
        let configured = tokio::task::spawn_blocking(move || keys.configure(settings, now)).await;
        configured.map_err(|_| StartError::Config("changing the keys panicked".into()))??;
        Ok(app)
    }

    /// Makes admins of whom the configuration names, and takes back what another one gave. Says whether
    /// somebody stays one for being the last.
    ///
    /// # Errors
    /// Only of the store.
    pub(crate) async fn settle_admins(&self) -> Result<bool, AccountError> {
        let (live, ungrouped) = (self.live.clone(), parts::ungrouped(&self.config));
        let look = {
            let (live, ungrouped) = (live.clone(), ungrouped.clone());
            move |reader: &store::Reader| unsettled_admins(&live, reader, &ungrouped)
        };
        // Mostly nobody, and then nothing is written. The transaction looks anew.
        if self.store.read(look).await?.is_empty() {
            return Ok(false);
        }
        let work = move |tx: &mut store::Tx<'_>| settle_admins(&live, tx, &ungrouped);
        self.store.write(work).await
    }

    /// Notes in the audit trail which keys of the configuration a restart changed.
    ///
    /// # Errors
    /// Only of the store.
    pub(crate) async fn note_configuration(&self) -> Result<(), StoreError> {
        let (live, in_force) = (self.live.clone(), InForce::of(&self.config, &self.live));
        if in_force.is_noted(&self.store.reader())? {
            return Ok(());
        }
        let work = move |tx: &mut store::Tx<'_>| in_force.note_start(&live, tx);
        self.store.write(work).await
    }

    /// Notes whom the names of the backends belong to. A store that does not take it now, on a full disk,
    /// is asked again at the next start.
    async fn note_tenancies(&self) -> Result<(), StoreError> {
        let wanted = parts::tenancies(&self.config);
        if tenure::is_given(&self.store.reader(), &wanted)? {
            return Ok(());
        }
        let work = move |tx: &mut store::Tx<'_>| tenure::give(tx, &wanted);
        if let Err(error) = self.store.write(work).await {
            tracing::warn!(%error, "whom the backends' names belong to is noted at the next start");
        }
        Ok(())
    }

    /// Sees to addresses from before it was noted by whom they were proven. A store that does not take it
    /// now, on a full disk, is asked again at the next start.
    async fn settle_addresses(&self) -> Result<(), StoreError> {
        if are_addresses_noted(&self.store.reader())? {
            return Ok(());
        }
        let mut after = None;
        loop {
            let work = move |tx: &mut store::Tx<'_>| note_addresses(tx, after.as_deref());
            after = match self.store.write(work).await {
                Ok(None) => return Ok(()),
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "who proved which address is noted at the next start");
                    return Ok(());
                }
            };
        }
    }

    /// Sees to what claiming the server takes, as long as nobody has.
    fn make_claimable(&mut self) -> Result<(), StartError> {
        let server = &self.config.server;
        let is_local = |url: &Origin| url.is_loopback();
        self.office.is_local = self.ground.listening.ip().is_loopback()
            && server.public_url.as_ref().is_none_or(is_local);
        if self.office.needs_setup() {
            self.office.setup_code = Some(parts::setup_code(&self.ground.setup_code_file)?);
        }
        Ok(())
    }

    fn on(
        ground: Arc<Ground>,
        config: &Config,
        backends: Backends,
        tracer: Option<Arc<Tracer>>,
    ) -> Result<Self, StartError> {
        parts::check_backends(&backends)?;
        let backends = Arc::new(backends);
        let mut live = ground.live.clone();
        live.admin_list = Arc::new(parts::admin_list(config)?);
        live.known = Arc::default();
        let base_url = config.base_url(ground.listening);
        let seconds = |duration: Duration| duration.as_secs();
        let lifetimes = Lifetimes {
            access: seconds(config.tokens.access_ttl),
            refreshed: seconds(config.tokens.refreshed_ttl),
            grant: seconds(config.tokens.grant_max_lifetime),
            issuer: parts::issuer(config, ground.listening),
            audience: ground.audience.clone(),
        };
        let desk = Desk {
            store: ground.store.clone(),
            live: live.clone(),
            backends: Arc::clone(&backends),
            throttle: Arc::clone(&ground.throttle),
            conversations: Arc::clone(&ground.conversations),
            lifetimes: lifetimes.clone(),
            verifier: Arc::clone(&ground.verifier),
            meters: Arc::clone(&ground.meters),
        };
        let office = Office {
            store: ground.store.clone(),
            live: live.clone(),
            backends: Arc::clone(&backends),
            lifetimes: lifetimes.clone(),
            registration: config.accounts.registration,
            setup_code: None,
            is_local: false,
        };
        let nobody = Uid::from_bytes([0; 16]);
        Ok(Self {
            settings: parts::settings(config, &base_url),
            tls: parts::tls(config)?.map(Arc::new),
            local: Arc::new(AccountState::new(nobody, "local", true, false)),
            agents: config.agents.iter().map(Agent::new).collect(),
            started_at: ground.started_at,
            invite_ttl: seconds(config.accounts.invite_ttl),
            magic_ttl: seconds(config.accounts.magic_ttl),
            steady: SteadyGrants::default(),
            api_policy: Policy {
                default: config.tokens.api_default_ttl.map(seconds),
                longest: seconds(config.tokens.api_max_ttl),
                allows_endless: config.tokens.api_allow_unlimited,
                login_age: seconds(config.tokens.api_creation_login_age),
                notice: seconds(config.tokens.api_expiry_notice),
            },
            store: ground.store.clone(),
            verifier: Arc::clone(&ground.verifier),
            meters: Arc::clone(&ground.meters),
            keys: Arc::clone(&ground.keys),
            clock: ground.clock.clone(),
            config: config.clone(),
            tracer,
            live,
            backends,
            desk,
            office,
            lifetimes,
            ground,
        })
    }

    /// The operator's socket, `admin.sock` in the data directory: only this user may connect.
    ///
    /// # Errors
    /// [`StartError::Io`].
    pub fn operator_socket(&self) -> Result<UnixListener, StartError> {
        let path = self.ground.data_dir.join("admin.sock");
        let bind = || {
            // The data directory is ours alone: what is there is from a server that was killed.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(socket)
        };
        bind().map_err(|source| StartError::Io {
            path: path.clone(),
            source,
        })
    }

    /// The mode people sign in by: the first backend's plugin (CONTRACT sections 2 and 3).
    pub fn mode(&self) -> &str {
        self.backends
            .iter()
            .next()
            .map_or("none", |first| first.plugin())
    }

    /// Where people sign in, if they do (CONTRACT section 3).
    pub fn login_url(&self) -> Option<&'static str> {
        let mut interactive = self.backends.interactive();
        let first = interactive.next()?;
        let is_only_passwords = interactive.next().is_none() && first.is_directory();
        Some(if is_only_passwords {
            "/login"
        } else {
            "/auth/login"
        })
    }

    /// The one-time setup code, while everybody needs one.
    pub fn setup_code(&self) -> Option<&Secret<String>> {
        self.office
            .setup_code
            .as_ref()
            .filter(|_| self.office.needs_setup() && !self.office.is_local)
    }

    /// The server is claimed: its setup code is worth nothing any more.
    pub fn setup_done(&self) {
        let _ = fs::remove_file(&self.ground.setup_code_file);
    }

    /// The pool that hashes passwords.
    pub(crate) fn hashing(&self) -> &Hashing {
        &self.ground.services.hashing
    }

    /// What it runs on.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.ground.services.runtime
    }

    /// When device grants were last polled for.
    pub(crate) fn device_pace(&self) -> &device::Pace {
        &self.ground.device_pace
    }

    /// The limits of this configuration, from now on.
    fn keep_limits(&self) {
        self.ground.throttle.set_limits(parts::limits(&self.config));
    }

    /// Writes down the accounts that strangers have to wait for.
    pub(crate) async fn save_throttle(&self) {
        let changes = self.ground.throttle.changes(self.clock.now());
        if !changes.is_empty() {
            let work = move |tx: &mut store::Tx<'_>| throttle::save(tx, &changes);
            if let Err(error) = self.store.write(work).await {
                tracing::debug!(%error, "who has to wait was not noted");
            }
        }
    }

    /// The archive an operator is reading.
    pub(crate) fn held(&self) -> &Held {
        &self.ground.held
    }

    /// Where everything that must survive lies.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.ground.data_dir
    }

    /// Remembers that an API token was used. Written to disk a minute's worth at a time.
    pub(crate) fn note_use(&self, token: &VerifiedToken, address: IpAddr, now: Timestamp) {
        if token.token_use == TokenUse::Api {
            let uid = token.account().uid;
            self.ground.uses.note(uid, token.sid, now, address);
        }
    }

    /// Writes the uses of API tokens noted so far.
    pub(crate) async fn flush_uses(&self) {
        let uses = self.ground.uses.take();
        if !uses.is_empty() {
            let written = self
                .store
                .write(move |tx| token::api::note_uses(tx, &uses))
                .await;
            if let Err(error) = written {
                tracing::debug!(%error, "uses of API tokens were not noted");
            }
        }
    }
}
