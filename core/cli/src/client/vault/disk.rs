//! Files that only their owner may have touched (THREATS L1).
//!
//! **Invariants:** everything goes through an open directory of the user's own; no symbolic link is
//! followed at a file; a file is written aside, synced, and put in place by its name; what others
//! own, or could read, is refused.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
};

/// Largest file read.
const MAX_SIZE: u64 = 4 << 20;

/// An open directory.
pub(in crate::client) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Held as long as it lives.
pub(in crate::client) struct Lock {
    _fd: OwnedFd,
}

impl Dir {
    /// The directory, if it is there.
    pub(in crate::client) fn open(path: &Path) -> Result<Option<Self>, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(format!("cannot open {}: {error}", path.display())),
        };
        let dir = Self {
            fd,
            path: path.to_owned(),
        };
        let stat = rustix::fs::fstat(&dir.fd);
        let stat = stat.map_err(|error| dir.complain("", "examine", error))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(format!("{} belongs to somebody else", path.display()));
        }
        Ok(Some(dir))
    }

    /// The directory, made if need be and closed to others.
    pub(in crate::client) fn make(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        let dir = Self::open(path)?;
        let dir = dir.ok_or_else(|| format!("{} is gone", path.display()))?;
        dir.close_to_others()?;
        Ok(dir)
    }

    /// Where a file in it is.
    pub(in crate::client) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file of the user's own that nobody else can read; `None` when there is none.
    pub(in crate::client) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        // Not blocking: a named pipe in its place is refused, not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.complain(name, "read", error)),
        };
        let shown = self.path(name);
        let shown = shown.display();
        let stat = rustix::fs::fstat(&fd);
        let stat = stat.map_err(|error| self.complain(name, "examine", error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(format!("{shown} is not a regular file"));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(format!("{shown} belongs to somebody else"));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(format!(
                "others can read or write {shown}: if that may have happened, end the logins in it; \
                 then chmod 600 {shown}"
            ));
        }
        let mut bytes = Vec::new();
        let read = File::from(fd).take(MAX_SIZE + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot read {shown}: {error}"))?;
        if bytes.len() as u64 > MAX_SIZE {
            return Err(format!("{shown} is too large"));
        }
        Ok(Some(bytes))
    }

    /// Puts a file in the place of another, at once and for good.
    pub(in crate::client) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.close_to_others()?;
        let (temporary, mut file) = self.temporary(name)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let written = written.map_err(|error| {
            let shown = self.path(name);
            format!("cannot write {}: {error}", shown.display())
        });
        let placed = written.and_then(|()| {
            rustix::fs::renameat(&self.fd, &temporary, &self.fd, name)
                .and_then(|()| rustix::fs::fsync(&self.fd))
                .map_err(|error| self.complain(name, "replace", error))
        });
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(&self.fd, &temporary, AtFlags::empty());
        }
        placed
    }

    /// Waits until nobody else holds the lock.
    pub(in crate::client) fn lock(&self, name: &str) -> Result<Lock, String> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::openat(&self.fd, name, flags, mode);
        let fd = fd.map_err(|error| self.complain(name, "open", error))?;
        loop {
            match rustix::fs::flock(&fd, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock { _fd: fd }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.complain(name, "lock", error)),
            }
        }
    }

    /// A new file beside `name`, for its owner only.
    fn temporary(&self, name: &str) -> Result<(String, File), String> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut taken = Errno::EXIST;
        for attempt in 0..100 {
            let temporary = format!(".{name}.{}-{attempt}.tmp", std::process::id());
            match rustix::fs::openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok((temporary, File::from(fd))),
                // Left behind by a process of the same number that was killed.
                Err(Errno::EXIST) => {}
                Err(error) => {
                    taken = error;
                    break;
                }
            }
        }
        Err(self.complain(name, "write", taken))
    }

    fn close_to_others(&self) -> Result<(), String> {
        rustix::fs::fchmod(&self.fd, Mode::RWXU).map_err(|error| self.complain("", "close", error))
    }

    fn complain(&self, name: &str, what: &str, error: Errno) -> String {
        let path = self.path(name);
        let path = path.display();
        if error == Errno::LOOP {
            return format!("{path} is a symbolic link, which is not followed");
        }
        format!("cannot {what} {path}: {error}")
    }
}
