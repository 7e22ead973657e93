//! The password file under fuzzing. Not part of the plugin.

use std::{os::unix::fs::OpenOptionsExt, path::PathBuf, sync::OnceLock};

use crate::file;

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[("htpasswd", htpasswd)];

/// A password file. It is taken, or refused with the line and without what stands behind the colon.
pub fn htpasswd(data: &[u8]) {
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
    let text = String::from_utf8_lossy(data);
    let pairs = || text.lines().filter_map(|line| line.split_once(':'));
    match file::read(path, None) {
        Ok(people) => {
            for (name, _) in pairs().filter(|(name, _)| !name.starts_with('#')) {
                // The name as it is written, and nobody else.
                assert!(
                    people.hash_of(name).is_some() || name.trim().is_empty(),
                    "{name:?}"
                );
            }
            assert!(people.any_hash().is_some() || pairs().count() == 0 || text.contains('#'));
        }
        Err(said) => {
            let said = said.replace(&path.display().to_string(), "");
            for (_, hash) in pairs().filter(|(_, hash)| hash.len() >= 12) {
                assert!(!said.contains(hash), "{said}");
            }
        }
    }
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
