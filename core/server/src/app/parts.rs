//! The parts of the server, each made from its part of the configuration.

use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use ::http::HeaderValue;
use omnigent_plugin::Password;

use super::StartError;
use crate::{
    account::{
        AccountError, AccountName, Linking, Office, Rules,
        tenure::{self, Tenancy},
    },
    audit::Scene,
    backend::{Backends, Cost, Failure, Hashing, Services, Wanted, file_of},
    clock::{Clock, Timestamp},
    config::{AccountRule, Config, Origin},
    http::{Settings, Times},
    login::throttle::{Limits, Row, Rule},
    metrics::Meters,
    secret::Secret,
    store::Store,
    tls::Terminator,
    token::{KeySettings, hash},
    trace::Tracer,
};

pub(super) fn admin_list(config: &Config) -> Result<HashSet<String>, StartError> {
    let mut names: HashSet<String> = config
        .accounts
        .admins
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    if let Some(path) = &config.accounts.admin_list_file {
        let text = fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            StartError::Config(format!(
                "accounts.admin_list_file: cannot read {path}: {error}"
            ))
        })?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        names.extend(lines.map(str::to_lowercase));
    }
    Ok(names)
}

pub(super) fn services(
    config: &Config,
    store: &Store,
    clock: &Clock,
) -> Result<Services, StartError> {
    let passwords = &config.passwords;
    let cost = Cost {
        memory_kib: u32::try_from(passwords.memory / 1024).unwrap_or(u32::MAX),
        passes: passwords.iterations,
        lanes: passwords.parallelism,
    };
    let threads = passwords.threads.unwrap_or_else(Hashing::default_threads);
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

/// What this server calls itself in `iss`: its own URL (RFC 9068 section 2.2), unless told otherwise.
pub(super) fn issuer(config: &Config, listening: SocketAddr) -> Box<str> {
    let configured = config.tokens.issuer.clone();
    configured
        .unwrap_or_else(|| config.base_url(listening).to_string())
        .into()
}

pub(super) fn key_settings(config: &Config, listening: SocketAddr) -> KeySettings {
    let tokens = &config.tokens;
    let backends = config.auth.backends.iter();
    let lives = backends.filter_map(|backend| backend.session_ttl);
    let lives = lives.chain([tokens.access_ttl, tokens.refreshed_ttl]);
    KeySettings {
        secret: tokens.secret.clone(),
        previous_secret: tokens.previous_secret.clone(),
        algorithm: tokens.algorithm,
        longest: lives.max().unwrap_or_default().as_secs(),
        issuer: issuer(config, listening),
    }
}

/// The backends a configuration wants, in their order.
pub fn wanted(config: &Config) -> Vec<Wanted> {
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
        rules: rules(backend),
        session_ttl: backend.session_ttl.map(|ttl| ttl.as_secs()),
        deadline: backend.timeout,
        concurrency: backend.concurrency,
        config: serde_json::Value::Object(backend.config.expose().clone()),
    };
    config.auth.backends.iter().map(one).collect()
}

pub(super) fn rules(backend: &crate::config::Backend) -> Rules {
    Rules {
        linking: match backend.accounts {
            AccountRule::Create => Linking::Create,
            AccountRule::Link => Linking::Link,
            AccountRule::Existing => Linking::Existing,
        },
        link_domains: backend.link_domains.clone(),
        allowed_domains: backend.allowed_domains.clone(),
        allowed_groups: backend.allowed_groups.clone(),
        admin_groups: backend.admin_groups.clone(),
        allow_invites: backend.allow_invites,
    }
}

/// Whom the names of the backends are to be given to.
pub(super) fn tenancies(config: &Config) -> Vec<Tenancy> {
    config.auth.backends.iter().map(Tenancy::of).collect()
}

/// No name of a backend may belong to another plugin.
pub(super) fn check_tenancies(config: &Config, store: &Store) -> Result<(), StartError> {
    let held = tenure::held(&store.reader(), &tenancies(config))?;
    let held: Vec<_> = held.iter().map(ToString::to_string).collect();
    if held.is_empty() {
        Ok(())
    } else {
        Err(StartError::Config(held.join("\n")))
    }
}

/// The backends in whose groups are no admins.
pub(super) fn ungrouped(config: &Config) -> HashSet<String> {
    let backends = config.auth.backends.iter();
    let ungrouped = backends.filter(|backend| backend.admin_groups.is_empty());
    ungrouped.map(|backend| backend.name.clone()).collect()
}

pub(super) fn check_backends(backends: &Backends) -> Result<(), StartError> {
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

pub(super) fn limits(config: &Config) -> Limits {
    let throttle = &config.throttle;
    let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let rule = |free, wait| Rule {
        free,
        wait_millis: millis(wait),
    };
    let rate = |free: u32, within: Duration| rule(free, within / free.max(1));
    let minute = Duration::from_secs(60);
    Limits {
        pair: rule(throttle.account_failures, throttle.account_wait),
        account: rule(throttle.stranger_failures, throttle.stranger_wait),
        network: rule(throttle.address_failures, throttle.address_wait),
        row: Row {
            limit: throttle.failures_in_a_row,
            pause_millis: millis(throttle.pause),
        },
        begin: rate(throttle.begun_per_minute, minute),
        register: rate(throttle.registered_per_hour, 60 * minute),
        write: rate(throttle.writes_per_minute, minute),
        max_entries: throttle.max_tracked,
    }
}

pub(super) fn settings(config: &Config, base_url: &Origin) -> Settings {
    let server = &config.server;
    let (is_secure, hsts) = (base_url.is_https(), hsts(config, base_url));
    let base_url = base_url.to_string();
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
        is_secure,
        trusted_proxies: server.trusted_proxies.clone(),
        unix_socket_uids: server.unix_socket_uids.clone(),
        is_no_auth: config.is_no_auth(),
        is_open_to_network: config.auth.allow_no_auth_on_network,
        sharing_mode: if config.sharing.enabled { "on" } else { "off" },
        public_sharing: config.sharing.public,
        max_body: usize::try_from(server.max_body).unwrap_or(usize::MAX),
        max_connections: server.max_connections,
        max_connections_per_address: server.max_connections_per_address,
        max_streams: server.max_streams,
        proxy_protocol: server.proxy_protocol,
        hsts,
        times: Times {
            header: server.header_timeout,
            idle: server.idle_timeout,
            write: server.write_timeout,
        },
        body_timeout: server.body_timeout,
        request_timeout: server.request_timeout,
        shutdown_timeout: server.shutdown_timeout,
    }
}

/// Browsers that remembered it of `localhost` would shut out whatever else is served there.
fn hsts(config: &Config, base_url: &Origin) -> Option<HeaderValue> {
    let seconds = config.tls.hsts.as_secs();
    let is_said = base_url.is_https() && !base_url.is_loopback() && seconds > 0;
    let text = format!("max-age={seconds}");
    is_said.then(|| HeaderValue::from_str(&text).ok())?
}

/// What encrypts, when we do.
pub(super) fn tls(config: &Config) -> Result<Option<Terminator>, StartError> {
    let Some(pair) = config.tls.pair() else {
        return Ok(None);
    };
    Terminator::new(pair, config.tls.handshake_timeout)
        .map(Some)
        .map_err(|error| StartError::Config(format!("tls: {error}")))
}

/// What takes traces, when somebody is to have them.
pub(super) fn tracer(
    config: &Config,
    meters: &Arc<Meters>,
) -> Result<Option<Arc<Tracer>>, StartError> {
    Tracer::start(&config.tracing, meters)
        .map_err(|error| StartError::Config(format!("tracing: {error}")))
}

/// Makes the admin named by the environment, in a server nobody has claimed.
pub(super) async fn initial_admin(
    config: &Config,
    office: &Office,
    now: Timestamp,
) -> Result<(), StartError> {
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
        .add(Scene::operator(now), name, Some(password), true)
        .await
        .map_err(StartError::InitialAdmin)?;
    Ok(())
}

/// The setup code, made when there is none yet.
pub(super) fn setup_code(path: &Path) -> Result<Secret<String>, StartError> {
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
