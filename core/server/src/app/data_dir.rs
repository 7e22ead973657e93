//! The data directory: made for us alone, or found in a state in which nobody else can have put a
//! store, keys or a socket of theirs into it (THREATS X14).
//!
//! **Invariant:** what is wrong with it is told and not repaired: whoever could write into it may
//! have done so.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use super::StartError;

/// Makes the directory with mode 0700, or checks the one that is there.
///
/// # Errors
/// [`StartError::Config`] when others own it or may write into it; [`StartError::Io`].
pub(super) fn prepare(dir: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(dir);
    let found = made.and_then(|()| fs::metadata(dir));
    let found = found.map_err(|source: io::Error| StartError::Io {
        path: dir.to_owned(),
        source,
    })?;
    let me = rustix::process::geteuid().as_raw();
    match complaint(found.uid(), found.mode(), me) {
        None => Ok(()),
        Some(why) => {
            let dir = dir.display();
            Err(StartError::Config(format!(
                "the data directory {dir} {why}"
            )))
        }
    }
}

/// What is wrong with a directory of this owner and mode, to us.
fn complaint(owner: u32, mode: u32, me: u32) -> Option<&'static str> {
    if owner != me && owner != 0 {
        return Some(
            "belongs to another user, who can change what is in it: run this as that user, or chown \
             it to the one the server runs as",
        );
    }
    (mode & 0o022 != 0).then_some(
        "can be written to by other users, who could put keys or a store of theirs there: if nobody \
         can have done so, chmod go-w it; else name a new one in server.data_dir",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_others_own_or_write_to_is_refused() {
        for (owner, mode) in [(1000, 0o700), (0, 0o755), (1000, 0o40_750), (0, 0o1711)] {
            assert_eq!(complaint(owner, mode, 1000), None, "{owner} {mode:o}");
        }
        for (owner, mode) in [
            (1001, 0o700),
            (1000, 0o770),
            (1000, 0o702),
            (0, 0o41_777), // /tmp
            (0, 0o2775),
        ] {
            assert!(complaint(owner, mode, 1000).is_some(), "{owner} {mode:o}");
        }
        assert!(complaint(1000, 0o700, 0).is_some(), "root trusts root only");
    }
}
