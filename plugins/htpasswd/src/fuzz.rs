//! The password file under fuzzing. Not part of the plugin.

use std::{os::unix::fs::OpenOptionsExt, path::PathBuf, sync::OnceLock};

use crate::file;

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[("htpasswd", htpasswd)];

/// Stands behind each colon, where the hash or the password is.
const TYPED: &str = "q7Zx-typed-9dKw";

/// A password file. It is taken, or refused with the line and without what stands behind the colon.
pub fn htpasswd(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(people) = read(data) {
        let names = text.lines().filter_map(|line| line.split_once(':'));
        for (name, _) in names.filter(|(name, _)| !name.starts_with('#')) {
            // The name as it is written.
            let is_there = people.hash_of(name).is_some();
            assert!(is_there || name.trim().is_empty(), "{name:?}");
        }
    }
    let typed: String = text
        .lines()
        .map(|line| match line.split_once(':') {
            Some((name, hash)) => format!("{name}:{hash}{TYPED}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    if let Err(said) = read(typed.as_bytes()) {
        assert!(!said.contains(TYPED) || text.contains(TYPED), "{said}");
    }
}

fn read(data: &[u8]) -> Result<file::People, String> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let name = format!("omnigent-fuzz-{}-htpasswd", std::process::id());
        std::env::temp_dir().join(name)
    });
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, data));
    assert!(written.is_ok(), "no file");
    let people = file::read(path, None);
    let _ = std::fs::remove_file(path);
    people
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
