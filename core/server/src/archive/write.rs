//! Making an archive: a snapshot and the keyring, as lines.

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{ArchiveError, FORMAT, FileLine, Head, Tail, stays::stays};
use crate::{
    audit,
    clock::Timestamp,
    config::Config,
    secret::Secret,
    store::{Exporter, Snapshot, StoreError},
    token::keycopy,
};

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All that is needed to go on as the same server: with the keyring.
    Backup,
    /// The data alone, to go on as another one: without any key, see [`super::stays`].
    Export,
}

/// What goes into the head besides the snapshot.
#[derive(Clone, Debug)]
pub struct About {
    made_at: Timestamp,
    config_sha256: String,
    configured_key: bool,
}

impl About {
    /// Of a server with this configuration.
    pub fn new(config: &Config, now: Timestamp) -> Self {
        let mut shown = config.shown();
        for (table, rows) in &mut shown {
            // Where it runs is no difference: a restore may go to another machine.
            rows.retain(|(key, _)| table != "[server]" || !matches!(&**key, "data_dir" | "listen"));
        }
        let shown = serde_json::to_vec(&shown).unwrap_or_default();
        Self {
            made_at: now,
            config_sha256: hex::encode(digest::digest(&digest::SHA256, &shown)),
            configured_key: config.tokens.secret.is_some(),
        }
    }

    /// See [`Head::config_sha256`].
    pub fn config_sha256(&self) -> &str {
        &self.config_sha256
    }
}

/// An archive under way: its lines but the last, which [`Sealer::finish`] writes.
pub struct Source {
    head: Head,
    keyring: Option<Secret<Vec<u8>>>,
    lines: Exporter,
    has_begun: bool,
}

impl Source {
    /// Of the snapshot and, for a backup, of the keyring in `data_dir`.
    ///
    /// # Errors
    /// [`ArchiveError::Keyring`].
    pub fn new(
        kind: Kind,
        snapshot: Snapshot,
        data_dir: &Path,
        about: About,
    ) -> Result<Self, ArchiveError> {
        let (keyring, without) = match kind {
            Kind::Backup => {
                let missing = || {
                    let path = data_dir.join(keycopy::NAME);
                    ArchiveError::Keyring(crate::token::KeyringError::Missing(path))
                };
                let keyring = keycopy::copy_out(data_dir)?.ok_or_else(missing)?;
                (Some(keyring), (|_, _| false) as fn(u8, &[u8]) -> bool)
            }
            Kind::Export => (None, stays as fn(u8, &[u8]) -> bool),
        };
        let head = Head {
            omnigent: kind,
            format: FORMAT,
            made_at: about.made_at.seconds(),
            server: env!("CARGO_PKG_VERSION").to_owned(),
            sequence: snapshot.sequence(),
            config_sha256: about.config_sha256,
            configured_key: about.configured_key,
            trail: None,
        };
        Ok(Self {
            head,
            keyring,
            lines: Exporter::new(snapshot, without),
            has_begun: false,
        })
    }

    /// An export says at which entry the trail stood that it leaves behind.
    pub fn leave_trail(&mut self, ends: Option<&audit::Ends>) {
        if self.keyring.is_none() {
            self.head.trail = ends.map(audit::Ends::newest);
        }
    }

    /// The first line.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// How many records the snapshot has.
    pub fn records(&self) -> u64 {
        self.lines.snapshot().records()
    }

    /// The next lines, nothing at the end. Blocks.
    ///
    /// # Errors
    /// [`ArchiveError::Store`].
    pub fn lines(&mut self) -> Result<Option<Vec<u8>>, ArchiveError> {
        if self.has_begun {
            // A piece of nothing but records that are left out is no end.
            loop {
                match self.lines.lines()? {
                    Some(lines) if lines.is_empty() => {}
                    lines => return Ok(lines),
                }
            }
        }
        self.has_begun = true;
        let mut out = json_line(&self.head)?;
        if let Some(keyring) = self.keyring.take() {
            out.extend(json_line(&FileLine {
                file: keycopy::NAME.to_owned(),
                content: STANDARD.encode(keyring.expose()),
            })?);
        }
        Ok(Some(out))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}

/// Writes an archive's lines, and at last their checksum.
pub struct Sealer<W> {
    out: W,
    digest: digest::Context,
    lines: u64,
}

impl<W: Write> Sealer<W> {
    /// Into `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            digest: digest::Context::new(&digest::SHA256),
            lines: 0,
        }
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.digest.update(lines);
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.lines += u64::try_from(count).unwrap_or(0);
        self.out.write_all(lines)
    }

    /// Writes the last line and gives back what was written into.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        let mut line = tail(self.lines, self.digest);
        line.push(b'\n');
        self.out.write_all(&line)?;
        Ok(self.out)
    }
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} lines)", self.lines)
    }
}

/// The last line, without its end.
pub(super) fn tail(lines: u64, digest: digest::Context) -> Vec<u8> {
    let sha256 = hex::encode(digest.finish());
    serde_json::to_vec(&Tail { lines, sha256 }).unwrap_or_default()
}

fn json_line(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut text = serde_json::to_vec(value)
        .map_err(|error| StoreError::Engine(format!("writing JSON: {error}")))?;
    text.push(b'\n');
    Ok(text)
}
