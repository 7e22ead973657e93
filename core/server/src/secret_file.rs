//! Files that hold a secret.

use std::{
    fs::OpenOptions,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::secret::Secret;

/// The text of a file only its owner may read, without the newline at its end. What root owns may be
/// lent to a group: systemd hands out its credentials so.
pub(crate) fn read_private(path: &Path) -> Result<Secret<String>, String> {
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
    if meta.mode() & others(meta.uid(), me) != 0 {
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

/// The bits of a mode that open a file to others.
const fn others(owner: u32, me: u32) -> u32 {
    if owner == 0 && me != 0 { 0o037 } else { 0o077 }
}

#[cfg(test)]
mod tests {
    use super::others;

    #[test]
    fn only_root_lends_a_secret_to_a_group() {
        for (owner, me, mode, is_private) in [
            (0, 0, 0o600, true),
            (0, 0, 0o640, false),
            (0, 1000, 0o640, true),
            (0, 1000, 0o440, true),
            (0, 1000, 0o660, false),
            (0, 1000, 0o644, false),
            (1000, 1000, 0o400, true),
            (1000, 1000, 0o640, false),
        ] {
            assert_eq!(
                mode & others(owner, me) == 0,
                is_private,
                "{owner} {me} {mode:o}"
            );
        }
    }
}
