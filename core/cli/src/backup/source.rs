//! Where an archive comes from: the running server, or the data directory when none runs.

use hyper::body::Bytes;
use omnigent_server::{
    archive::{self, About, Head, Kind, Source, trail},
    clock::Clock,
    config::Config,
    store::{Options, Store},
};

use crate::{
    admin::{self, Admin},
    failure::Failure,
    output,
};

/// An archive's lines but the last.
pub(crate) struct Lines {
    /// Its first line.
    pub(crate) head: Head,
    /// How many records the store has.
    pub(crate) records: u64,
    from: From,
}

enum From {
    Server(Box<Admin>, String),
    Directory(Box<Source>, Store),
}

impl Lines {
    /// The next ones, nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match &mut self.from {
            From::Server(admin, id) => admin.archive_lines(id),
            From::Directory(source, _) => Ok(source.lines()?.map(Bytes::from)),
        }
    }

    /// Lets go of where it came from.
    pub(crate) fn close(self) {
        if let From::Directory(source, store) = self.from {
            drop(source);
            store.close();
        }
    }
}

/// Takes a picture of all data of this configuration's data directory.
pub(crate) fn open(config: &Config, kind: Kind) -> Result<Lines, Failure> {
    if let Some(admin) = admin::running(config)? {
        let (id, head, records) = admin.begin_archive(kind)?;
        return Ok(Lines {
            head,
            records,
            from: From::Server(Box::new(admin), id),
        });
    }
    let store = open_store(config)?;
    let now = Clock::system().now();
    let about = About::new(config, now);
    let snapshot = store
        .snapshot_blocking()
        .map_err(archive::ArchiveError::Store)?;
    let data_dir = &config.server.data_dir;
    let mut source = Source::new(kind, snapshot, data_dir, about)?;
    let read = trail::reading(kind, source.records());
    match trail::note(&store, data_dir, read, now) {
        Ok(ends) => source.leave_trail(ends.as_ref()),
        // A full disk must not keep anybody from a backup.
        Err(error) => output::hint(format_args!("warning: not in the audit trail: {error}")),
    }
    Ok(Lines {
        head: source.head().clone(),
        records: source.records(),
        from: From::Directory(Box::new(source), store),
    })
}

/// The store of this configuration's data directory, which nobody uses.
pub(crate) fn open_store(config: &Config) -> Result<Store, Failure> {
    let data_dir = &config.server.data_dir;
    archive::refuse_unfinished(data_dir)?;
    let folder = data_dir.join("store");
    if !folder.exists() {
        let data_dir = data_dir.display();
        let why = format!("no server has run on {data_dir}: is it the right --data-dir?");
        return Err(Failure::Failed(why));
    }
    Ok(Store::open(&folder, &Options::default())?)
}
