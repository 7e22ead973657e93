//! Reading a TOML document key by key, gathering every fault.
//!
//! Owns: the raw TOML values, which never leave `config/`. A [`Section`] hands out typed values,
//! remembers which keys were asked for, and [`Section::finish`] refuses all others.
//!
//! **Invariant:** reading never stops at a fault; the value read is then the default, and the
//! whole configuration is refused at the end.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{
    Problem,
    problem::did_you_mean,
    value::{duration, show_size, size},
};
use crate::secret::Secret;

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
}

impl Sheet<'_> {
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

    /// The line, counted from 1, of a byte position.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.source.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// One value and where it was given.
pub(super) struct Given<'a> {
    pub(super) place: Place,
    raw: Raw<'a>,
}

enum Raw<'a> {
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
        self.known.push(key);
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
        self.known.push(key);
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
        self.known.push(key);
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

    /// Refuses every key nobody asked for, with the nearest one somebody did.
    pub(super) fn finish(self) {
        for (key, _) in self.rest() {
            let what = if self.path.is_empty() {
                "no such table or key".to_owned()
            } else {
                format!("no such key in [{}]", self.path)
            };
            let suggestion = did_you_mean(key, self.known.iter().copied());
            self.sheet.fault_with(&self.place(key), what, suggestion);
        }
    }

    // === typed values ===

    pub(super) fn text(&mut self, key: &'static str) -> Option<(Place, String)> {
        let given = self.take(key)?;
        let text = self.sheet.text_of(&given)?;
        if text.trim().is_empty() {
            self.sheet.fault(&given.place, "must not be empty");
            return None;
        }
        Some((given.place, text))
    }

    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (place, text) = self.text(key)?;
        self.sheet.accept(&place, &text, parse(&text))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        let Some((place, text)) = self.text(key) else {
            return default;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let names: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let suggestion = did_you_mean(&text, words.iter().map(|(word, _)| *word));
        let message = format!("{} must be {}", quote(&text), names.join(" or "));
        self.sheet.fault_with(&place, message, suggestion);
        default
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some(given) = self.take(key) else {
            return default;
        };
        match &given.raw {
            Raw::Toml(DeValue::Boolean(value)) => return *value,
            Raw::Text(text) => match switch(text) {
                Some(value) => return value,
                None => self.sheet.fault(&given.place, "must be true or false"),
            },
            Raw::Toml(_) => self
                .sheet
                .fault(&given.place, "must be true or false, without quotes"),
        }
        default
    }

    pub(super) fn integer(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(given) = self.take(key) else {
            return default;
        };
        let value = match &given.raw {
            Raw::Toml(DeValue::Integer(value)) => {
                i128::from_str_radix(value.as_str(), value.radix()).ok()
            }
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(_) => None,
        };
        let Some(value) = value else {
            self.sheet.fault(&given.place, "must be a whole number");
            return default;
        };
        match u64::try_from(value)
            .ok()
            .filter(|value| range.contains(value))
        {
            Some(value) => value,
            None => {
                self.out_of_range(&given.place, range.start(), range.end());
                default
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(given) = self.take(key) else {
            return default;
        };
        if matches!(given.raw, Raw::Toml(DeValue::Integer(_))) {
            let message = "needs a unit, in quotes: \"30s\", \"8h\" or \"30d\"";
            self.sheet.fault(&given.place, message);
            return default;
        }
        let Some(text) = self.sheet.text_of(&given) else {
            return default;
        };
        let Some(value) = self.sheet.accept(&given.place, &text, duration(&text)) else {
            return default;
        };
        if !range.contains(&value) {
            let show = |limit: &Duration| humantime::format_duration(*limit).to_string();
            self.out_of_range(&given.place, show(range.start()), show(range.end()));
            return default;
        }
        value
    }

    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(given) = self.take(key) else {
            return default;
        };
        if matches!(given.raw, Raw::Toml(DeValue::Integer(_))) {
            let message = "needs a unit, in quotes: \"19MiB\" or \"64KiB\"";
            self.sheet.fault(&given.place, message);
            return default;
        }
        let Some(text) = self.sheet.text_of(&given) else {
            return default;
        };
        let Some(value) = self.sheet.accept(&given.place, &text, size(&text)) else {
            return default;
        };
        if !range.contains(&value) {
            let limits = (show_size(*range.start()), show_size(*range.end()));
            self.out_of_range(&given.place, limits.0, limits.1);
            return default;
        }
        value
    }

    fn out_of_range(&self, place: &Place, least: impl Display, most: impl Display) {
        self.sheet
            .fault(place, format!("must be between {least} and {most}"));
    }

    /// A path made absolute: the file's are relative to the file's directory, all others to the
    /// working directory.
    pub(super) fn path(&mut self, key: &'static str) -> Option<(Place, PathBuf)> {
        let (place, text) = self.text(key)?;
        if text.contains('\0') {
            self.sheet.fault(&place, "must not contain a zero byte");
            return None;
        }
        let path = match place.line {
            Some(_) => self.sheet.base.join(&text),
            None => PathBuf::from(&text),
        };
        match std::path::absolute(&path) {
            Ok(path) => Some((place, path)),
            Err(error) => {
                self.sheet.fault(&place, error.to_string());
                None
            }
        }
    }

    /// A list of texts; from the environment, separated by commas.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<(Place, String)>> {
        let given = self.take(key)?;
        let items = match &given.raw {
            Raw::Text(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| (given.place.clone(), item.to_owned()))
                .collect(),
            Raw::Toml(DeValue::Array(array)) => {
                let mut items = Vec::new();
                for (index, item) in array.iter().enumerate() {
                    let place = Place {
                        key_path: format!("{}[{index}]", given.place.key_path),
                        line: Some(self.sheet.line(item.span().start)),
                    };
                    match item.get_ref() {
                        DeValue::String(text) if !text.trim().is_empty() => {
                            items.push((place, text.to_string()));
                        }
                        _ => self.sheet.fault(&place, "must be a text, not empty"),
                    }
                }
                items
            }
            Raw::Toml(_) => {
                let message = "must be a list of texts, such as [\"one\", \"two\"]";
                self.sheet.fault(&given.place, message);
                return None;
            }
        };
        Some(items)
    }

    /// A list parsed item by item; items at fault are reported and left out.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.list(key)?;
        let accept =
            |(place, text): (Place, String)| self.sheet.accept(&place, &text, parse(&text));
        Some(items.into_iter().filter_map(accept).collect())
    }

    /// A secret given as `key` or as the file named by `key_file`, never both. An override of
    /// either replaces both.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        key_file: &'static str,
    ) -> Option<(Place, Secret<String>)> {
        let inline = self.secret_text(key);
        let file = self.path(key_file);
        match (inline, file) {
            (Some((place, _)), Some(_)) if place.line.is_some() => {
                let message = format!("`{key}` and `{key_file}` are both given; keep one");
                self.sheet.fault(&place, message);
                None
            }
            (Some(inline), _) => Some(inline),
            (None, Some((place, path))) => match read_private(&path) {
                Ok(secret) => Some((place, secret)),
                Err(message) => {
                    self.sheet.fault(&place, message);
                    None
                }
            },
            (None, None) => None,
        }
    }

    // A secret's value must not reach a message, so it does not go through `text`.
    fn secret_text(&mut self, key: &'static str) -> Option<(Place, Secret<String>)> {
        let given = self.take(key)?;
        let text = match given.raw {
            Raw::Toml(DeValue::String(text)) => text.to_string(),
            Raw::Text(text) => text,
            Raw::Toml(_) => {
                self.sheet.fault(&given.place, "must be a text in quotes");
                return None;
            }
        };
        if text.is_empty() {
            self.sheet.fault(&given.place, "must not be empty");
            return None;
        }
        Some((given.place, Secret::new(text)))
    }
}

impl Sheet<'_> {
    fn text_of(&self, given: &Given<'_>) -> Option<String> {
        match &given.raw {
            Raw::Toml(DeValue::String(text)) => Some(text.to_string()),
            Raw::Text(text) => Some(text.clone()),
            Raw::Toml(other) => {
                let message = format!(
                    "must be a text in quotes, not {}",
                    article(other.type_str())
                );
                self.fault(&given.place, message);
                None
            }
        }
    }

    /// The parsed value, or a fault that quotes the text. Not for secrets.
    pub(super) fn accept<T>(
        &self,
        place: &Place,
        text: &str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed
            .map_err(|message| self.fault(place, format!("{} {message}", quote(text))))
            .ok()
    }
}

/// `1|true|yes|on` and their opposites.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The text of a file only its owner may read, without the newline at its end.
pub(super) fn read_private(path: &Path) -> Result<Secret<String>, String> {
    use std::{io::Read, os::unix::fs::MetadataExt};

    let show = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read {show}: {error}"))?;
    let meta = file
        .metadata()
        .map_err(|error| format!("cannot read {show}: {error}"))?;
    if !meta.is_file() {
        return Err(format!("{show} is not a regular file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(format!("others may read {show}: run chmod 600 on it"));
    }
    let mut text = String::new();
    file.take(64 << 10)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read {show}: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("{show} is empty"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn article(kind: &str) -> String {
    let an = matches!(kind, "integer" | "array");
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// The text as a person would recognise it, cut when long, control characters escaped.
pub(super) fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}
