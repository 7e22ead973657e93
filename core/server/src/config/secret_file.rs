//! Files that hold a secret.

use std::{
    fs::OpenOptions,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::secret::Secret;

/// The text of a file only its owner may read, without the newline at its end.
pub(super) fn read_private(path: &Path) -> Result<Secret<String>, String> {
    let show = path.display();
    // Without NONBLOCK a pipe would be waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| format!("cannot read {show}: {error}"))?;
    let meta = file
        .metadata()
        .map_err(|error| format!("cannot read {show}: {error}"))?;
    if !meta.is_file() {
        return Err(format!("{show} is not a regular file"));
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != 0 && meta.uid() != me {
        return Err(format!("{show} belongs to somebody else"));
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
