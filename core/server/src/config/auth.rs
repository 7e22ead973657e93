//! Who may sign in and how: `[auth]`, `[backend.<name>]`, `[accounts]`, `[sharing]`, `[[agent]]`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::{
    env::{FromEnv, Wanted},
    problem::did_you_mean,
    sheet::{Place, Section, Sheet, quote},
};
use crate::secret::Secret;

/// `[auth]` and the backends it names, in the order of the chooser.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// None at all: no-auth mode.
    pub backends: Vec<Backend>,
    /// The operator's word that everybody on the network may be an admin.
    pub allow_no_auth_on_network: bool,
}

impl Auth {
    pub(super) fn needs_trusted_proxies(&self) -> bool {
        self.backends
            .iter()
            .any(|backend| backend.plugin == "header")
    }
}

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

/// `[accounts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Who may register.
    pub registration: Registration,
    /// Life of an invite.
    pub invite_ttl: Duration,
    /// Life of a magic link.
    pub magic_ttl: Duration,
    /// Account ids that are admins, lower case.
    pub admins: Vec<String>,
    /// A file of further ones, one a line, read at start. Absolute.
    pub admin_list_file: Option<PathBuf>,
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Whoever holds an invite.
    Invite,
    /// Anybody.
    Open,
    /// Nobody.
    Closed,
}

/// `[[agent]]`: something sessions can be had with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Unique; the agent's id follows from it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What runs it.
    pub harness: Option<String>,
}

/// `[sharing]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Whether sessions can be shared.
    pub enabled: bool,
    /// Whether they can be shared with everybody.
    pub public: bool,
}

/// Names that would be mistaken for something else in a `provider` claim or a log line.
const RESERVED: &[&str] = &["none", "api", "device", "operator", "system"];

pub(super) fn auth(root: &mut Section<'_>, env: &FromEnv) -> Auth {
    let mut section = root.section("auth");
    let place = section.place("backends");
    let named = section.list("backends");
    let allow_no_auth_on_network = section.boolean("allow_no_auth_on_network", false);
    section.finish();

    let sheet = root.sheet;
    let tables = root.section("backend");
    let mut defined: BTreeMap<String, (Place, Backend)> = BTreeMap::new();
    for (name, section) in tables.named_sections() {
        let place = tables.place(&name);
        check_name(sheet, &place, &name);
        let backend = backend(section, name.clone());
        defined.insert(name, (place, backend));
    }
    let mut names: Vec<String> = Vec::new();
    for (place, name) in named.unwrap_or_default() {
        if names.contains(&name) {
            sheet.fault(&place, format!("{} is named twice", quote(&name)));
        } else if defined.contains_key(&name) {
            names.push(name);
        } else {
            let suggestion = did_you_mean(&name, defined.keys().map(String::as_str))
                .or_else(|| Some(format!("add a [backend.{name}] table")));
            let message = format!("there is no backend {}", quote(&name));
            sheet.fault_with(&place, message, suggestion);
        }
    }
    let in_file = names.clone();
    choose(sheet, &place, env, &mut names, &mut defined);
    for (name, (place, _)) in &defined {
        if !names.contains(name) && !in_file.contains(name) {
            sheet.warn(place, "is defined, but [auth] backends does not name it");
        }
    }
    let backends = names
        .into_iter()
        .filter_map(|name| defined.remove(&name))
        .map(|(_, backend)| backend)
        .collect();
    Auth {
        backends,
        allow_no_auth_on_network,
    }
}

/// Lets the environment have its say on which backends there are.
fn choose(
    sheet: &Sheet<'_>,
    place: &Place,
    env: &FromEnv,
    names: &mut Vec<String>,
    defined: &mut BTreeMap<String, (Place, Backend)>,
) {
    let plugin = match env.wanted {
        Wanted::Unsaid => return,
        Wanted::Off if names.is_empty() => return,
        Wanted::Off => {
            let message = "names backends, but OMNIGENT_AUTH_ENABLED turns authentication off";
            return sheet.fault_with(place, message, Some("remove one of the two".into()));
        }
        Wanted::On if !names.is_empty() => return,
        Wanted::On => "accounts",
        Wanted::Plugin(plugin) => plugin,
    };
    let of_plugin = |name: &String| defined.get(name).is_some_and(|(_, b)| b.plugin == plugin);
    if names.iter().any(of_plugin) {
        names.retain(of_plugin);
    } else {
        *names = defined
            .keys()
            .filter(|name| of_plugin(name))
            .cloned()
            .collect();
    }
    if names.is_empty() {
        if defined.contains_key(plugin) {
            let message = format!("[backend.{plugin}] is not a backend of the plugin {plugin}");
            return sheet.fault(place, message);
        }
        let place = Place {
            key_path: format!("backend.{plugin}"),
            line: None,
        };
        let section = Section::new(sheet, place.key_path.clone(), None);
        let mut synthetic = backend_of(section, plugin.to_owned(), Some(plugin.to_owned()));
        synthetic.config = Secret::new(env.plugin_keys.clone());
        defined.insert(plugin.to_owned(), (place, synthetic));
        names.push(plugin.to_owned());
        return;
    }
    for name in names {
        if let Some((_, backend)) = defined.get_mut(name) {
            let mut config = backend.config.expose().clone();
            config.extend(env.plugin_keys.clone());
            backend.config = Secret::new(config);
        }
    }
}

fn check_name(sheet: &Sheet<'_>, place: &Place, name: &str) {
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

fn backend(section: Section<'_>, name: String) -> Backend {
    backend_of(section, name, None)
}

fn backend_of(mut section: Section<'_>, name: String, implied: Option<String>) -> Backend {
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
        timeout: section.duration("timeout", 10 * second, second / 10..=120 * second),
        concurrency: section.integer("concurrency", 64, 1..=10_000) as usize,
        config: Secret::new(Map::new()),
    };
    let mut config = Map::new();
    for (key, value) in section.rest() {
        match json(value) {
            Some(value) => {
                config.insert(key.to_owned(), value);
            }
            None => section
                .sheet
                .fault(&section.place(key), "holds a number out of range"),
        }
    }
    backend.config = Secret::new(config);
    backend
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

pub(super) fn accounts(mut section: Section<'_>) -> Accounts {
    let minute = Duration::from_secs(60);
    let admins = section.parsed_list("admins", |text| {
        let id = text.trim().to_lowercase();
        match id.as_str() {
            "local" | "__public__" => Err("is reserved".to_owned()),
            _ => Ok(id),
        }
    });
    let accounts = Accounts {
        registration: section.word(
            "registration",
            Registration::Invite,
            &[
                ("invite", Registration::Invite),
                ("open", Registration::Open),
                ("closed", Registration::Closed),
            ],
        ),
        invite_ttl: section.duration("invite_ttl", 72 * 60 * minute, minute..=366 * 1440 * minute),
        magic_ttl: section.duration("magic_ttl", 10 * minute, minute..=1440 * minute),
        admins: admins.unwrap_or_default(),
        admin_list_file: section.path("admin_list_file").map(|(_, path)| path),
    };
    section.finish();
    accounts
}

pub(super) fn sharing(mut section: Section<'_>) -> Sharing {
    let sharing = Sharing {
        enabled: section.word("mode", true, &[("on", true), ("off", false)]),
        public: section.boolean("public", true),
    };
    section.finish();
    sharing
}

pub(super) fn agents(sections: Vec<Section<'_>>) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    for mut section in sections {
        let place = section.place("name");
        let name = section.text("name").map(|(_, name)| name);
        let agent = Agent {
            name: name.unwrap_or_default(),
            description: section.text("description").map(|(_, text)| text),
            version: section.text("version").map(|(_, text)| text),
            harness: section.text("harness").map(|(_, text)| text),
        };
        if agent.name.is_empty() {
            if place.line.is_none() {
                section.sheet.fault(&place, "is required");
            }
        } else if agents.iter().any(|other| other.name == agent.name) {
            let message = format!("{} is the name of two agents", quote(&agent.name));
            section.sheet.fault(&place, message);
        }
        section.finish();
        agents.push(agent);
    }
    agents
}
