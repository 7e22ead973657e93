//! Opening: locks, looks, proves, refuses.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use rustix::fs::FlockOperation;

use super::{
    engine::{self, DATA, Engine},
    error::OpenError,
    highwater::{self, HighWater, Mark},
    ledger::{Ledger, SCHEMA},
    tx::Overlay,
    verify::Verified,
};
use crate::clock::{Clock, Timestamp};

/// An open store: the proven database, its books, and the high-water file.
pub(super) struct Opened {
    pub(super) data: Verified,
    pub(super) ledger: Ledger,
    pub(super) high_water: HighWater,
    /// Whether all is proven already.
    pub(super) proven: bool,
    /// Bytes of the data file.
    pub(super) size: u64,
}

/// Opens the store in `dir`, making it when there is none, and proves what it can within `budget`.
pub(super) fn open(dir: &Path, cache: u64, budget: Duration) -> Result<Opened, OpenError> {
    let io = |error: std::io::Error| OpenError::Io {
        dir: dir.into(),
        cause: error.to_string(),
    };
    // The engine panics, which would be told as damage.
    if Clock::system().now() == Timestamp::default() {
        return Err(OpenError::Clock);
    }
    make_private(dir).map_err(io)?;
    let mut high_water = high_water(dir)?;
    let mark = high_water.last();
    if mark.schema > SCHEMA {
        return Err(OpenError::Newer {
            dir: dir.into(),
            found: mark.schema,
            known: SCHEMA,
        });
    }
    let size = fs::metadata(dir.join(DATA)).map_or(0, |meta| meta.len());
    if size == 0 && (mark.sequence > 0 || mark.initialised) {
        return Err(OpenError::Emptied {
            dir: dir.into(),
            known: mark.sequence,
        });
    }
    let (data, ledger, proven) = match attempt(dir, cache, budget, mark) {
        // The engine's snapshot may be the damaged part; without it the engine reads its whole log.
        Err(refusal @ (OpenError::Damaged { .. } | OpenError::RolledBack { .. })) => {
            if !Engine::delete_snapshots(dir) {
                return Err(refusal);
            }
            attempt(dir, cache, budget, mark)?
        }
        other => other?,
    };
    if ledger.mark != mark {
        high_water.advance(ledger.mark).map_err(io)?;
    }
    close_files(dir).map_err(io)?;
    let size = data.engine.size();
    Ok(Opened {
        data,
        ledger,
        high_water,
        proven,
        size,
    })
}

/// Opens the database and holds it against the high-water file and its own books.
fn attempt(
    dir: &Path,
    cache: u64,
    budget: Duration,
    mark: Mark,
) -> Result<(Verified, Ledger, bool), OpenError> {
    let damaged = |what: String| OpenError::Damaged {
        dir: dir.into(),
        what,
    };
    let engine = Engine::reopen(dir, cache).map_err(|fault| match fault {
        engine::Fault::Locked => OpenError::Locked(dir.into()),
        engine::Fault::Unreadable(cause) => {
            damaged(format!("the storage engine cannot read it: {cause}"))
        }
    })?;
    let mut entries = Vec::new();
    engine
        .scan(vec![0]..vec![1], |key, bytes| {
            entries.push((key.to_vec(), bytes.to_vec()));
            true
        })
        .map_err(|error| damaged(error.to_string()))?;
    let ledger = match Ledger::load(entries.into_iter()) {
        Ok(Some(ledger)) => ledger,
        Ok(None) if mark.sequence > 0 => {
            return Err(OpenError::Emptied {
                dir: dir.into(),
                known: mark.sequence,
            });
        }
        Ok(None) => first_group(&engine).map_err(|error| damaged(error.to_string()))?,
        Err(what) => return Err(damaged(what.into())),
    };
    let found = ledger.mark;
    if found.schema > SCHEMA {
        return Err(OpenError::Newer {
            dir: dir.into(),
            found: found.schema,
            known: SCHEMA,
        });
    }
    if found.sequence < mark.sequence {
        return Err(OpenError::RolledBack {
            dir: dir.into(),
            found: found.sequence,
            known: mark.sequence,
        });
    }
    if found.sequence == mark.sequence && found != mark || mark.initialised && !found.initialised {
        return Err(damaged(
            "the database and the high-water file disagree".into(),
        ));
    }
    let expected: BTreeMap<_, _> = ledger
        .tallies
        .iter()
        .map(|(id, (tally, _))| (*id, *tally))
        .collect();
    let data = Verified::new(engine, dir.into(), expected);
    match data.prove_for(budget) {
        Ok(proven) => Ok((data, ledger, proven)),
        Err(error) => Err(match data.damage().borrow().as_deref() {
            Some(refusal) => refusal.clone(),
            None => damaged(error.to_string()),
        }),
    }
}

/// Gives a new database its first books: from now on their absence is damage.
fn first_group(engine: &Engine) -> Result<Ledger, super::StoreError> {
    let mut ledger = Ledger::default();
    let staged = ledger.stage(&Overlay::new(), false);
    engine.apply(staged.records.iter().cloned())?;
    engine.sync()?;
    ledger.adopt(staged);
    Ok(ledger)
}

fn high_water(dir: &Path) -> Result<HighWater, OpenError> {
    let exists = HighWater::path(dir).exists();
    let used = ["db", "conf", "blobs"]
        .iter()
        .any(|name| dir.join(name).exists());
    if !exists && used {
        return Err(OpenError::NoHighWater { dir: dir.into() });
    }
    HighWater::open(dir, !used).map_err(|fault| match fault {
        highwater::Fault::Locked => OpenError::Locked(dir.into()),
        highwater::Fault::Damaged => OpenError::Damaged {
            dir: dir.into(),
            what: "the file high-water cannot be read".into(),
        },
        highwater::Fault::Io(error) => OpenError::Io {
            dir: dir.into(),
            cause: error.to_string(),
        },
    })
}

/// Nobody opens the store in this folder while it lives.
#[derive(Debug)]
pub struct Claim {
    _file: fs::File,
}

/// Keeps everybody from opening the store in `dir`; nothing when there is none.
///
/// # Errors
/// [`OpenError::Locked`] when somebody has it open; [`OpenError::Io`].
pub fn claim(dir: &Path) -> Result<Option<Claim>, OpenError> {
    let io = |error: std::io::Error| OpenError::Io {
        dir: dir.into(),
        cause: error.to_string(),
    };
    let file = match fs::File::open(HighWater::path(dir)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Claim { _file: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(dir.into())),
        Err(error) => Err(io(error.into())),
    }
}

/// Waits a little until this process has let go of a store that it closed: then its folder can be
/// moved.
///
/// # Errors
/// [`OpenError::Locked`].
pub fn wait_released(dir: &Path) -> Result<(), OpenError> {
    for _ in 0..300 {
        let Ok(file) = fs::File::open(dir.join(DATA)) else {
            return Ok(());
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
            _ => return Ok(()),
        }
    }
    Err(OpenError::Locked(dir.into()))
}

/// Makes the directory, for its owner only.
fn make_private(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Closes the engine's files to everybody but their owner, and makes their names durable.
fn close_files(dir: &Path) -> std::io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let ours = ["db", "conf", "snap."]
            .iter()
            .any(|name| file.file_name().to_string_lossy().starts_with(name));
        if ours {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600))?;
        }
    }
    fs::File::open(dir.join("conf"))?.sync_all()?;
    fs::File::open(dir)?.sync_all()
}
