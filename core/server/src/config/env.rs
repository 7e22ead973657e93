//! The environment of the original (CONTRACT section 12), mapped onto the file's keys.
//!
//! **Invariant:** a variable wins over the file, an empty one counts as unset, and one whose
//! value makes no sense is a fault: nothing is quietly turned off.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{
    Problem,
    problem::did_you_mean,
    sheet::Setting,
    typed::{quote, switch},
};
use crate::secret::Secret;

/// The environment variables a configuration is loaded with.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    undecodable: Vec<String>,
}

impl Env {
    /// This process's environment.
    pub fn of_process() -> Self {
        let mut env = Self::default();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => {
                    env.variables.insert(name, value);
                }
                Err(_) if name.starts_with(PREFIX) => env.undecodable.push(name),
                Err(_) => {}
            }
        }
        env
    }

    /// The variable's value; empty counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.trim().is_empty()).then_some(value.as_str())
    }

    pub(super) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let pair = |(name, value): (K, V)| (name.into(), value.into());
        Self {
            variables: variables.into_iter().map(pair).collect(),
            undecodable: Vec::new(),
        }
    }
}

/// Which mode the environment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It says nothing: the file decides.
    Unsaid,
    /// Authentication off.
    Off,
    /// Authentication on: the file's backends, else accounts.
    On,
    /// Authentication on, with this plugin.
    Plugin(&'static str),
}

/// What the environment says.
pub(super) struct FromEnv {
    pub(super) wanted: Wanted,
    pub(super) settings: BTreeMap<&'static str, Setting>,
    /// The own keys of the plugins `header` and `oidc`.
    pub(super) keys: BTreeMap<&'static str, Keys>,
    pub(super) faults: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) initial_admin: Option<(String, Secret<String>)>,
}

/// A plugin's own keys.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) values: Map<String, Value>,
    /// The variables they are from.
    pub(super) names: Vec<&'static str>,
    /// What of them makes no sense: matters where they are used.
    pub(super) faults: Vec<Problem>,
}

const PREFIX: &str = "OMNIGENT_";

/// Variables that set one key of the file, as they are or with a unit added.
#[rustfmt::skip]
const COMMON: &[(&str, &str, &str)] = &[
    ("OMNIGENT_DATA_DIR", "server.data_dir", ""),
    ("OMNIGENT_TRUSTED_PROXIES", "server.trusted_proxies", ""),
    ("OMNIGENT_ADMIN_LIST_PATH", "accounts.admin_list_file", ""),
    ("OMNIGENT_DEVICE_CLIENT_SECRET", "device.client_secret", ""),
    ("OMNIGENT_GRANT_MAX_LIFETIME_DAYS", "tokens.grant_max_lifetime", "d"),
    ("OMNIGENT_PREVIOUS_COOKIE_SECRET", "tokens.previous_secret", ""),
];
#[rustfmt::skip]
const ACCOUNTS: &[(&str, &str, &str)] = &[
    ("OMNIGENT_ACCOUNTS_COOKIE_SECRET", "tokens.secret", ""),
    ("OMNIGENT_ACCOUNTS_BASE_URL", "server.public_url", ""),
    ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "tokens.access_ttl", "h"),
    ("OMNIGENT_ACCOUNTS_INVITE_TTL_HOURS", "accounts.invite_ttl", "h"),
    ("OMNIGENT_ACCOUNTS_MAGIC_TTL_MINUTES", "accounts.magic_ttl", "m"),
];
#[rustfmt::skip]
const OIDC: &[(&str, &str, &str)] = &[
    ("OMNIGENT_OIDC_COOKIE_SECRET", "tokens.secret", ""),
    ("OMNIGENT_OIDC_SESSION_TTL_HOURS", "tokens.access_ttl", "h"),
];

/// Variables that become own keys of the `oidc` plugin.
const OIDC_KEYS: &[(&str, &str, Shape)] = &[
    ("OMNIGENT_OIDC_ISSUER", "issuer", Shape::Text),
    ("OMNIGENT_OIDC_CLIENT_ID", "client_id", Shape::Text),
    ("OMNIGENT_OIDC_CLIENT_SECRET", "client_secret", Shape::Text),
    ("OMNIGENT_OIDC_SCOPES", "scopes", Shape::Words),
    (
        "OMNIGENT_OIDC_LOGOUT_REDIRECT_URI",
        "logout_redirect_uri",
        Shape::Text,
    ),
    (
        "OMNIGENT_OIDC_ALLOWED_DOMAINS",
        "allowed_domains",
        Shape::Words,
    ),
    (
        "OMNIGENT_OIDC_ALLOW_INVITES",
        "allow_invites",
        Shape::Switch,
    ),
    (
        "OMNIGENT_OIDC_SKIP_EMAIL_VERIFICATION",
        "skip_email_verification",
        Shape::Switch,
    ),
    ("OMNIGENT_OIDC_EMAIL_CLAIM", "email_claim", Shape::Text),
];
/// Variables that become own keys of the `header` plugin.
const HEADER_KEYS: &[(&str, &str, Shape)] = &[
    ("OMNIGENT_AUTH_HEADER", "header", Shape::Text),
    (
        "OMNIGENT_AUTH_HEADER_STRIP_PREFIX",
        "strip_prefix",
        Shape::Text,
    ),
];
/// Variables read by name below.
const OTHERS: &[&str] = &[
    "OMNIGENT_AUTH_ENABLED",
    "OMNIGENT_AUTH_PROVIDER",
    "OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD",
    "OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME",
    REDIRECT_URI,
];
const REDIRECT_URI: &str = "OMNIGENT_OIDC_REDIRECT_URI";

#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// Words between commas or blanks.
    Words,
    Switch,
}

/// Reads the environment.
pub(super) fn read(env: &Env) -> FromEnv {
    let mut found = FromEnv {
        wanted: Wanted::Unsaid,
        settings: BTreeMap::new(),
        keys: BTreeMap::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        initial_admin: None,
    };
    for name in &env.undecodable {
        found.fault(name, "is not valid UTF-8");
    }
    found.wanted = found.mode(env);
    found.map(env, COMMON);
    if found.wanted == Wanted::Plugin("oidc") {
        found.map(env, OIDC);
        found.redirect_uri(env);
    } else {
        found.map(env, ACCOUNTS);
        found.warn_of_unused(env);
    }
    found.keys(env, "oidc", OIDC_KEYS);
    found.keys(env, "header", HEADER_KEYS);
    found.initial_admin(env);
    found.strangers(env);
    found
}

impl FromEnv {
    fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(problem(name, message.into(), None));
    }

    fn mode(&mut self, env: &Env) -> Wanted {
        let enabled = env.get("OMNIGENT_AUTH_ENABLED");
        let on = enabled.and_then(switch);
        if let (Some(text), None) = (enabled, on) {
            let message = format!("{} must be 1, true or yes, or 0, false or no", quote(text));
            self.fault("OMNIGENT_AUTH_ENABLED", message);
        }
        let provider = env.get("OMNIGENT_AUTH_PROVIDER").map(str::trim);
        match (provider, on) {
            (Some("accounts"), _) => Wanted::Plugin("accounts"),
            (Some("header"), _) => Wanted::Plugin("header"),
            (Some("oidc"), _) => Wanted::Plugin("oidc"),
            (Some(other), _) => {
                let known = ["accounts", "header", "oidc"];
                self.faults.push(problem(
                    "OMNIGENT_AUTH_PROVIDER",
                    format!("{} must be accounts, header or oidc", quote(other)),
                    did_you_mean(other, known),
                ));
                Wanted::On
            }
            (None, Some(true)) => Wanted::On,
            (None, Some(false)) => Wanted::Off,
            // A switch that could not be read is a fault; until then it must not mean "off".
            (None, None) if enabled.is_some() => Wanted::On,
            (None, None) => Wanted::Unsaid,
        }
    }

    fn map(&mut self, env: &Env, names: &[(&'static str, &'static str, &str)]) {
        for (name, key, unit) in names {
            let Some(text) = env.get(name) else { continue };
            let text = text.trim();
            if !unit.is_empty() && text.parse::<u32>().is_err() {
                self.fault(name, format!("{} must be a whole number", quote(text)));
                continue;
            }
            let text = format!("{text}{unit}");
            self.settings.insert(key, Setting { name, text });
        }
    }

    fn keys(&mut self, env: &Env, plugin: &'static str, names: &[(&'static str, &str, Shape)]) {
        if matches!(self.wanted, Wanted::Plugin(other) if other != plugin) {
            return;
        }
        let keys = self.keys.entry(plugin).or_default();
        for (name, key, shape) in names {
            let Some(text) = env.get(name) else { continue };
            keys.names.push(name);
            let value = match shape {
                Shape::Text => json!(text),
                Shape::Words => text
                    .split([',', ' '])
                    .filter(|word| !word.is_empty())
                    .collect(),
                Shape::Switch => match switch(text) {
                    Some(on) => json!(on),
                    None => {
                        let message = format!("{} must be true or false", quote(text));
                        keys.faults.push(problem(name, message, None));
                        continue;
                    }
                },
            };
            keys.values.insert((*key).to_owned(), value);
        }
    }

    /// Of what is said about OpenID Connect without saying that it is meant.
    fn warn_of_unused(&mut self, env: &Env) {
        if matches!(self.wanted, Wanted::Plugin(_)) {
            return;
        }
        let names = OIDC.iter().map(|row| row.0);
        for name in names.chain([REDIRECT_URI]) {
            if env.get(name).is_some() {
                let message = "has no effect without OMNIGENT_AUTH_PROVIDER=oidc".to_owned();
                self.warnings.push(problem(name, message, None));
            }
        }
    }

    /// The original names the whole callback address; ours follows from the public URL.
    fn redirect_uri(&mut self, env: &Env) {
        let name = REDIRECT_URI;
        let Some(uri) = env.get(name) else { return };
        match uri.trim().strip_suffix("/auth/callback") {
            Some(origin) => {
                let text = origin.to_owned();
                self.settings
                    .insert("server.public_url", Setting { name, text });
            }
            None => self.fault(name, "must end with /auth/callback"),
        }
    }

    fn initial_admin(&mut self, env: &Env) {
        let user = env.get("OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME");
        let user = user.unwrap_or("admin").trim().to_lowercase();
        let Some(password) = env.get("OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD") else {
            return;
        };
        let name = "OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME";
        if matches!(user.as_str(), "local" | "__public__") {
            self.fault(name, format!("{} is reserved", quote(&user)));
        }
        if !(8..=1024).contains(&password.chars().count()) {
            let message = "must have 8 to 1024 characters";
            self.fault("OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD", message);
        }
        self.initial_admin = Some((user, Secret::new(password.to_owned())));
    }

    /// A variable that looks like one of ours but is none is probably misspelt.
    fn strangers(&mut self, env: &Env) {
        let tables = [COMMON, ACCOUNTS, OIDC];
        let keys = [OIDC_KEYS, HEADER_KEYS];
        let known: Vec<&str> = tables
            .into_iter()
            .flat_map(|table| table.iter().map(|row| row.0))
            .chain(
                keys.into_iter()
                    .flat_map(|table| table.iter().map(|row| row.0)),
            )
            .chain(OTHERS.iter().copied())
            .collect();
        for name in env.variables.keys() {
            if !name.starts_with(PREFIX) || known.contains(&name.as_str()) {
                continue;
            }
            if let Some(suggestion) = did_you_mean(name, known.iter().copied()) {
                let message = "is no variable of this server and has no effect".to_owned();
                self.warnings.push(problem(name, message, Some(suggestion)));
            }
        }
    }
}

fn problem(name: &str, message: String, suggestion: Option<String>) -> Problem {
    Problem {
        key_path: name.to_owned(),
        line: None,
        message,
        suggestion,
    }
}
