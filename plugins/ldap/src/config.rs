//! What an operator writes into `[backend.<name>]`.

use std::{path::PathBuf, time::Duration};

use omnigent_plugin::BackendError;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// An LDAP directory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where it is: `ldaps://host`, `ldap://host` or `ldapi://%2Fpath%2Fto%2Fsocket`.
    pub(crate) url: String,
    /// Turn an `ldap://` connection into TLS before anything is said (RFC 4511 section 4.14).
    #[serde(default)]
    pub(crate) starttls: bool,
    /// A PEM file of the certificate authorities to trust instead of the system's.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Let passwords cross the network in the clear. Not needed on a loopback address.
    #[serde(default)]
    pub(crate) allow_plaintext: bool,
    /// Whom to search as; nobody when absent.
    #[serde(default)]
    pub(crate) bind_dn: Option<String>,
    /// Their password.
    #[serde(default)]
    pub(crate) bind_password: Option<String>,
    /// A file that holds it.
    #[serde(default)]
    pub(crate) bind_password_file: Option<PathBuf>,
    /// Where people are: search for them, then bind as who was found.
    #[serde(default)]
    pub(crate) base_dn: Option<String>,
    /// How to find a person; `{username}` stands for the name given, escaped.
    #[serde(default = "user_filter")]
    pub(crate) user_filter: String,
    /// Instead of `base_dn`: the name people bind by, such as `uid={username},ou=people,dc=example`.
    #[serde(default)]
    pub(crate) user_dn: Option<String>,
    /// The attribute that never changes and is never given to somebody else.
    #[serde(default = "subject")]
    pub(crate) subject_attribute: String,
    /// The attribute with the name of a new account.
    #[serde(default = "username")]
    pub(crate) username_attribute: String,
    /// The attribute with the e-mail address.
    #[serde(default = "mail")]
    pub(crate) email_attribute: String,
    /// The attribute with the name to call people by.
    #[serde(default = "name")]
    pub(crate) name_attribute: String,
    /// Whether people cannot change their own address in the directory.
    #[serde(default = "yes")]
    pub(crate) trust_email: bool,
    /// Where groups are; without it, `memberOf` of the person is read.
    #[serde(default)]
    pub(crate) group_base: Option<String>,
    /// How to find a person's groups; `{dn}` and `{username}` stand for their entry's, escaped.
    #[serde(default = "group_filter")]
    pub(crate) group_filter: String,
    /// The attribute with a group's name.
    #[serde(default = "name")]
    pub(crate) group_attribute: String,
    /// How long the directory has for one answer, in seconds: 1 to 60.
    #[serde(default = "five")]
    pub(crate) timeout_seconds: u64,
}

fn user_filter() -> String {
    "(&(objectClass=person)(uid={username}))".to_owned()
}

fn group_filter() -> String {
    "(|(member={dn})(uniqueMember={dn})(memberUid={username}))".to_owned()
}

fn subject() -> String {
    "entryUUID".to_owned()
}

fn username() -> String {
    "uid".to_owned()
}

fn mail() -> String {
    "mail".to_owned()
}

fn name() -> String {
    "cn".to_owned()
}

const fn yes() -> bool {
    true
}

const fn five() -> u64 {
    5
}

impl Config {
    /// Finds what cannot work, and reads the password.
    ///
    /// # Errors
    /// [`BackendError::Misconfigured`] with the key and what to do.
    pub(crate) fn check(mut self) -> Result<Self, BackendError> {
        let wrong = |text: &str| Err(BackendError::misconfigured(text));
        let Ok(url) = Url::parse(&self.url) else {
            return wrong("url: not a URL such as ldaps://directory.example.com");
        };
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "ldaps" | "ldapi" if self.starttls => return wrong("starttls: only with ldap://"),
            "ldaps" | "ldapi" => {}
            "ldap" if self.starttls || is_local || self.allow_plaintext => {}
            "ldap" => {
                return wrong(
                    "url: ldap:// sends passwords in the clear; say ldaps://, starttls = true, or \
                     allow_plaintext = true",
                );
            }
            _ => return wrong("url: must begin with ldaps://, ldap:// or ldapi://"),
        }
        match (&self.base_dn, &self.user_dn) {
            (Some(_), None) if !self.user_filter.contains("{username}") => {
                return wrong("user_filter: must hold {username}");
            }
            (None, Some(dn)) if !dn.contains("{username}") => {
                return wrong("user_dn: must hold {username}");
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return wrong("base_dn or user_dn: exactly one of them"),
        }
        // Parentheses may be left out around a whole filter; a part of another needs them.
        if !self.user_filter.starts_with('(') {
            self.user_filter = format!("({})", self.user_filter);
        }
        if let Some(path) = self.bind_password_file.take() {
            if self.bind_password.is_some() {
                return wrong("bind_password and bind_password_file: only one of them");
            }
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let path = path.display();
                BackendError::misconfigured(format!("bind_password_file: {path}: {error}"))
            })?;
            self.bind_password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        let is_empty = self.bind_password.as_ref().is_none_or(String::is_empty);
        if self.bind_dn.is_some() && is_empty {
            return wrong("bind_password: needed with bind_dn, and not empty");
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return wrong("timeout_seconds: 1 to 60");
        }
        Ok(self)
    }

    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}
