//! From a configuration to a running server: the only file that knows all parts.
//!
//! **Invariant:** everything that can be wrong is found before anything is served.

mod parts;

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::net::{TcpListener, UnixListener};

use crate::{
    account::{Office, OfficeError},
    backend::Backends,
    clock::{Clock, Timestamp},
    config::Config,
    http::{self, Listeners, Settings},
    id::{AgentId, Uid},
    live::Live,
    login::{Desk, Lifetimes, conversation::Conversations, throttle::Throttle},
    secret::Secret,
    store::{self, Options, Store, StoreError},
    token::{self, AccountState, Keyring, KeyringError, TokenUse, VerifiedToken, Verifier},
    uses::Uses,
};

/// Why the server does not start.
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

/// A server with all its parts.
pub struct App {
    /// What must survive.
    pub store: Store,
    /// What is true right now.
    pub live: Live,
    /// Decides on tokens.
    pub verifier: Arc<Verifier>,
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
    /// Seconds an API token may last.
    pub api_max_ttl: u64,
    /// Whether an API token may last for ever.
    pub api_allow_unlimited: bool,
    /// Seconds after signing in during which API tokens can be made.
    pub token_login_age: u64,
    uses: Uses,
    setup_code_file: PathBuf,
    data_dir: PathBuf,
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
        let data_dir = &config.server.data_dir;
        parts::make_private(data_dir)?;
        let folder = data_dir.join("store");
        let began = tokio::time::Instant::now();
        let opened =
            tokio::task::spawn_blocking(move || Store::open(&folder, &Options::default())).await;
        let store =
            opened.map_err(|_| StartError::Config("opening the store panicked".into()))??;
        tracing::debug!(millis = began.elapsed().as_millis(), "store opened");
        let keyring = Keyring::load_or_create(data_dir, config.tokens.secret.clone())?;
        let now = clock.now();
        let mut live = Live::load(&store, keyring.hasher(), now)?;
        tracing::debug!(
            millis = began.elapsed().as_millis(),
            "accounts and revocations loaded"
        );
        live.admin_list = Arc::new(parts::admin_list(config)?);

        let base_url = config.base_url(listening).to_string();
        let issuer = config
            .tokens
            .issuer
            .clone()
            .unwrap_or_else(|| "omnigent".to_owned());
        let audience = config.tokens.audience.clone();
        let (accounts, revocations) = (Arc::clone(&live.accounts), Arc::clone(&live.revocations));
        let verifier = Verifier::new(
            keyring,
            issuer.as_str(),
            audience.as_str(),
            accounts,
            revocations,
        )
        .allow_endless_api_tokens(config.tokens.api_allow_unlimited);
        let verifier = Arc::new(verifier);
        let services = parts::services(config, &store, &clock)?;
        let backends = Arc::new(Backends::open(parts::wanted(config), &services, &base_url).await);
        tracing::debug!(millis = began.elapsed().as_millis(), "backends opened");
        parts::check_backends(&backends)?;

        let seconds = |duration: Duration| duration.as_secs();
        let lifetimes = Lifetimes {
            access: seconds(config.tokens.access_ttl),
            refreshed: seconds(config.tokens.refreshed_ttl),
            grant: seconds(config.tokens.grant_max_lifetime),
            issuer: issuer.into(),
            audience: audience.into(),
        };
        let desk = Desk {
            store: store.clone(),
            live: live.clone(),
            backends: Arc::clone(&backends),
            throttle: Throttle::new(parts::limits(config)),
            conversations: Conversations::default(),
            lifetimes: lifetimes.clone(),
            verifier: Arc::clone(&verifier),
        };
        let setup_code_file = data_dir.join("setup-code");
        let mut office = Office {
            store: store.clone(),
            live: live.clone(),
            backends: Arc::clone(&backends),
            lifetimes: lifetimes.clone(),
            registration: config.accounts.registration,
            setup_code: None,
        };
        parts::initial_admin(config, &office, now).await?;
        let is_loopback_only = listening.ip().is_loopback()
            && config
                .server
                .public_url
                .as_ref()
                .is_none_or(|url| url.is_loopback());
        if office.needs_setup() && !is_loopback_only {
            office.setup_code = Some(parts::setup_code(&setup_code_file)?);
        }
        let app = Self {
            settings: parts::settings(config, base_url),
            local: Arc::new(AccountState::new(
                Uid::from_bytes([0; 16]),
                "local",
                true,
                false,
            )),
            agents: config.agents.iter().map(Agent::new).collect(),
            started_at: now,
            invite_ttl: seconds(config.accounts.invite_ttl),
            magic_ttl: seconds(config.accounts.magic_ttl),
            api_max_ttl: seconds(config.tokens.api_max_ttl),
            api_allow_unlimited: config.tokens.api_allow_unlimited,
            token_login_age: seconds(config.tokens.api_creation_login_age),
            uses: Uses::default(),
            setup_code_file,
            data_dir: data_dir.clone(),
            store,
            live,
            verifier,
            backends,
            desk,
            office,
            clock,
            lifetimes,
        };
        if !app.office.needs_setup() {
            app.setup_done();
        }
        Ok(Arc::new(app))
    }

    /// The operator's socket, `admin.sock` in the data directory: only this user may connect.
    ///
    /// # Errors
    /// [`StartError::Io`].
    pub fn operator_socket(&self) -> Result<UnixListener, StartError> {
        let path = self.data_dir.join("admin.sock");
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

    /// Serves on `tcp`, if given, and on the operator's socket until `shutdown` resolves or the
    /// store turns out to be damaged; then lets running requests end, and lets go of everything.
    ///
    /// # Errors
    /// [`StartError::Damaged`].
    pub async fn serve(
        self: Arc<Self>,
        tcp: Option<TcpListener>,
        operator: UnixListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let listeners = Listeners { tcp, operator };
        let upkeep = tokio::spawn(crate::upkeep::run(Arc::clone(&self)));
        let mut damage = None;
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                found = self.store.damaged() => damage = Some(found),
            }
        };
        let served = http::serve(Arc::clone(&self), listeners, stop).await;
        upkeep.abort();
        let _ = upkeep.await;
        let _ = fs::remove_file(self.data_dir.join("admin.sock"));
        if let Some(damage) = damage {
            return Err(StartError::Damaged(damage.to_string()));
        }
        self.flush_uses().await;
        self.backends.shutdown();
        served.map_err(|source| StartError::Io {
            path: self.data_dir.clone(),
            source,
        })
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

    /// The one-time setup code, while one is needed.
    pub fn setup_code(&self) -> Option<&Secret<String>> {
        self.office
            .setup_code
            .as_ref()
            .filter(|_| self.office.needs_setup())
    }

    /// The server is claimed: its setup code is worth nothing any more.
    pub fn setup_done(&self) {
        let _ = fs::remove_file(&self.setup_code_file);
    }

    /// Remembers that an API token was used. Written to disk a minute's worth at a time.
    pub(crate) fn note_use(&self, token: &VerifiedToken, address: IpAddr, now: Timestamp) {
        if token.token_use == TokenUse::Api {
            self.uses.note(token.uid, token.sid, now, address);
        }
    }

    /// Writes the uses of API tokens noted so far.
    pub(crate) async fn flush_uses(&self) {
        let uses = self.uses.take();
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
