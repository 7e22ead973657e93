//! Looking at a plugin file before the dynamic linker does.
//!
//! Constructors run inside `dlopen`, and a truncated file is SIGBUS there (THREATS G1, G2). So the
//! file is opened once, checked, hashed, and copied into sealed memory; what was checked is what
//! runs, whatever happens to the file afterwards.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use goblin::elf::{Elf, header::ET_DYN};
use rustix::fs::{MemfdFlags, OFlags, SealFlags};

use super::LoadError;

/// No plugin is larger than this, in bytes.
const MAX_SIZE: u64 = 128 << 20;

/// A plugin's bytes in memory that nobody can change.
pub(super) struct Sealed {
    bytes: OwnedFd,
    digest: String,
}

impl Sealed {
    /// Where the dynamic linker finds it.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.bytes.as_raw_fd()).into()
    }

    /// Keeps it for as long as the process lives: a library is never unloaded.
    pub(super) fn keep(self) {
        std::mem::forget(self.bytes);
    }

    /// Their SHA-256, in hexadecimal.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }
}

/// Checks the file at `path` and copies it into sealed memory.
pub(super) fn seal(path: &Path, pin: Option<&[u8; 32]>) -> Result<Sealed, LoadError> {
    let bytes = read(path)?;
    check_elf(&bytes)?;
    let hash = digest::digest(&digest::SHA256, &bytes);
    if let Some(pin) = pin
        && hash.as_ref() != pin
    {
        return Err(LoadError::HashMismatch {
            expected: hex::encode(pin),
            found: hex::encode(hash),
        });
    }
    let sealed = copy(&bytes).map_err(|source| LoadError::Io { source })?;
    Ok(Sealed {
        bytes: sealed,
        digest: hex::encode(hash),
    })
}

/// The SHA-256 of the file, as `sha256 = "…"` pins it.
///
/// # Errors
/// Why it would not be loaded.
pub fn sha256_of(path: &Path) -> Result<String, LoadError> {
    Ok(hex::encode(digest::digest(&digest::SHA256, &read(path)?)))
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => LoadError::NotRegular,
            _ if source.kind() == io::ErrorKind::NotFound => LoadError::Missing,
            _ => LoadError::Io { source },
        })?;
    let about = file.metadata().map_err(|source| LoadError::Io { source })?;
    if about.is_dir() {
        return Err(LoadError::Directory);
    }
    if !about.is_file() {
        return Err(LoadError::NotRegular);
    }
    check_owner(about.uid(), about.mode(), false)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let about_folder = folder
        .metadata()
        .map_err(|source| LoadError::Io { source })?;
    check_owner(about_folder.uid(), about_folder.mode(), true)?;
    if about.len() == 0 {
        return Err(LoadError::Empty);
    }
    if about.len() > MAX_SIZE {
        return Err(LoadError::TooLarge);
    }
    // At once: grown step by step it leaves its steps behind.
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default() + 1);
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| LoadError::Io { source })?;
    Ok(bytes)
}

/// Whoever may write the file, or swap it in its folder, runs code in the server.
fn check_owner(uid: u32, mode: u32, is_folder: bool) -> Result<(), LoadError> {
    let what = if is_folder { "its folder" } else { "it" };
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(LoadError::ForeignOwner { what, uid });
    }
    if mode & 0o022 != 0 {
        return Err(LoadError::Writable { what });
    }
    Ok(())
}

/// What the dynamic linker believes without looking: kind, machine, and that everything the
/// headers speak of is in the file.
fn check_elf(bytes: &[u8]) -> Result<(), LoadError> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err(if b"\x7fELF".starts_with(bytes) {
            LoadError::Truncated
        } else {
            LoadError::NotElf
        });
    }
    if bytes.len() < 64 {
        return Err(LoadError::Truncated);
    }
    let wide = cfg!(target_pointer_width = "64");
    let little = cfg!(target_endian = "little");
    // EI_CLASS and EI_DATA of the ELF specification, then e_machine.
    let is_ours = bytes[4] == 1 + u8::from(wide) && bytes[5] == 2 - u8::from(little);
    if !is_ours || u16::from_ne_bytes([bytes[18], bytes[19]]) != MACHINE {
        return Err(LoadError::WrongArchitecture);
    }
    let header = Elf::parse_header(bytes).map_err(|_| LoadError::Truncated)?;
    if header.e_type != ET_DYN {
        return Err(LoadError::NotElf);
    }
    let length = bytes.len() as u64;
    let sections = header
        .e_shoff
        .checked_add(u64::from(header.e_shnum) * u64::from(header.e_shentsize));
    let segments = header
        .e_phoff
        .checked_add(u64::from(header.e_phnum) * u64::from(header.e_phentsize));
    if [sections, segments]
        .into_iter()
        .any(|end| end.is_none_or(|end| end > length))
    {
        return Err(LoadError::Truncated);
    }
    let elf = Elf::parse(bytes).map_err(|_| LoadError::Truncated)?;
    let fits = |segment: &goblin::elf::ProgramHeader| {
        segment
            .p_offset
            .checked_add(segment.p_filesz)
            .is_some_and(|end| end <= length)
    };
    if elf.program_headers.is_empty() || !elf.program_headers.iter().all(fits) {
        return Err(LoadError::Truncated);
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = goblin::elf::header::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = goblin::elf::header::EM_AARCH64;
#[cfg(target_arch = "riscv64")]
const MACHINE: u16 = goblin::elf::header::EM_RISCV;

/// How often sealing is tried, and the time in between.
const SEALING: u32 = 20;
const SEALING_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

fn copy(bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create(
        "omnigent-plugin",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    let mut file = File::from(memory);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    // The kernel may hold on to a page for a moment (it moves or looks at memory), and then says so.
    for _ in 0..SEALING {
        match rustix::fs::fcntl_add_seals(&file, seals) {
            Err(rustix::io::Errno::BUSY) => std::thread::sleep(SEALING_PAUSE),
            sealed => return sealed.map(|()| file.into()).map_err(io::Error::from),
        }
    }
    Err(rustix::io::Errno::BUSY.into())
}
