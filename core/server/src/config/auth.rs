//! `[auth]`: which backends people sign in with, as file and environment say together.

use std::collections::BTreeMap;

use super::{
    backend::{Backend, adopt, backend, backend_of, check_name},
    env::{FromEnv, Keys, Wanted},
    problem::did_you_mean,
    sheet::{Place, Section, Sheet},
    typed::quote,
};

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
        self.backends.iter().any(|backend| {
            // A signed assertion proves itself.
            let is_signed = backend.config.expose().contains_key("assertion");
            backend.plugin == "header" && !is_signed
        })
    }
}

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
    if matches!(env.wanted, Wanted::Unsaid | Wanted::On) {
        add_keys(sheet, env, names, defined);
    }
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
    let give = |backend: &mut Backend| {
        if let Some(keys) = env.keys.get(plugin) {
            take_over(sheet, keys, backend);
        }
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
        give(&mut synthetic);
        defined.insert(plugin.to_owned(), (place, synthetic));
        names.push(plugin.to_owned());
        return;
    }
    for name in names {
        if let Some((_, backend)) = defined.get_mut(name) {
            give(backend);
        }
    }
}

/// Gives the backend the keys of the environment, which have to make sense where they are used.
fn take_over(sheet: &Sheet<'_>, keys: &Keys, backend: &mut Backend) {
    sheet.faults.borrow_mut().extend(keys.faults.clone());
    adopt(sheet, backend, keys.values.clone());
}

/// Gives the keys of the environment to the file's backend of that plugin. A rule that somebody
/// believes to be in force never is ignored without a word.
fn add_keys(
    sheet: &Sheet<'_>,
    env: &FromEnv,
    names: &[String],
    defined: &mut BTreeMap<String, (Place, Backend)>,
) {
    for (plugin, keys) in &env.keys {
        let is_of_plugin =
            |name: &&String| defined.get(*name).is_some_and(|(_, b)| b.plugin == *plugin);
        let of_plugin: Vec<&String> = names.iter().filter(is_of_plugin).collect();
        let place = |name: &str| Place {
            key_path: name.to_owned(),
            line: None,
        };
        match of_plugin.as_slice() {
            [] => {
                let message = format!("has no effect: no backend is of the plugin {plugin}");
                keys.names
                    .iter()
                    .for_each(|name| sheet.warn(&place(name), &message));
            }
            [one] => {
                if let Some((own, backend)) = defined.get_mut(*one) {
                    let said = backend.config.expose();
                    let is_other = |(key, value): &(&String, &serde_json::Value)| {
                        said.get(*key).is_some_and(|own| own != *value)
                    };
                    for (key, _) in keys.values.iter().filter(is_other) {
                        let message = format!("`{key}` is overruled by the environment");
                        sheet.warn(own, message);
                    }
                    take_over(sheet, keys, backend);
                }
            }
            _ => {
                let message = format!(
                    "several backends are of the plugin {plugin}: say it in the table of the one that is meant"
                );
                keys.names
                    .iter()
                    .for_each(|name| sheet.fault(&place(name), &message));
            }
        }
    }
}
