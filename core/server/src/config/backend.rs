//! `[backend.<name>]`: the host's keys are taken out, the plugin's own are left as they are.

use std::{path::PathBuf, time::Duration};

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::{
    sheet::{Place, Section, Sheet},
    typed::quote,
};
use crate::secret::Secret;

/// `[backend.<name>]`: one configured instance of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its name: part of every identity it asserts, so renaming it cuts people off.
    pub name: String,
    /// The plugin's name.
    pub plugin: String,
    /// What people see in the chooser; the plugin's own title when absent.
    pub title: Option<String>,
    /// The plugin's file, when not the one of its name in `server.plugin_dir`. Absolute.
    pub path: Option<PathBuf>,
    /// SHA-256 the file must have.
    pub sha256: Option<[u8; 32]>,
    /// Whether the server refuses to start without it.
    pub required: bool,
    /// What becomes of an identity that has no account yet.
    pub accounts: AccountRule,
    /// Domains whose e-mail addresses the backend is authoritative for; required by `link`.
    pub link_domains: Vec<String>,
    /// Domains an e-mail address must be of; empty for any.
    pub allowed_domains: Vec<String>,
    /// Groups a person must be in one of; empty for any.
    pub allowed_groups: Vec<String>,
    /// Groups that make an admin.
    pub admin_groups: Vec<String>,
    /// Whether an invite lets in somebody the domains and groups do not.
    pub allow_invites: bool,
    /// How long a login by this backend lasts; `tokens.access_ttl` when absent.
    pub session_ttl: Option<Duration>,
    /// Longest a call into the plugin may take.
    pub timeout: Duration,
    /// Calls into the plugin at once.
    pub concurrency: usize,
    /// The plugin's own keys, untouched. May hold secrets.
    pub config: Secret<Map<String, Value>>,
}

/// What becomes of an identity that has no account yet (DESIGN section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountRule {
    /// It gets a new account; refused when the id is taken.
    Create,
    /// It joins the account of the same verified e-mail address, else gets a new one.
    Link,
    /// It must have been linked or invited.
    Existing,
}

/// Names that would be mistaken for something else in a `provider` claim or a log line.
const RESERVED: &[&str] = &["none", "api", "device", "operator", "system"];

pub(super) fn check_name(sheet: &Sheet<'_>, place: &Place, name: &str) {
    let fits = name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if RESERVED.contains(&name) {
        sheet.fault(
            place,
            format!("{} is reserved; choose another name", quote(name)),
        );
    } else if !fits {
        let message = "a backend's name is 1 to 32 of a-z, 0-9, - and _, and starts with a letter";
        sheet.fault(place, message);
    }
}

pub(super) fn backend(section: Section<'_>, name: String) -> Backend {
    backend_of(section, name, None)
}

pub(super) fn backend_of(
    mut section: Section<'_>,
    name: String,
    implied: Option<String>,
) -> Backend {
    let plugin = match (section.parsed("plugin", plugin_name), implied) {
        (Some(plugin), _) => plugin,
        (None, Some(plugin)) => plugin,
        (None, None) => {
            let place = section.place("plugin");
            if place.line.is_none() {
                section
                    .sheet
                    .fault(&place, "is required: the plugin's name");
            }
            String::new()
        }
    };
    let second = Duration::from_secs(1);
    let mut backend = Backend {
        name,
        plugin,
        title: section.text("title").map(|(_, title)| title),
        path: section.path("path").map(|(_, path)| path),
        sha256: section.parsed("sha256", sha256),
        required: section.boolean("required", true),
        accounts: section.word(
            "accounts",
            AccountRule::Create,
            &[
                ("create", AccountRule::Create),
                ("link", AccountRule::Link),
                ("existing", AccountRule::Existing),
            ],
        ),
        link_domains: domains(&mut section, "link_domains"),
        allowed_domains: domains(&mut section, "allowed_domains"),
        allowed_groups: groups(&mut section, "allowed_groups"),
        admin_groups: groups(&mut section, "admin_groups"),
        allow_invites: section.boolean("allow_invites", true),
        session_ttl: session_ttl(&mut section),
        timeout: section.duration("timeout", 10 * second, second / 10..=120 * second),
        concurrency: section.integer("concurrency", 64, 1..=10_000) as usize,
        config: Secret::new(Map::new()),
    };
    if backend.accounts == AccountRule::Link && backend.link_domains.is_empty() {
        section.sheet.fault_with(
            &section.place("link_domains"),
            "is required with accounts = \"link\": the e-mail domains this backend speaks for",
            Some("name them, or say accounts = \"create\"".into()),
        );
    }
    let mut config = Map::new();
    for (key, value) in section.rest() {
        // A guess by name, and only for a warning: what the key means is the plugin's business.
        if key.ends_with("secret") || key.ends_with("password") {
            section.sheet.saw_secret(&section.place(key));
        }
        match json(value) {
            Some(value) => {
                config.insert(key.to_owned(), located(section.sheet, key, value));
            }
            None => section
                .sheet
                .fault(&section.place(key), "holds a number out of range"),
        }
    }
    backend.config = Secret::new(config);
    backend
}

/// Files are where the configuration is, also those a plugin reads: by the name of the key.
fn located(sheet: &Sheet<'_>, key: &str, value: Value) -> Value {
    match value {
        Value::String(path) if key == "file" || key.ends_with("_file") => {
            sheet.base.join(path).to_string_lossy().into()
        }
        value => value,
    }
}

/// Takes over what the environment says of the backend: host keys, then the plugin's own.
pub(super) fn adopt(sheet: &Sheet<'_>, backend: &mut Backend, mut said: Map<String, Value>) {
    if let Some(Value::Array(named)) = said.remove("allowed_domains") {
        backend.allowed_domains.clear();
        for text in named.iter().filter_map(Value::as_str) {
            match domain(text) {
                Ok(domain) => backend.allowed_domains.push(domain),
                Err(message) => {
                    let place = Place {
                        key_path: "OMNIGENT_OIDC_ALLOWED_DOMAINS".into(),
                        line: None,
                    };
                    sheet.fault(&place, format!("{} {message}", quote(text)));
                }
            }
        }
    }
    if let Some(Value::Bool(allow)) = said.remove("allow_invites") {
        backend.allow_invites = allow;
    }
    let mut config = backend.config.expose().clone();
    config.extend(said);
    backend.config = Secret::new(config);
}

/// E-mail domains, in lower case.
fn domains(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    section.parsed_list(key, domain).unwrap_or_default()
}

fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim().to_ascii_lowercase();
    let fits = !domain.is_empty()
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    if fits {
        Ok(domain)
    } else {
        Err("is not a domain such as \"example.com\"".into())
    }
}

fn groups(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let named = |text: &str| match text {
        "" => Err("is empty".to_owned()),
        group => Ok(group.to_owned()),
    };
    section.parsed_list(key, named).unwrap_or_default()
}

fn session_ttl(section: &mut Section<'_>) -> Option<Duration> {
    let minute = Duration::from_secs(60);
    let unset = Duration::ZERO;
    let range = minute..=60 * 24 * 366 * minute;
    Some(section.duration("session_ttl", unset, range)).filter(|ttl| *ttl != unset)
}

/// A plugin's name becomes part of a file name.
fn plugin_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("is not a plugin's name: a-z, 0-9, - and _; a file goes into `path`".into())
    }
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map_err(|_| "is not 64 hexadecimal digits".to_owned())?;
    Ok(digest)
}

/// TOML as JSON; dates become text. `None` for a number JSON or we cannot hold.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(moment) => Value::from(moment.to_string()),
        DeValue::Integer(value) => {
            Value::from(i64::from_str_radix(value.as_str(), value.radix()).ok()?)
        }
        DeValue::Float(value) => {
            let value: f64 = value.as_str().parse().ok()?;
            Value::Number(serde_json::Number::from_f64(value)?)
        }
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| json(item.get_ref())).collect();
            Value::Array(items?)
        }
        DeValue::Table(table) => {
            let pair = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Some((key.to_string(), json(value.get_ref())?))
            };
            let entries: Option<Map<String, Value>> = table.iter().map(pair).collect();
            Value::Object(entries?)
        }
    })
}
