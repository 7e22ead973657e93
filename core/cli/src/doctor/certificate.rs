//! Certificates, and how long they are good.

use std::{fs, path::Path};

use omnigent_server::clock::Timestamp;
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

use super::finding::Findings;
use crate::when;

/// Renewing takes a person's time when the machine did not.
const SOON: i64 = 14 * 86_400;

/// Judges the first certificate of our own file: the others lead to its root.
pub(super) fn of_file(findings: &mut Findings, path: &Path, now: Timestamp) {
    let read = fs::read(path).ok();
    let pem = read.as_deref().and_then(|bytes| parse_x509_pem(bytes).ok());
    match pem {
        Some((_, pem)) => judge(findings, &path.display().to_string(), &pem.contents, now),
        None => findings.fail(
            "certificate",
            format!("{} holds no certificate in PEM", path.display()),
            "set tls.certificate_file to one",
        ),
    }
}

/// Judges a certificate in DER form.
pub(super) fn judge(findings: &mut Findings, whose: &str, der: &[u8], now: Timestamp) {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return findings.fail(
            "certificate",
            format!("the certificate of {whose} cannot be read"),
            "have it made anew",
        );
    };
    let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let (from, until) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    let day = when::day(u64::try_from(until).unwrap_or(0));
    if until < now {
        findings.fail(
            "certificate",
            format!("the certificate of {whose} ended on {day}"),
            "renew it",
        );
    } else if from > now {
        findings.fail(
            "certificate",
            format!("the certificate of {whose} is not good yet"),
            "check the clock of this machine",
        );
    } else if until - now < SOON {
        findings.warn(
            "certificate",
            format!("the certificate of {whose} ends on {day}"),
            "renew it",
        );
    } else {
        findings.ok(
            "certificate",
            format!("the certificate of {whose} is good until {day}"),
        );
    }
}
