//! What the file is, and what it says of itself.

use omnigent_plugin::contract::Manifest;

use super::{super::file_of, Report, Wanted};
use crate::backend::inspect;

const KNOWN: [&str; 7] = [
    "login",
    "identify",
    "revalidate",
    "directory",
    "logout",
    "health",
    "redirect",
];

/// The manifest, when there is one to go on with.
pub(super) fn cases(report: &mut Report, wanted: &Wanted) -> Option<Manifest> {
    let manifest = match inspect(&wanted.file) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.note(
                "the file is a plugin of this server",
                Err(error.to_string()),
            );
            return None;
        }
    };
    report.note("the file is a plugin of this server", Ok(()));
    report.note(
        "its name is lower-case letters, digits and dashes",
        name(&manifest.name),
    );
    let expected = file_of(std::path::Path::new(""), &manifest.name);
    let is_named = wanted.file.file_name() == expected.file_name();
    report.note(
        "its file is called after it",
        is_named.then_some(()).ok_or_else(|| {
            format!(
                "plugin = {:?} looks for {}",
                manifest.name,
                expected.display()
            )
        }),
    );
    report.note("it has a title people can read", title(&manifest.title));
    report.note("it can sign people in", capabilities(&manifest));
    report.note(
        "its configuration has a schema that refuses unknown keys",
        schema(&manifest),
    );
    Some(manifest)
}

fn name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_good = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_plain);
    is_good
        .then_some(())
        .ok_or_else(|| format!("it is {name:?}"))
}

fn title(title: &str) -> Result<(), String> {
    let is_good = !title.trim().is_empty()
        && title.chars().count() <= 64
        && !title.chars().any(char::is_control);
    is_good
        .then_some(())
        .ok_or_else(|| format!("it is {title:?}"))
}

fn capabilities(manifest: &Manifest) -> Result<(), String> {
    if let Some(unknown) = manifest
        .capabilities
        .iter()
        .find(|c| !KNOWN.contains(&c.as_str()))
    {
        return Err(format!("no server knows the capability {unknown:?}"));
    }
    if manifest.can("login") || manifest.can("identify") {
        return Ok(());
    }
    Err("it has neither Login nor Identify".into())
}

fn schema(manifest: &Manifest) -> Result<(), String> {
    let schema = &manifest.config_schema;
    if schema["additionalProperties"] == false || schema["unevaluatedProperties"] == false {
        return Ok(());
    }
    Err("add #[serde(deny_unknown_fields)] to its Config".into())
}
