//! `[audit]`: how long the audit trail is kept, and who else is told.

use std::time::Duration;

use super::{Origin, sheet::Section};
use crate::secret::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// How long an entry is kept.
    pub retention: Duration,
    /// How many are kept at most.
    pub max_entries: u64,
    /// Who is told of every entry.
    pub webhook: Option<Webhook>,
}

/// A server that is told of every entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens. It may hold a secret.
    pub url: Secret<String>,
    /// What it is told is signed with.
    pub secret: Secret<Vec<u8>>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Shortest key of a signature (Standard Webhooks wants 24 to 64 bytes).
const SHORTEST: usize = 24;

pub(super) fn audit(mut section: Section<'_>) -> Audit {
    let audit = Audit {
        retention: section.duration("retention", 365 * DAY, DAY..=3660 * DAY),
        max_entries: section.integer("max_entries", 1_000_000, 1000..=100_000_000),
        webhook: webhook(&mut section),
    };
    section.finish();
    audit
}

fn webhook(section: &mut Section<'_>) -> Option<Webhook> {
    let url = section.text("webhook_url");
    let secret = section.secret("webhook_secret", "webhook_secret_file");
    let (place, url) = match (url, &secret) {
        (Some(url), _) => url,
        (None, None) => return None,
        (None, Some((place, _))) => {
            let message = "signs nothing without audit.webhook_url";
            section.sheet.fault(place, message);
            return None;
        }
    };
    if !is_safe(&url) {
        let message = "must be an https address, or http on this machine";
        section.sheet.fault(&place, message);
        return None;
    }
    let Some((place, secret)) = secret else {
        let message = "is required with audit.webhook_url: what it is told is signed";
        let place = section.place("webhook_secret_file");
        section.sheet.fault(&place, message);
        return None;
    };
    let said = secret.expose();
    let bytes = match said.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).unwrap_or_default(),
        None => said.as_bytes().to_vec(),
    };
    if bytes.len() < SHORTEST {
        let message = format!("must be at least {SHORTEST} bytes long");
        let suggestion = "`openssl rand -hex 32` makes one".to_owned();
        section.sheet.fault_with(&place, message, Some(suggestion));
        return None;
    }
    Some(Webhook {
        url: Secret::new(url),
        secret: Secret::new(bytes),
    })
}

/// Whether nobody on the way can read or change what is sent there.
pub(super) fn is_safe(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_plain = path.bytes().all(|b| b.is_ascii_graphic());
    let origin = format!("{scheme}://{authority}").parse::<Origin>();
    is_plain && origin.is_ok_and(|origin| origin.is_https() || origin.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn a_webhook_is_https_or_on_this_machine() {
        for url in [
            "https://siem.example.com/in",
            "https://siem.example.com:8443/in?key=1",
            "http://127.0.0.1:9/x",
            "http://[::1]:9/x",
            "http://localhost/x",
        ] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "",
            "siem.example.com",
            "http://siem.example.com/in",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https://",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
