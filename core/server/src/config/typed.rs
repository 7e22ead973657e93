//! Typed values of a [`Section`]: each is right, or a fault is noted and the default stands in.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, time::Duration};

use toml::de::DeValue;

use super::{
    problem::did_you_mean,
    sheet::{Given, Place, Raw, Section, Sheet, article},
    value::{duration, show_size, size},
};
use crate::{secret::Secret, secret_file::read_private};

impl Section<'_> {
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

    /// A number from 0 to 1.
    pub(super) fn ratio(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(given) = self.take(key) else {
            return default;
        };
        let value: Option<f64> = match &given.raw {
            Raw::Toml(DeValue::Float(value)) => value.as_str().parse().ok(),
            Raw::Toml(DeValue::Integer(value)) => value.as_str().parse().ok(),
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(_) => None,
        };
        match value.filter(|value| (0.0..=1.0).contains(value)) {
            Some(value) => value,
            None => {
                let message = "must be a number from 0 to 1, such as 0.1";
                self.sheet.fault(&given.place, message);
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

    /// A list of whole numbers; from the environment, separated by commas.
    pub(super) fn integers(&mut self, key: &'static str) -> Vec<u32> {
        let Some(given) = self.take(key) else {
            return Vec::new();
        };
        let items: Option<Vec<u32>> = match &given.raw {
            Raw::Text(text) => text
                .split(',')
                .map(|item| item.trim().parse().ok())
                .collect(),
            Raw::Toml(DeValue::Array(array)) => array
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::Integer(value) => {
                        u32::from_str_radix(value.as_str(), value.radix()).ok()
                    }
                    _ => None,
                })
                .collect(),
            Raw::Toml(_) => None,
        };
        items.unwrap_or_else(|| {
            let message = "must be a list of whole numbers, such as [33, 1000]";
            self.sheet.fault(&given.place, message);
            Vec::new()
        })
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
        self.sheet.saw_secret(&given.place);
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

/// The text as a person would recognise it, cut when long, control characters escaped.
pub(super) fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}
