//! The password file and the group file, read again when they change.
//!
//! **Invariant:** a file that cannot be read, or holds a line that is not understood, changes
//! nothing: the last good state goes on, and the trouble is told.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use omnigent_plugin::prelude::*;

use crate::hash::Hash;

/// Largest file read, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// Who there is.
#[derive(Debug, Default)]
pub(crate) struct People {
    hashes: HashMap<String, Hash>,
    groups: HashMap<String, Vec<String>>,
}

impl People {
    pub(crate) fn hash_of(&self, name: &str) -> Option<&Hash> {
        self.hashes.get(name)
    }

    /// Some hash, to work on for a name that is not there.
    pub(crate) fn any_hash(&self) -> Option<&Hash> {
        self.hashes.values().next()
    }

    pub(crate) fn groups_of(&self, name: &str) -> Vec<String> {
        self.groups.get(name).cloned().unwrap_or_default()
    }
}

/// What tells one state of a file from another.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

#[derive(Debug)]
struct Seen {
    people: Arc<People>,
    stamps: [Stamp; 2],
    trouble: Option<String>,
}

/// The files, and what was read of them.
#[derive(Debug)]
pub(crate) struct Watched {
    file: PathBuf,
    groups_file: Option<PathBuf>,
    seen: Mutex<Seen>,
}

impl Watched {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// What is wrong with them, with the line.
    pub(crate) fn open(file: PathBuf, groups_file: Option<PathBuf>) -> Result<Self, String> {
        for path in [Some(&file), groups_file.as_ref()].into_iter().flatten() {
            if !path.is_absolute() {
                return Err(format!("{} is not an absolute path", path.display()));
            }
        }
        let stamps = [stamp(Some(&file)), stamp(groups_file.as_deref())];
        let people = Arc::new(read(&file, groups_file.as_deref())?);
        let seen = Mutex::new(Seen {
            people,
            stamps,
            trouble: None,
        });
        Ok(Self {
            file,
            groups_file,
            seen,
        })
    }

    /// Who there is now. Looks whether the files have changed.
    pub(crate) fn current(&self, host: &Host) -> Arc<People> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = [stamp(Some(&self.file)), stamp(self.groups_file.as_deref())];
        if stamps != seen.stamps {
            seen.stamps = stamps;
            seen.trouble = match read(&self.file, self.groups_file.as_deref()) {
                Ok(people) => {
                    seen.people = Arc::new(people);
                    host.log(Level::Info, "the password file was read again");
                    None
                }
                Err(trouble) => {
                    let message = format!("the last good state goes on: {trouble}");
                    host.log(Level::Error, &message);
                    Some(trouble)
                }
            };
        }
        Arc::clone(&seen.people)
    }

    /// What is wrong with the files, if their last good state goes on.
    pub(crate) fn trouble(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.trouble.clone()
    }
}

fn stamp(path: Option<&Path>) -> Stamp {
    let about = fs::metadata(path?).ok()?;
    let (changed, nanos) = (about.ctime(), about.ctime_nsec());
    Some((about.dev(), about.ino(), changed, nanos, about.len()))
}

pub(crate) fn read(file: &Path, groups_file: Option<&Path>) -> Result<People, String> {
    let mut people = People::default();
    for (number, line) in lines(&text(file)?) {
        let at = |what: &str| format!("{}:{number}: {what}", file.display());
        let (name, hash) = line
            .split_once(':')
            .ok_or_else(|| at("not a line `name:hash`"))?;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(at("not a name"));
        }
        let hash = Hash::parse(hash).map_err(|why| at(&why))?;
        if people.hashes.insert(name.to_owned(), hash).is_some() {
            return Err(at("this name is there twice"));
        }
    }
    let Some(file) = groups_file else {
        return Ok(people);
    };
    for (number, line) in lines(&text(file)?) {
        let (group, names) = line
            .split_once(':')
            .ok_or_else(|| format!("{}:{number}: not a line `group: name name`", file.display()))?;
        for name in names.split_whitespace() {
            let groups = people.groups.entry(name.to_owned()).or_default();
            groups.push(group.trim().to_owned());
        }
    }
    Ok(people)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(i, line)| (i + 1, line.trim_end_matches('\r')))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

fn text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let about = fs::metadata(path).map_err(failed)?;
    if about.mode() & 0o002 != 0 {
        let path = path.display();
        return Err(format!(
            "{path}: everybody may write to it; run chmod o-w on it"
        ));
    }
    if !about.is_file() || about.len() > MAX_SIZE {
        return Err(format!(
            "{}: not a file, or larger than 64 MiB",
            path.display()
        ));
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HASH: &str = "$5$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8";

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("people");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_is_read_with_its_groups() {
        let (dir, path) = written(&format!("# staff\n\nada:{}\r\nbob:{}\n", HASH, HASH));
        let groups = dir.path().join("groups");
        fs::write(&groups, "ops: ada\nstaff: ada bob\n").unwrap();
        let people = read(&path, Some(&groups)).unwrap();
        assert!(people.hash_of("ada").is_some() && people.hash_of("Ada").is_none());
        assert_eq!(people.groups_of("ada"), ["ops", "staff"]);
        assert_eq!(people.groups_of("bob"), ["staff"]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_told_with_its_number() {
        for (line, word) in [
            ("carol", "name:hash"),
            (":x", "not a name"),
            ("carol:hunter2", "clear"),
            ("carol:{SHA}x", "SHA-1"),
        ] {
            let (_dir, path) = written(&format!("ada:{}\n{line}\n", HASH));
            let refused = read(&path, None).unwrap_err();
            assert!(
                refused.contains(":2: ") && refused.contains(word),
                "{refused}"
            );
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let (_dir, path) = written(&format!("ada:{}\nada:{}\n", HASH, HASH));
        assert!(read(&path, None).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_file_everybody_may_write_is_not_read() {
        let (_dir, path) = written(&format!("ada:{}\n", HASH));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&path, None).unwrap_err().contains("chmod o-w"));
        assert!(Watched::open("relative".into(), None).is_err());
        assert!(Watched::open("/nowhere/at/all".into(), None).is_err());
    }
}
