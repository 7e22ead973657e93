//! Writing an archive into a file that has its name only once it is whole, on disk, and read back.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use age::secrecy::SecretString;
use omnigent_server::archive::{self, Kind, Sealer, Summary};
use tempfile::NamedTempFile;

use super::{
    seal::{self, Output},
    source::Lines,
};
use crate::failure::Failure;

/// Where it goes.
pub(crate) struct Target {
    path: PathBuf,
    folder: PathBuf,
    replaces: bool,
    /// In the same folder, for its owner only; gone when this is.
    file: NamedTempFile,
}

impl Target {
    /// The file at `path`, which must not be there unless it is to be replaced.
    pub(crate) fn new(path: &Path, replaces: bool) -> Result<Self, Failure> {
        if !replaces && std::fs::symlink_metadata(path).is_ok() {
            let path = path.display();
            return Err(Failure::Failed(format!(
                "{path} is there already: choose another name, or use --force to replace it"
            )));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".omnigent-")
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|error| cannot_write(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            folder: folder.to_owned(),
            replaces,
            file,
        })
    }

    /// Writes it, syncs it, reads it back and gives it its name.
    pub(crate) fn write(
        self,
        mut lines: Lines,
        passphrase: Option<&SecretString>,
    ) -> Result<Summary, Failure> {
        let cannot = |error: &std::io::Error| cannot_write(&self.path, error);
        let handle = self.file.reopen().map_err(|e| cannot(&e))?;
        let output = Output::new(handle, passphrase).map_err(|e| cannot(&e))?;
        let mut sealer = Sealer::new(output);
        while let Some(some) = lines.next()? {
            sealer.write(&some).map_err(|e| cannot(&e))?;
        }
        let written = sealer.finish().and_then(Output::finish);
        let written = written.and_then(|file| file.sync_all());
        written.map_err(|e| cannot(&e))?;
        let (input, _) = seal::open(self.file.path(), passphrase)?;
        let summary = archive::read(input, &mut ())?;
        let is_backup = summary.head.omnigent == Kind::Backup;
        if summary.head != lines.head || (is_backup && summary.records != lines.records) {
            return Err(Failure::Failed(
                "what was written is not what is there: check the disk".into(),
            ));
        }
        lines.close();
        let named = if self.replaces {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        named.map_err(|error| cannot_write(&self.path, &error.error))?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| cannot_write(&self.path, &error))?;
        Ok(summary)
    }
}

/// Writes it to standard output, unread.
pub(crate) fn to_stdout(mut lines: Lines) -> Result<(), Failure> {
    let cannot = |error: &std::io::Error| cannot_write(Path::new("standard output"), error);
    let mut sealer = Sealer::new(std::io::stdout().lock());
    while let Some(some) = lines.next()? {
        sealer.write(&some).map_err(|e| cannot(&e))?;
    }
    let written = sealer.finish().and_then(|mut out| out.flush());
    written.map_err(|e| cannot(&e))?;
    lines.close();
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: {error}", path.display()))
}
