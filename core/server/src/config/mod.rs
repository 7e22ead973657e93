//! TOML and environment in, a validated [`Config`] out.
//!
//! Owns: the keys, their defaults and their limits; the order environment > file > default; the
//! raw TOML types, which do not leave this folder. Does not: open anything but the configuration,
//! the secret files, the certificate and the list of admins it names; look for plugins; read a plugin's own keys.
//!
//! **Invariant:** a [`Config`] cannot be wrong. Every fault is reported at once, by key path; an
//! unknown key at any level is a fault; no message holds a secret's value.
//!
//! Two settings follow the machine: `server.data_dir` is `/var/lib/omnigent` for root and
//! `~/.omnigent/server` for anybody else; `server.plugin_dir` is where the running executable
//! lies, or its `../lib/omnigent` when that exists.

mod audit;
mod auth;
mod backend;
mod changes;
mod env;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod metrics;
mod people;
mod problem;
mod server;
mod sheet;
mod shown;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod tracing;
mod typed;
mod value;
mod view;

use std::{collections::BTreeMap, path::Path};

use toml::de::DeTable;

pub use audit::{Audit, Webhook};
pub use auth::Auth;
pub use backend::{AccountRule, Backend};
pub use changes::Change;
pub use env::Env;
pub use metrics::Metrics;
pub use people::{Accounts, Agent, Registration, Sharing};
pub use problem::Problem;
pub use server::{LogFormat, LogLevel, Server};
use sheet::{Section, Setting, Sheet};
pub use tls::Tls;
pub use tokens::{Algorithm, Device, Passwords, Throttle, Tokens};
pub use tracing::Tracing;
pub use value::{Cidr, Origin};

use crate::secret::Secret;

/// Everything the operator decides, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Tls,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[accounts]`
    pub accounts: Accounts,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[throttle]`
    pub throttle: Throttle,
    /// `[device]`
    pub device: Device,
    /// `[auth]` and the `[backend.<name>]` tables it names
    pub auth: Auth,
    /// `[[agent]]`
    pub agents: Vec<Agent>,
    /// `[sharing]`
    pub sharing: Sharing,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[tracing]`
    pub tracing: Tracing,
    /// `[audit]`
    pub audit: Audit,
    /// User name and password of the admin to create in an empty server
    /// (`OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME`, `_PASSWORD`).
    pub initial_admin: Option<(String, Secret<String>)>,
    /// What is allowed but probably not meant. Show these at start.
    pub warnings: Vec<Problem>,
}

/// Options of the command line, which win over environment and file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<String>,
}

impl Config {
    /// Loads `file` if given, under `env` and `overrides`.
    ///
    /// # Errors
    /// Every fault there is, in the order of the file.
    pub fn load(
        file: Option<&Path>,
        env: &Env,
        overrides: &Overrides,
    ) -> Result<Self, Vec<Problem>> {
        let Some(path) = file else {
            return Self::parse("", Path::new("."), env, overrides);
        };
        let (text, shared) = read(path).map_err(|message| {
            vec![Problem {
                key_path: path.display().to_string(),
                line: None,
                message,
                suggestion: None,
            }]
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        let from_env = env::read(env);
        let overrides = settings(&from_env.settings, overrides);
        let sheet = Sheet::new(&text, base.to_owned(), overrides);
        let mut config = Self::parse_sheet(&sheet, from_env, env)?;
        if shared && let Some(place) = sheet.inline_secret.take() {
            config.warnings.push(Problem {
                key_path: place.key_path,
                line: place.line,
                message: format!("others may read {} and this secret in it", path.display()),
                suggestion: Some("run chmod 600 on it, or use the key ending in _file".into()),
            });
        }
        Ok(config)
    }

    /// Loads a configuration from its text; relative paths in it are relative to `base`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        base: &Path,
        env: &Env,
        overrides: &Overrides,
    ) -> Result<Self, Vec<Problem>> {
        let from_env = env::read(env);
        let overrides = settings(&from_env.settings, overrides);
        let sheet = Sheet::new(text, base.to_owned(), overrides);
        Self::parse_sheet(&sheet, from_env, env)
    }

    fn parse_sheet(
        sheet: &Sheet<'_>,
        from_env: env::FromEnv,
        env: &Env,
    ) -> Result<Self, Vec<Problem>> {
        sheet.faults.borrow_mut().extend(from_env.faults.clone());
        sheet
            .warnings
            .borrow_mut()
            .extend(from_env.warnings.clone());
        let (document, errors) = DeTable::parse_recoverable(sheet.source);
        let broken = errors.iter().map(|error| syntax(sheet, error));
        let broken: Vec<_> = broken.collect();

        let mut root = Section::new(sheet, String::new(), Some(document.get_ref()));
        let server = server::server(root.section("server"), env);
        let mut config = Self {
            tls: tls::tls(root.section("tls")),
            tokens: tokens::tokens(root.section("tokens")),
            accounts: people::accounts(root.section("accounts")),
            passwords: tokens::passwords(root.section("passwords")),
            throttle: tokens::throttle(root.section("throttle")),
            device: tokens::device(root.section("device")),
            auth: auth::auth(&mut root, &from_env),
            agents: people::agents(root.sections("agent")),
            sharing: people::sharing(root.section("sharing")),
            metrics: metrics::metrics(root.section("metrics")),
            tracing: tracing::tracing(root.section("tracing")),
            audit: audit::audit(root.section("audit")),
            initial_admin: from_env.initial_admin,
            server,
            warnings: Vec::new(),
        };
        root.finish();
        sheet.refuse_strangers();
        config.check_together(sheet);

        let mut faults = sheet.faults.take();
        // In a broken file nothing is surely what it looks like: an open quote makes a part of an
        // address of a secret, and a bad address is shown. Its syntax comes first, then the rest.
        if !broken.is_empty() {
            faults = [from_env.faults, broken].concat();
        }
        if faults.is_empty() {
            config.warnings = sheet.warnings.take();
            return Ok(config);
        }
        faults.sort_by_key(|fault| fault.line);
        Err(faults)
    }

    /// The address people reach the server at, once it is known where it really listens.
    pub fn base_url(&self, listening: std::net::SocketAddr) -> Origin {
        match &self.server.public_url {
            Some(origin) => origin.clone(),
            None if listening.ip().is_unspecified() => {
                self.origin(format!("localhost:{}", listening.port()))
            }
            None => self.origin(listening.to_string()),
        }
    }

    fn origin(&self, authority: String) -> Origin {
        match self.tls.certificate_file {
            Some(_) => Origin::https(authority),
            None => Origin::http(authority),
        }
    }

    /// Whether the server runs without authentication: everybody is `local`, an admin.
    pub const fn is_no_auth(&self) -> bool {
        self.auth.backends.is_empty()
    }

    /// Rules between sections.
    fn check_together(&self, sheet: &Sheet<'_>) {
        let place = |key_path: &str| sheet::Place {
            key_path: key_path.to_owned(),
            line: None,
        };
        if self.server.proxy_protocol && self.server.trusted_proxies.is_empty() {
            sheet.fault(
                &place("server.trusted_proxies"),
                "is required with server.proxy_protocol: the balancers that may name an address",
            );
        }
        let public = self.server.public_url.as_ref();
        if self.tls.certificate_file.is_some() && public.is_some_and(|origin| !origin.is_https()) {
            sheet.fault(
                &place("server.public_url"),
                "is not https, but tls.certificate_file is set",
            );
        }
        let open_to_network = !self.server.listen.ip().is_loopback();
        if self.is_no_auth() {
            let allowed = self.auth.allow_no_auth_on_network;
            let behind_proxy = public.is_some_and(|origin| !origin.is_loopback());
            if open_to_network && !allowed {
                sheet.fault_with(
                    &place("server.listen"),
                    format!(
                        "without authentication everybody who reaches {} is an admin",
                        self.server.listen
                    ),
                    Some(
                        "listen on 127.0.0.1, name [auth] backends, or say \
                         `allow_no_auth_on_network = true` in [auth]"
                            .into(),
                    ),
                );
            } else if behind_proxy && !allowed {
                sheet.fault_with(
                    &place("server.public_url"),
                    "is not on this machine, but authentication is off",
                    Some(
                        "name [auth] backends, or say `allow_no_auth_on_network = true` in [auth]"
                            .into(),
                    ),
                );
            }
            return;
        }
        let is_open = open_to_network && self.tls.certificate_file.is_none();
        let plain = public.map_or(is_open, |origin| {
            !origin.is_https() && !origin.is_loopback()
        });
        if plain {
            sheet.warn(
                &place("server.public_url"),
                "is not https: passwords and tokens cross the network in the clear",
            );
        }
        let has_socket =
            self.server.unix_socket.is_some() && !self.server.unix_socket_uids.is_empty();
        let is_told = |problem: &Problem| {
            problem.key_path.starts_with("server.trusted_proxies")
                || problem.key_path.starts_with("OMNIGENT_TRUSTED_PROXIES")
        };
        if self.auth.needs_trusted_proxies()
            && self.server.trusted_proxies.is_empty()
            && !has_socket
            && !sheet.faults.borrow().iter().any(is_told)
        {
            sheet.fault(
                &place("server.trusted_proxies"),
                "is required with the header plugin: without it anybody could claim to be anybody",
            );
        }
        if self.server.unix_socket.is_some() && !has_socket {
            sheet.fault(
                &place("server.unix_socket_uids"),
                "is required with server.unix_socket: the users who may connect, as numbers",
            );
        }
        if self.tokens.refreshed_ttl > self.tokens.grant_max_lifetime {
            let message = "is longer than tokens.grant_max_lifetime";
            sheet.fault(&place("tokens.refreshed_ttl"), message);
        }
        if self.tokens.api_default_ttl > Some(self.tokens.api_max_ttl) {
            let message = "is longer than tokens.api_max_ttl";
            sheet.fault(&place("tokens.api_default_ttl"), message);
        }
    }
}

/// At most this much of a configuration file is read.
const MAX_FILE: u64 = 1 << 20;

/// The file's text, and whether people other than its owner may read it.
fn read(path: &Path) -> Result<(String, bool), String> {
    use std::{io::Read, os::unix::fs::PermissionsExt};

    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 1 MiB: not a configuration".into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned())?;
    Ok((text, mode & 0o077 != 0))
}

fn settings(
    from_env: &BTreeMap<&'static str, Setting>,
    overrides: &Overrides,
) -> BTreeMap<&'static str, Setting> {
    let mut settings = from_env.clone();
    let options = [
        ("server.listen", "--listen", &overrides.listen),
        ("server.data_dir", "--data-dir", &overrides.data_dir),
    ];
    for (key, name, value) in options {
        if let Some(text) = value {
            let text = text.clone();
            settings.insert(key, Setting { name, text });
        }
    }
    settings
}

// The error's own `Display` quotes the line, which may hold a secret: only its message is kept.
fn syntax(sheet: &Sheet<'_>, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| sheet.line(span.start));
    Problem {
        key_path: "TOML".into(),
        line,
        message: error.message().to_owned(),
        suggestion: None,
    }
}
