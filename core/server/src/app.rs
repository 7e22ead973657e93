//! From a configuration to a running server: the only file that knows all parts.
//!
//! **Invariant:** everything that can be wrong is found before anything is served.

use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use omnigent_plugin::Password;
use tokio::net::{TcpListener, UnixListener};

use crate::{
    account::{AccountError, AccountName, Linking, Office, OfficeError},
    backend::{Backends, Cost, Failure, Hashing, Services, Wanted, file_of},
    clock::{Clock, Timestamp},
    config::{AccountRule, Config},
    http::{self, Listeners, Settings},
    id::{AgentId, Uid},
    live::Live,
    login::{
        Desk, Lifetimes,
        conversation::Conversations,
        throttle::{Limits, Throttle},
    },
    secret::Secret,
    store::{self, Options, Store, StoreError},
    token::{self, AccountState, Keyring, KeyringError, TokenUse, VerifiedToken, Verifier, hash},
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
        make_private(data_dir)?;
        let folder = data_dir.join("store");
        let opened =
            tokio::task::spawn_blocking(move || Store::open(&folder, &Options::default())).await;
        let store =
            opened.map_err(|_| StartError::Config("opening the store panicked".into()))??;
        let keyring = Keyring::load_or_create(data_dir, config.tokens.secret.clone())?;
        let now = clock.now();
        let mut live = Live::load(&store, keyring.hasher(), now)?;
        live.admin_list = Arc::new(admin_list(config)?);

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
        let services = services(config, &store, &clock)?;
        let backends = Arc::new(Backends::open(wanted(config), &services, &base_url).await);
        check_backends(&backends)?;

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
            throttle: Throttle::new(limits(config)),
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
        initial_admin(config, &office, now).await?;
        let is_loopback_only = listening.ip().is_loopback()
            && config
                .server
                .public_url
                .as_ref()
                .is_none_or(|url| url.is_loopback());
        if office.needs_setup() && !is_loopback_only {
            office.setup_code = Some(setup_code(&setup_code_file)?);
        }
        let app = Self {
            settings: settings(config, base_url),
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

fn make_private(dir: &Path) -> Result<(), StartError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(|source| StartError::Io {
        path: dir.to_owned(),
        source,
    })
}

fn admin_list(config: &Config) -> Result<HashSet<String>, StartError> {
    let mut names: HashSet<String> = config
        .accounts
        .admins
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    if let Some(path) = &config.accounts.admin_list_file {
        let text = fs::read_to_string(path).map_err(|source| StartError::Io {
            path: path.clone(),
            source,
        })?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        names.extend(lines.map(str::to_lowercase));
    }
    Ok(names)
}

fn services(config: &Config, store: &Store, clock: &Clock) -> Result<Services, StartError> {
    let passwords = &config.passwords;
    let cost = Cost {
        memory_kib: u32::try_from(passwords.memory / 1024).unwrap_or(u32::MAX),
        passes: passwords.iterations,
        lanes: passwords.parallelism,
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // One core is left to those who wait for nothing.
    let threads = passwords
        .threads
        .unwrap_or_else(|| cores.saturating_sub(1).clamp(1, 4));
    let hashing = Hashing::start(cost, threads, passwords.queue)
        .map_err(|error| StartError::Config(error.to_string()))?;
    let runtime = tokio::runtime::Handle::current();
    Ok(Services {
        store: store.clone(),
        hashing,
        clock: clock.clone(),
        runtime,
    })
}

fn wanted(config: &Config) -> Vec<Wanted> {
    let one = |backend: &crate::config::Backend| Wanted {
        name: backend.name.clone(),
        plugin: backend.plugin.clone(),
        file: backend
            .path
            .clone()
            .unwrap_or_else(|| file_of(&config.server.plugin_dir, &backend.plugin)),
        sha256: backend.sha256,
        title: backend.title.clone(),
        required: backend.required,
        linking: match backend.accounts {
            AccountRule::Create | AccountRule::Link => Linking::Create,
            AccountRule::Existing => Linking::Existing,
        },
        deadline: backend.timeout,
        concurrency: backend.concurrency,
        config: serde_json::Value::Object(backend.config.expose().clone()),
    };
    config.auth.backends.iter().map(one).collect()
}

fn check_backends(backends: &Backends) -> Result<(), StartError> {
    for failure in backends
        .failures()
        .iter()
        .filter(|failure| !failure.required)
    {
        tracing::error!("{failure}; starting without it");
    }
    let missing: Vec<_> = backends
        .failures()
        .iter()
        .filter(|failure| failure.required)
        .map(Failure::to_string)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(StartError::Backends(missing))
    }
}

fn limits(config: &Config) -> Limits {
    let throttle = &config.throttle;
    Limits {
        per_pair: throttle.account_failures,
        per_network: throttle.address_failures,
        per_account: throttle.account_failures.saturating_mul(10),
        window_millis: u64::try_from(throttle.window.as_millis()).unwrap_or(u64::MAX),
        max_entries: throttle.max_tracked,
    }
}

fn settings(config: &Config, base_url: String) -> Settings {
    let server = &config.server;
    let is_secure = base_url.starts_with("https://");
    Settings {
        authority: base_url
            .split_once("://")
            .map_or("", |(_, authority)| authority)
            .to_owned(),
        cookie_name: if is_secure {
            "__Host-ap_session"
        } else {
            "ap_session"
        },
        base_url,
        is_no_auth: config.is_no_auth(),
        is_open_to_network: config.auth.allow_no_auth_on_network,
        sharing_mode: if config.sharing.enabled { "on" } else { "off" },
        public_sharing: config.sharing.public,
        max_body: usize::try_from(server.max_body).unwrap_or(usize::MAX),
        max_connections: server.max_connections,
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        request_timeout: server.request_timeout,
        shutdown_timeout: server.shutdown_timeout,
    }
}

/// Makes the admin named by the environment, in a server nobody has claimed.
async fn initial_admin(config: &Config, office: &Office, now: Timestamp) -> Result<(), StartError> {
    let Some((name, password)) = &config.initial_admin else {
        return Ok(());
    };
    if !office.needs_setup() {
        return Ok(());
    }
    let name = AccountName::parse(name)
        .map_err(|error| StartError::InitialAdmin(AccountError::from(error).into()))?;
    let password = Password::new(password.expose().clone());
    office
        .add(name, Some(password), true, now)
        .await
        .map_err(StartError::InitialAdmin)?;
    Ok(())
}

/// The setup code, made when there is none yet.
fn setup_code(path: &Path) -> Result<Secret<String>, StartError> {
    let io = |source| StartError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(code) if code.trim().len() >= 16 => return Ok(Secret::new(code.trim().to_owned())),
        Ok(_) => fs::remove_file(path).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let code = hash::generate_password();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    file.write_all(code.expose().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io)?;
    Ok(code)
}
