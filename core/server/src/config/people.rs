//! `[accounts]`, `[sharing]` and `[[agent]]`: who has an account, and what can be had with it.

use std::{path::PathBuf, time::Duration};

use super::{sheet::Section, typed::quote};
use crate::account::{AccountName, InvalidName};

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

pub(super) fn accounts(mut section: Section<'_>) -> Accounts {
    let minute = Duration::from_secs(60);
    let admins = section.parsed_list("admins", |text| {
        let name = AccountName::asserted(text.trim()).map_err(|error| match error {
            InvalidName::Reserved(_) => "is reserved".to_owned(),
            InvalidName::Grammar => "cannot be the name of an account".to_owned(),
        })?;
        Ok(name.to_string())
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
        admin_list_file: admin_list_file(&mut section),
    };
    section.finish();
    accounts
}

fn admin_list_file(section: &mut Section<'_>) -> Option<PathBuf> {
    let (place, path) = section.path("admin_list_file")?;
    if let Err(error) = std::fs::read_to_string(&path) {
        let message = format!("cannot read {}: {error}", path.display());
        section.sheet.fault(&place, message);
    }
    Some(path)
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
