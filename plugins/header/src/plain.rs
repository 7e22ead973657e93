//! Plain headers of a proxy the operator trusts.
//!
//! **Invariants:** nothing is believed that does not come from a trusted proxy; what could be read
//! in two ways is refused and not read; a request without the header costs no allocation.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use omnigent_plugin::prelude::*;

use crate::config::{self, Config};

/// What most proxies set.
const DEFAULT: &str = "x-forwarded-email";
/// Longest identity, in bytes: an e-mail address (RFC 5321 section 4.5.3.1).
const MAX_IDENTITY: usize = 254;
/// Longest list of groups, in bytes, and most groups.
const MAX_GROUPS: usize = 8192;

pub(crate) struct Plain {
    identity: String,
    email: Option<String>,
    display_name: Option<String>,
    groups: Option<String>,
    secret: Option<String>,
    secrets: Vec<String>,
    strip_prefix: String,
    trust_email: bool,
    host: Host,
    /// When somebody who is not trusted last sent the header, in seconds: said once a minute.
    last_warned: AtomicU64,
}

impl Plain {
    pub(crate) fn new(config: Config, host: Host) -> Result<Self, BackendError> {
        let optional = |key, text: &Option<String>| {
            text.as_deref()
                .map(|text| config::name(key, text))
                .transpose()
        };
        let plain = Self {
            secrets: config.secrets()?,
            identity: config::name("header", config.header.as_deref().unwrap_or(DEFAULT))?,
            email: optional("email_header", &config.email_header)?,
            display_name: optional("name_header", &config.name_header)?,
            groups: optional("groups_header", &config.groups_header)?,
            secret: optional("secret_header", &config.secret_header)?,
            strip_prefix: config.strip_prefix.unwrap_or_default(),
            trust_email: config.trust_email,
            host,
            last_warned: AtomicU64::new(0),
        };
        let mut names: Vec<_> = plain.names().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BackendError::misconfigured(
                "one header is named for two purposes",
            ));
        }
        Ok(plain)
    }

    /// The names of all headers that mean something here.
    fn names(&self) -> impl Iterator<Item = &str> {
        let more = [&self.email, &self.display_name, &self.groups, &self.secret];
        let more = more.into_iter().filter_map(Option::as_deref);
        std::iter::once(self.identity.as_str()).chain(more)
    }

    pub(crate) fn read(&self, request: &RequestView<'_>) -> Verdict {
        if !request.is_from_trusted_proxy() {
            self.warn_of_a_stranger(request);
            return Verdict::NotMine;
        }
        match self.identity(request) {
            Ok(Some(identity)) => Verdict::Accepted(identity),
            Ok(None) => Verdict::NotMine,
            Err(reason) => Verdict::Denied(reason),
        }
    }

    fn identity(&self, request: &RequestView<'_>) -> Result<Option<Identity>, String> {
        self.refuse_tricks(request)?;
        let Some(value) = only(request, &self.identity)? else {
            return Ok(None);
        };
        self.prove(request)?;
        let value = text(&self.identity, value, MAX_IDENTITY)?;
        if value.is_empty() {
            return Ok(None);
        }
        let value = value
            .strip_prefix(self.strip_prefix.as_str())
            .ok_or_else(|| format!("{} lacks the prefix of strip_prefix", self.identity))?;
        if value.is_empty() {
            return Ok(None);
        }
        one_word(&self.identity, value)?;
        let subject = value.to_ascii_lowercase();
        let email = match &self.email {
            Some(header) => {
                let email = self.optional(request, header, MAX_IDENTITY)?;
                email
                    .as_deref()
                    .map_or(Ok(()), |email| one_word(header, email))?;
                email
            }
            None => Some(subject.clone()).filter(|subject| subject.contains('@')),
        };
        let groups = match &self.groups {
            Some(header) => self.optional(request, header, MAX_GROUPS)?,
            None => None,
        };
        let groups = groups.as_deref().unwrap_or_default().split(',');
        let groups = groups.map(str::trim).filter(|group| !group.is_empty());
        Ok(Some(Identity {
            username: Some(subject.clone()),
            email: email.map(|email| email.to_ascii_lowercase()),
            email_verified: self.trust_email,
            display_name: match &self.display_name {
                Some(header) => self.optional(request, header, MAX_IDENTITY)?,
                None => None,
            },
            groups: groups.map(str::to_owned).collect(),
            ..Identity::new(subject)
        }))
    }

    fn optional(
        &self,
        request: &RequestView<'_>,
        header: &str,
        most: usize,
    ) -> Result<Option<String>, String> {
        let value = only(request, header)?;
        let value = value.map(|value| text(header, value, most)).transpose()?;
        Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
    }

    /// Other spellings of our headers, which some proxies and frameworks read as the same
    /// (THREATS H3), and a `Connection` header that makes a proxy drop one (H4).
    fn refuse_tricks(&self, request: &RequestView<'_>) -> Result<(), String> {
        for name in request.header_names() {
            if name.contains('_') && self.names().any(|own| is_alias(name, own)) {
                return Err(format!(
                    "{name} is another spelling of a header of the proxy's"
                ));
            }
            if self
                .names()
                .any(|own| name.strip_prefix("http-") == Some(own))
            {
                return Err(format!(
                    "{name} is another spelling of a header of the proxy's"
                ));
            }
        }
        for value in request.headers("connection") {
            let mut options = value.split(|b| *b == b',');
            let nominates = |option: &[u8]| {
                self.names()
                    .any(|own| option.trim_ascii().eq_ignore_ascii_case(own.as_bytes()))
            };
            if options.any(nominates) {
                return Err("the Connection header names a header of the proxy's".to_owned());
            }
        }
        Ok(())
    }

    /// Holds the proxy's secret against ours, in time that does not depend on where they differ.
    fn prove(&self, request: &RequestView<'_>) -> Result<(), String> {
        let Some(header) = &self.secret else {
            return Ok(());
        };
        let given = only(request, header)?.unwrap_or_default();
        let is_right = |secret: &String| verify_slices_are_equal(secret.as_bytes(), given).is_ok();
        // Both are compared, so that it cannot be told which one is in use.
        let matches = self.secrets.iter().filter(|secret| is_right(secret));
        if matches.count() > 0 {
            Ok(())
        } else {
            Err(format!("{header} is missing or wrong"))
        }
    }

    fn warn_of_a_stranger(&self, request: &RequestView<'_>) {
        if request.headers(&self.identity).next().is_none() {
            return;
        }
        let now = self.host.now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let last = self.last_warned.load(Ordering::Relaxed);
        let is_time = now >= last + 60;
        if is_time
            && self
                .last_warned
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let peer = request.peer();
            let message = format!(
                "{peer} sends {} and is not in server.trusted_proxies: it is not believed",
                self.identity
            );
            self.host.log(Level::Warn, &message);
        }
    }
}

/// The value of a header that may come once.
fn only<'a>(request: &RequestView<'a>, name: &str) -> Result<Option<&'a [u8]>, String> {
    let mut lines = request.headers(name);
    let first = lines.next();
    match lines.next() {
        Some(_) => Err(format!("{name} comes twice")),
        None => Ok(first),
    }
}

fn text<'a>(name: &str, value: &'a [u8], most: usize) -> Result<&'a str, String> {
    if value.len() > most {
        return Err(format!("{name} is longer than {most} bytes"));
    }
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text),
        _ => Err(format!("{name} holds control characters or is not UTF-8")),
    }
}

/// Nothing that another program could read as two values, or as another's.
fn one_word(name: &str, value: &str) -> Result<(), String> {
    if value.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
        Ok(())
    } else {
        Err(format!(
            "{name} holds a blank, a comma or what is not ASCII"
        ))
    }
}

/// Whether `name` is `own` with underscores for dashes, with or without CGI's `HTTP_`.
pub(crate) fn is_alias(name: &str, own: &str) -> bool {
    let same = |name: &str| {
        name.len() == own.len()
            && name
                .bytes()
                .zip(own.bytes())
                .all(|(b, own)| b == own || (b == b'_' && own == b'-'))
    };
    let bare = name.strip_prefix("http_").or(name.strip_prefix("http-"));
    same(name) || bare.is_some_and(same)
}
