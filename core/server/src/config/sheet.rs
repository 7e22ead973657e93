//! Reading a TOML document key by key, gathering every fault.
//!
//! Owns: the raw TOML values, which never leave `config/`. A [`Section`] hands out typed values,
//! remembers which keys were asked for, and [`Section::finish`] refuses all others.
//!
//! **Invariant:** reading never stops at a fault; the value read is then the default, and the
//! whole configuration is refused at the end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use toml::de::{DeTable, DeValue};

use super::{Problem, problem::did_you_mean};

/// Where a value was given.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key_path: String,
    pub(super) line: Option<usize>,
}

/// A setting from outside the file (environment, option), which wins over the file's.
#[derive(Clone)]
pub(super) struct Setting {
    /// The variable's or option's name, for messages.
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// The document, what overrides it, and the faults found so far.
pub(super) struct Sheet<'a> {
    pub(super) source: &'a str,
    /// By key path.
    pub(super) overrides: BTreeMap<&'static str, Setting>,
    /// What relative paths in the file are relative to.
    pub(super) base: PathBuf,
    pub(super) faults: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// A secret that is written in the file itself.
    pub(super) inline_secret: RefCell<Option<Place>>,
    /// Paths of all keys asked for: what the server knows.
    pub(super) asked: RefCell<BTreeSet<String>>,
    /// Keys nobody asked for, judged when everything has been asked.
    strangers: RefCell<Vec<Stranger>>,
}

struct Stranger {
    place: Place,
    section: String,
    key: String,
    near: Option<String>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(
        source: &'a str,
        base: PathBuf,
        overrides: BTreeMap<&'static str, Setting>,
    ) -> Self {
        Self {
            source,
            overrides,
            base,
            faults: RefCell::default(),
            warnings: RefCell::default(),
            inline_secret: RefCell::default(),
            asked: RefCell::default(),
            strangers: RefCell::default(),
        }
    }
}

impl Sheet<'_> {
    /// Refuses the keys nobody asked for: a slip of the finger, a key in the wrong table, or
    /// neither.
    pub(super) fn refuse_strangers(&self) {
        for stranger in self.strangers.take() {
            let suggestion = stranger.near.or_else(|| self.home_of(&stranger.key));
            let message = if stranger.section.is_empty() {
                "no such table or key".to_owned()
            } else {
                format!("no such key in [{}]", stranger.section)
            };
            self.fault_with(&stranger.place, message, suggestion);
        }
    }

    /// The one table that has this key.
    fn home_of(&self, key: &str) -> Option<String> {
        let asked = self.asked.borrow();
        let mut homes = asked
            .iter()
            .filter_map(|path| path.rsplit_once('.'))
            .filter(|(_, known)| *known == key);
        let (home, _) = homes.next()?;
        homes
            .next()
            .is_none()
            .then(|| format!("`{key}` belongs in [{home}]"))
    }

    pub(super) fn fault(&self, place: &Place, message: impl Into<String>) {
        self.fault_with(place, message, None);
    }

    pub(super) fn fault_with(
        &self,
        place: &Place,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.faults.borrow_mut().push(Problem {
            key_path: place.key_path.clone(),
            line: place.line,
            message: message.into(),
            suggestion,
        });
    }

    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem {
            key_path: place.key_path.clone(),
            line: place.line,
            message: message.into(),
            suggestion: None,
        });
    }

    /// Notes that a secret is written in the file itself.
    pub(super) fn saw_secret(&self, place: &Place) {
        if place.line.is_some() {
            self.inline_secret.replace(Some(place.clone()));
        }
    }

    /// The line, counted from 1, of a byte position.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.source.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// One value and where it was given.
pub(super) struct Given<'a> {
    pub(super) place: Place,
    pub(super) raw: Raw<'a>,
}

pub(super) enum Raw<'a> {
    Toml(&'a DeValue<'a>),
    Text(String),
}

/// One table of the document. Absent tables read as empty.
pub(super) struct Section<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) const fn new(
        sheet: &'a Sheet<'a>,
        path: String,
        table: Option<&'a DeTable<'a>>,
    ) -> Self {
        Self {
            sheet,
            path,
            table,
            known: Vec::new(),
        }
    }

    /// Where `key` is or would be.
    pub(super) fn place(&self, key: &str) -> Place {
        let entry = self.table.and_then(|table| table.get_key_value(key));
        Place {
            key_path: join(&self.path, key),
            line: entry.map(|(key, _)| self.sheet.line(key.span().start)),
        }
    }

    /// The value of `key`: the override if there is one, else the file's.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Given<'a>> {
        self.ask(key);
        let path = join(&self.path, key);
        if let Some(setting) = self.sheet.overrides.get(path.as_str()) {
            return Some(Given {
                place: Place {
                    key_path: setting.name.to_owned(),
                    line: None,
                },
                raw: Raw::Text(setting.text.clone()),
            });
        }
        let value = self.table?.get(key)?;
        Some(Given {
            place: self.place(key),
            raw: Raw::Toml(value.get_ref()),
        })
    }

    /// The table under `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        self.ask(key);
        let table = self.table.and_then(|table| table.get(key));
        let table = table.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                let message = format!("must be a table, not {}", article(other.type_str()));
                self.sheet.fault(&self.place(key), message);
                None
            }
        });
        Section::new(self.sheet, join(&self.path, key), table)
    }

    /// Every table in the array of tables under `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        self.ask(key);
        let Some(value) = self.table.and_then(|table| table.get(key)) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("must be written `[[{}]]`", join(&self.path, key));
            self.sheet.fault(&self.place(key), message);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", join(&self.path, key));
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(self.sheet, path, Some(table)));
                }
                _ => self.sheet.fault(
                    &Place {
                        key_path: path,
                        line: Some(self.sheet.line(item.span().start)),
                    },
                    "must be a table",
                ),
            }
        }
        sections
    }

    /// Names and tables of a table of tables (`[backend.<name>]`), whatever the names.
    pub(super) fn named_sections(&self) -> Vec<(String, Section<'a>)> {
        let mut sections = Vec::new();
        for (name, value) in self.table.into_iter().flatten() {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let path = join(&self.path, name.get_ref());
                    let section = Section::new(self.sheet, path, Some(table));
                    sections.push((name.get_ref().to_string(), section));
                }
                other => {
                    let message = format!("must be a table, not {}", article(other.type_str()));
                    self.sheet.fault(&self.place(name.get_ref()), message);
                }
            }
        }
        sections
    }

    /// The keys nobody asked for, with their values: a plugin's own.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'a str, &'a DeValue<'a>)> {
        let known = self.known.clone();
        self.table
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()))
            .filter(move |(key, _)| !known.contains(key))
    }

    /// Notes every key nobody asked for; [`Sheet::refuse_strangers`] refuses them.
    pub(super) fn finish(self) {
        for (key, _) in self.rest() {
            self.sheet.strangers.borrow_mut().push(Stranger {
                place: self.place(key),
                section: self.path.clone(),
                key: key.to_owned(),
                near: did_you_mean(key, self.known.iter().copied()),
            });
        }
    }

    fn ask(&mut self, key: &'static str) {
        self.known.push(key);
        let path = join(&self.path, key);
        self.sheet.asked.borrow_mut().insert(path);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

pub(super) fn article(kind: &str) -> String {
    let an = matches!(kind, "integer" | "array");
    format!("{} {kind}", if an { "an" } else { "a" })
}
