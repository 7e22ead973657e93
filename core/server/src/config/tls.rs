//! `[tls]`: whether connections are encrypted here, and with what.

use std::{path::PathBuf, time::Duration};

use super::sheet::Section;
use crate::tls::{Pair, PairError, Version};

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its root, as PEM; without it TLS is off. Absolute.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, as PEM. There whenever the certificate is. Absolute.
    pub key_file: Option<PathBuf>,
    /// The oldest version spoken.
    pub min_version: Version,
    /// Time a client has for its handshake.
    pub handshake_timeout: Duration,
    /// How long browsers remember to come by https only (RFC 6797), where that is the public address;
    /// zero says nothing of it.
    pub hsts: Duration,
}

impl Tls {
    /// The pair, when TLS is on.
    pub fn pair(&self) -> Option<Pair> {
        Some(Pair {
            certificate_file: self.certificate_file.clone()?,
            key_file: self.key_file.clone()?,
            min_version: self.min_version,
        })
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads the pair as well: one that does not fit is a fault of the configuration.
pub(super) fn tls(mut section: Section<'_>) -> Tls {
    let certificate = section.path("certificate_file");
    let key = section.path("key_file");
    let seconds = Duration::from_secs;
    let tls = Tls {
        certificate_file: certificate.as_ref().map(|(_, path)| path.clone()),
        key_file: key.as_ref().map(|(_, path)| path.clone()),
        min_version: section.word(
            "min_version",
            Version::Tls12,
            &[("1.2", Version::Tls12), ("1.3", Version::Tls13)],
        ),
        handshake_timeout: section.duration(
            "handshake_timeout",
            seconds(10),
            seconds(1)..=seconds(3600),
        ),
        hsts: section.duration("hsts", 365 * DAY, Duration::ZERO..=3660 * DAY),
    };
    match (&certificate, &key) {
        (Some((place, _)), None) => {
            let message = "needs tls.key_file, the key of the certificate";
            section.sheet.fault(place, message);
        }
        (None, Some((place, _))) => {
            let message = "needs tls.certificate_file, the certificate of the key";
            section.sheet.fault(place, message);
        }
        (Some((of_certificate, _)), Some((of_key, _))) => {
            match tls.pair().map(|pair| pair.load()) {
                Some(Err(PairError::Certificate(message))) => {
                    section.sheet.fault(of_certificate, message);
                }
                Some(Err(PairError::Key(message))) => section.sheet.fault(of_key, message),
                Some(Ok(_)) | None => {}
            }
        }
        (None, None) => {}
    }
    section.finish();
    tls
}
