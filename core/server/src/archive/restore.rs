//! Bringing an archive back into a data directory, and making a store's files anew.
//!
//! Everything is prepared in `.restoring` inside the directory (which may be a mount point, so it
//! cannot itself be replaced): the store is filled, closed, opened again and proven. Only then it
//! is moved into its place. While `.restoring` is there a server refuses to start.
//!
//! **Invariants:** nothing that was there is deleted, only moved aside; an archive that turns out
//! bad leaves what was there as it was; a crash or a failure at any point leaves a directory that is
//! not served or one that is whole.

use std::{
    fs::{self, File},
    io::{self, BufRead},
    mem::ManuallyDrop,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{ArchiveError, Head, Kind, Summary, Visitor, read, stays::stays, trail};
use crate::{
    backend,
    clock::Timestamp,
    login::{self, EndedAll},
    secret::Secret,
    store::{self, Filler, Options, Portable, Store},
    token::{KeySettings, Keyring, keycopy},
};

const STAGE: &str = ".restoring";
const COMPACTING: &str = ".compacting";
const ASIDE: &str = "before-restore-";
const STORE: &str = "store";

/// How an archive is brought back.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// What it must be.
    pub kind: Kind,
    /// Moves aside what is in the directory, instead of refusing.
    pub replace: bool,
    /// Ends every login and API token: those in the archive by name, and with new signing keys all
    /// that were made since.
    pub end_logins: bool,
    /// The present.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// What was in the archive.
    pub summary: Summary,
    /// Where what was there before is now.
    pub aside: Option<PathBuf>,
    /// How many records of an export were not taken, for they are of the installation it is from.
    pub left_out: u64,
    /// What was ended, if it was asked for.
    pub ended: Option<EndedAll>,
    /// A new keyring was made, because an export has none and there was none.
    pub new_keyring: bool,
}

/// Refuses a data directory in which a restore was interrupted.
///
/// # Errors
/// [`ArchiveError::Unfinished`].
pub fn refuse_unfinished(data_dir: &Path) -> Result<(), ArchiveError> {
    match fs::symlink_metadata(data_dir.join(STAGE)) {
        Ok(_) => Err(ArchiveError::Unfinished(data_dir.into())),
        Err(_) => Ok(()),
    }
}

/// Reads an archive into `data_dir`. Blocks.
///
/// # Errors
/// [`ArchiveError`]: then what was in the directory is as it was.
pub fn restore(input: impl BufRead, data_dir: &Path, how: &How) -> Result<Restored, ArchiveError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| ArchiveError::Io(path, error)
    };
    make_private(data_dir).map_err(at(data_dir))?;
    let has_keyring = data_dir.join(keycopy::NAME).exists();
    let keeps_keyring = how.kind == Kind::Export && has_keyring;
    if !how.replace {
        let in_the_way = entries(data_dir, keeps_keyring).map_err(at(data_dir))?;
        if !in_the_way.is_empty() {
            refuse_unfinished(data_dir)?;
            return Err(ArchiveError::NotEmpty(data_dir.into()));
        }
    }
    // Held to the end: no server starts on what is about to be moved.
    let _claim = claim(&data_dir.join(STORE), data_dir)?;
    let stage = Stage::begin(data_dir.join(STAGE)).map_err(at(data_dir))?;
    let new_keyring = how.kind == Kind::Export && !keeps_keyring;
    if new_keyring {
        Keyring::load_or_create(&stage.0, &KeySettings::default(), how.now)?;
    }
    let keys = match keeps_keyring {
        true => data_dir,
        false => &stage.0,
    };
    let (summary, left_out, ended) = fill(input, &stage.0, keys, how)?;
    sync(&stage.0).map_err(at(&stage.0))?;
    let there = entries(data_dir, keeps_keyring).map_err(at(data_dir))?;
    // From here on what is there may be half of each: whatever fails, it is not served until a restore is
    // done.
    let stage = ManuallyDrop::new(stage);
    let aside = match there {
        there if there.is_empty() => None,
        there => Some(move_aside(data_dir, &there, how.now).map_err(at(data_dir))?),
    };
    for name in [STORE, keycopy::NAME] {
        let (from, to) = (stage.0.join(name), data_dir.join(name));
        if from.exists() {
            fs::rename(&from, &to).map_err(at(&to))?;
        }
    }
    sync(data_dir).map_err(at(data_dir))?;
    let stage = ManuallyDrop::into_inner(stage);
    stage.end().map_err(at(data_dir))?;
    sync(data_dir).map_err(at(data_dir))?;
    Ok(Restored {
        summary,
        aside,
        left_out,
        ended,
        new_keyring,
    })
}

/// Fills a store in `stage`, notes in its trail that it was, and proves it. Its keyring is in `keys`. Says how many records
/// were left out, too.
fn fill(
    input: impl BufRead,
    stage: &Path,
    keys: &Path,
    how: &How,
) -> Result<(Summary, u64, Option<EndedAll>), ArchiveError> {
    struct Into<'s> {
        stage: &'s Path,
        how: &'s How,
        filler: Filler<'s>,
        left_out: u64,
    }
    impl Visitor for Into<'_> {
        fn head(&mut self, head: &Head) -> Result<(), ArchiveError> {
            match (self.how.kind, head.omnigent) {
                (Kind::Backup, Kind::Export) => Err(ArchiveError::WrongKind(
                    Kind::Export,
                    "it has no keyring; use `omnigent data import`",
                )),
                (Kind::Export, Kind::Backup) => Err(ArchiveError::WrongKind(
                    Kind::Backup,
                    "it holds the keyring too; use `omnigent restore`",
                )),
                _ => Ok(()),
            }
        }
        fn keyring(&mut self, keyring: &Secret<Vec<u8>>) -> Result<(), ArchiveError> {
            let keep = !self.how.end_logins;
            Ok(keycopy::copy_in(self.stage, keyring.expose(), keep)?)
        }
        fn record(&mut self, record: Portable) -> Result<(), ArchiveError> {
            if self.how.kind == Kind::Export && stays(record.table(), record.key()) {
                self.left_out += 1;
                return Ok(());
            }
            Ok(self.filler.put(record)?)
        }
    }
    let folder = stage.join(STORE);
    let new = Store::open(&folder, &Options::default())?;
    let mut visitor = Into {
        stage,
        how,
        filler: Filler::new(&new)?,
        left_out: 0,
    };
    let summary = read(input, &mut visitor)?;
    let left_out = visitor.left_out;
    visitor.filler.finish(summary.initialised)?;
    if how.kind == Kind::Export {
        backend::count_anew(&new)?;
    }
    let ended = match how.end_logins {
        true => Some(login::end_everything(&new)?),
        false => None,
    };
    let entry = trail::brought_back(&summary, left_out, ended.as_ref());
    trail::note(&new, keys, entry, how.now)?;
    new.close();
    prove(&folder)?;
    Ok((summary, left_out, ended))
}

/// Opens a store that was just closed and proves every record of it.
fn prove(folder: &Path) -> Result<(), ArchiveError> {
    store::wait_released(folder)?;
    let options = Options {
        prove: Duration::from_secs(24 * 3600),
        ..Options::default()
    };
    Store::open(folder, &options)?.close();
    Ok(store::wait_released(folder)?)
}

/// What making the files anew came to, in bytes of disk.
#[derive(Clone, Copy, Debug)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// How many records there are.
    pub records: u64,
}

/// Makes the files of the store in `data_dir` anew, with nothing in them but what counts, and puts
/// them in the place of the old ones in one step. Blocks.
///
/// # Errors
/// [`ArchiveError`]: then nothing has changed.
pub fn compact(data_dir: &Path) -> Result<Compacted, ArchiveError> {
    refuse_unfinished(data_dir)?;
    let old = data_dir.join(STORE);
    let at = |error| ArchiveError::Io(data_dir.into(), error);
    let stage = Stage::begin(data_dir.join(COMPACTING)).map_err(at)?;
    let new = stage.0.join(STORE);
    let from = Store::open(&old, &Options::default())?;
    let into = Store::open(&new, &Options::default())?;
    let before = from.stats().disk;
    let records = store::copy(&from, &into)?;
    into.close();
    from.close();
    prove(&new)?;
    store::wait_released(&old)?;
    // Nobody wrote since the copy was made, and nobody starts until the new one is in place.
    let claim = claim(&old, data_dir)?;
    sync(&stage.0).map_err(at)?;
    renameat_with(CWD, &new, CWD, &old, RenameFlags::EXCHANGE).map_err(|error| at(error.into()))?;
    sync(data_dir).map_err(at)?;
    drop(claim);
    stage.end().map_err(at)?;
    let after = store::disk(&old);
    Ok(Compacted {
        before,
        after,
        records,
    })
}

/// The folder in which a store is prepared; gone again when it comes to nothing.
struct Stage(PathBuf);

impl Stage {
    fn begin(path: PathBuf) -> io::Result<Self> {
        // Ours from an attempt that was interrupted, and never anything that was in use.
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let parent = path.parent().map_or(Ok(()), sync);
        parent.map(|()| Self(path))
    }

    fn end(self) -> io::Result<()> {
        fs::remove_dir_all(&self.0)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn claim(store: &Path, data_dir: &Path) -> Result<Option<store::Claim>, ArchiveError> {
    match store::claim(store) {
        Err(store::OpenError::Locked(_)) => Err(ArchiveError::InUse(data_dir.into())),
        other => Ok(other?),
    }
}

/// What is in the directory and in the way.
fn entries(data_dir: &Path, keeps_keyring: bool) -> io::Result<Vec<PathBuf>> {
    let mut there = Vec::new();
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let is_ours = text == STAGE || text.starts_with(ASIDE) || text == COMPACTING;
        let stays = text == "lost+found" || (keeps_keyring && text == keycopy::NAME);
        if !is_ours && !stays {
            there.push(data_dir.join(name));
        }
    }
    Ok(there)
}

fn move_aside(data_dir: &Path, there: &[PathBuf], now: Timestamp) -> io::Result<PathBuf> {
    let aside = data_dir.join(format!("{ASIDE}{}", now.millis()));
    fs::DirBuilder::new().mode(0o700).create(&aside)?;
    for path in there {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, aside.join(name))?;
    }
    sync(&aside)?;
    Ok(aside)
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
