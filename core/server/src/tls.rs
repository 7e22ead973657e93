//! TLS: the certificate, its key, and what is spoken with them. The only place that knows rustls.
//!
//! Owns: reading the pair, refusing one that does not fit, and noticing when its files change. Does
//! not: accept connections (`http`), decide where the files are (`config`).
//!
//! **Invariants:** a pair that does not fit never comes into force, and the one in force stays until
//! another does; a key others may read is refused.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::{secret::Secret, secret_file};

/// A connection with TLS.
pub type Stream<I> = tokio_rustls::server::TlsStream<I>;

/// Where the pair is and what is spoken with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate and those that lead to its root, as PEM.
    pub certificate_file: PathBuf,
    /// Its private key, as PEM.
    pub key_file: PathBuf,
    /// The oldest version spoken.
    pub min_version: Version,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What is wrong with a pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// With the certificate.
    #[error("{0}")]
    Certificate(String),
    /// With the key.
    #[error("{0}")]
    Key(String),
}

/// At most this much of a file of certificates is read.
const MAX_FILE: u64 = 1 << 20;

impl Pair {
    /// Reads the pair, and makes sure that it is one.
    ///
    /// # Errors
    /// A file that cannot be read, holds something else, or does not fit the other; a key others may
    /// read.
    pub fn load(&self) -> Result<Arc<ServerConfig>, PairError> {
        let chain = certificates(&self.certificate_file).map_err(PairError::Certificate)?;
        let key = private_key(&self.key_file).map_err(PairError::Key)?;
        let both: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        let versions = match self.min_version {
            Version::Tls12 => both,
            Version::Tls13 => &both[..1],
        };
        let builder = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(versions)
            .map_err(|error| PairError::Key(error.to_string()))?;
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| self.misfit(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn misfit(&self, error: &rustls::Error) -> PairError {
        let (certificate, key) = (self.certificate_file.display(), self.key_file.display());
        match error {
            rustls::Error::InconsistentKeys(_) => PairError::Key(format!(
                "{key} is not the key of the first certificate in {certificate}"
            )),
            rustls::Error::InvalidCertificate(_) => {
                PairError::Certificate(format!("{certificate} holds no valid certificate: {error}"))
            }
            _ => PairError::Key(format!("{key} cannot be used with {certificate}: {error}")),
        }
    }

    /// What tells one state of the files from another.
    fn mark(&self) -> Mark {
        [&self.certificate_file, &self.key_file].map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((
                about.dev(),
                about.ino(),
                about.size(),
                about.mtime(),
                about.mtime_nsec(),
            ))
        })
    }
}

type Mark = [Option<(u64, u64, u64, i64, i64)>; 2];

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let show = path.display();
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let pem = read().map_err(|error| format!("cannot read {show}: {error}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("{show} holds no certificate in PEM")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{show} is not PEM: {error}")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem: Secret<String> = secret_file::read_private(path)?;
    // What is wrong inside a key is nobody's business.
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| format!("{} holds no private key in PEM", path.display()))
}

/// The pair in force.
pub struct Terminator {
    pair: Pair,
    handshake_timeout: Duration,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Mark>,
}

impl Terminator {
    /// Puts `pair` in force. A handshake may take `handshake_timeout`.
    ///
    /// # Errors
    /// As [`Pair::load`].
    pub fn new(pair: Pair, handshake_timeout: Duration) -> Result<Self, PairError> {
        // Before it is read: what changes meanwhile is read again.
        let mark = pair.mark();
        let config = pair.load()?;
        Ok(Self {
            pair,
            handshake_timeout,
            current: ArcSwap::new(config),
            seen: Mutex::new(mark),
        })
    }

    /// Puts what is in the files now in force, if they have changed and are a pair. True when it
    /// did; the log has why not. Reads the disk.
    pub fn refresh(&self) -> bool {
        let mark = self.pair.mark();
        let mut seen = self.seen.lock();
        if *seen == mark {
            return false;
        }
        let (certificate, key) = (&self.pair.certificate_file, &self.pair.key_file);
        let loaded = self.pair.load();
        *seen = mark;
        match loaded {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(?certificate, ?key, "the certificate was renewed");
                true
            }
            Err(error) => {
                tracing::error!(%error, "the certificate in force stays: the new one cannot be used");
                false
            }
        }
    }

    /// Shakes hands on `stream`, no longer than allowed.
    ///
    /// # Errors
    /// A client that does not speak TLS, or not ours, or too slowly.
    pub async fn accept<I>(&self, stream: I) -> io::Result<Stream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        tokio::time::timeout(self.handshake_timeout, acceptor.accept(stream))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Whether HTTP/2 was agreed on.
pub fn is_http2<I>(stream: &Stream<I>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
