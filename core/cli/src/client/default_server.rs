//! The server that is meant when none is named: `server` in `~/.omnigent/config.yaml`, where the
//! original keeps it (`$OMNIGENT_CONFIG_HOME` in place of `~/.omnigent`).
//!
//! The file is the original's and holds more than we know, so it is changed by the line and never
//! read as a whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Address, vault::disk::Dir};
use crate::failure::Failure;

const FILE: &str = "config.yaml";

/// The default server, if there is one.
pub(crate) fn get() -> Option<Address> {
    let text = fs::read_to_string(path()?).ok()?;
    let value = text.lines().find_map(value)?;
    Address::parse(value).ok()
}

/// Makes `server` the default.
pub(crate) fn set(server: &Address) -> Result<(), Failure> {
    let path = path().ok_or_else(|| Failure::Failed("there is no home directory".into()))?;
    put(&path, server).map_err(|error| {
        Failure::Failed(format!(
            "cannot remember {server} as the default server in {}: {error}",
            path.display()
        ))
    })
}

fn path() -> Option<PathBuf> {
    if let Some(dir) = set_variable("OMNIGENT_CONFIG_HOME") {
        return Some(Path::new(&dir).join(FILE));
    }
    Some(
        Path::new(&set_variable("HOME")?)
            .join(".omnigent")
            .join(FILE),
    )
}

/// A variable; empty counts as unset.
pub(crate) fn set_variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn put(path: &Path, server: &Address) -> std::io::Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let first = old.lines().find(|line| is_content(line));
    if first.is_some_and(|line| line.starts_with(['{', '[', '%', '-'])) {
        return Err(std::io::Error::other(
            "it is not written one key a line; add `server:` by hand",
        ));
    }
    let line = format!("server: {}", server.key());
    let mut new = String::new();
    let mut is_there = false;
    for old in old.lines() {
        let is_it = value(old).is_some();
        if is_it && is_there {
            continue;
        }
        new.push_str(if is_it { &line } else { old });
        new.push('\n');
        is_there |= is_it;
    }
    if !is_there {
        new.push_str(&line);
        new.push('\n');
    }
    if new == old {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let dir = Dir::make(dir).map_err(std::io::Error::other)?;
    dir.replace(FILE, new.as_bytes())
        .map_err(std::io::Error::other)
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The value in a line `server: value`.
fn value(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("server:")?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let value = rest.split(" #").next().unwrap_or_default().trim();
    Some(value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_line_changes_and_the_rest_of_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let server = Address::parse("https://b.example").unwrap();
        for (before, after) in [
            ("", "server: https://b.example\n"),
            (
                "# mine\nserver: 'https://a.example' # old\nproviders:\n  server: x\n",
                "# mine\nserver: https://b.example\nproviders:\n  server: x\n",
            ),
            (
                "auth:\n  type: x",
                "auth:\n  type: x\nserver: https://b.example\n",
            ),
        ] {
            fs::write(&path, before).unwrap();
            put(&path, &server).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[test]
    fn a_file_in_another_style_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "{server: https://a.example}\n").unwrap();
        let server = Address::parse("https://b.example").unwrap();
        assert!(put(&path, &server).is_err());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{server: https://a.example}\n"
        );
    }
}
