//! `[backend.<name>]` with `plugin = "header"`.

use std::path::PathBuf;

use omnigent_plugin::BackendError;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator writes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The header with the person's name or e-mail address, or with the assertion;
    /// `x-forwarded-email`, or the one of the proxy named by `assertion`.
    #[serde(default)]
    pub(crate) header: Option<String>,
    /// The proxy signs what it says: `cloudflare` (Access), `iap` (Google), `alb` (AWS), `pomerium`, or
    /// `jwt` for any other. The signature is the proof; the peer need not be trusted.
    #[serde(default)]
    pub(crate) assertion: Option<Kind>,
    /// `cloudflare`: the team, as in `https://<team>.cloudflareaccess.com`.
    #[serde(default)]
    pub(crate) team: Option<String>,
    /// Who issues assertions. Required for `alb`, `pomerium` and `jwt`.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// Whom assertions are for. Required for all but `alb`.
    #[serde(default)]
    pub(crate) audience: Option<String>,
    /// `alb`: the ARN of the load balancer.
    #[serde(default)]
    pub(crate) signer: Option<String>,
    /// `alb`: the region of the load balancer.
    #[serde(default)]
    pub(crate) region: Option<String>,
    /// `jwt`: how assertions are signed: `RS256`, `PS256`, `ES256` or `EdDSA`.
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    /// Where the proxy's keys are (RFC 7517), when not where that proxy has them.
    #[serde(default)]
    pub(crate) jwks_url: Option<String>,
    /// A file with the proxy's keys instead.
    #[serde(default)]
    pub(crate) jwks_file: Option<PathBuf>,
    /// The claim with what never changes about a person.
    #[serde(default = "sub")]
    pub(crate) subject_claim: String,
    /// The claim with the e-mail address.
    #[serde(default = "email")]
    pub(crate) email_claim: String,
    /// The claim with the name to call the person by.
    #[serde(default = "called")]
    pub(crate) name_claim: String,
    /// The claim with the person's groups.
    #[serde(default = "groups")]
    pub(crate) groups_claim: String,
    /// Believe an assertion only from a trusted proxy.
    #[serde(default)]
    pub(crate) require_trusted_proxy: bool,
    /// What stands before the name and is taken off, such as `accounts.google.com:`. A value, or
    /// a subject, without it is refused; other claims may do without.
    #[serde(default)]
    pub(crate) strip_prefix: Option<String>,
    /// A header with the e-mail address, where `header` holds something else.
    #[serde(default)]
    pub(crate) email_header: Option<String>,
    /// Whether the proxy vouches for e-mail addresses.
    #[serde(default = "yes")]
    pub(crate) trust_email: bool,
    /// A header with the name to call the person by.
    #[serde(default)]
    pub(crate) name_header: Option<String>,
    /// A header with the person's groups, separated by commas.
    #[serde(default)]
    pub(crate) groups_header: Option<String>,
    /// A header in which the proxy proves itself with a secret, besides its address.
    #[serde(default)]
    pub(crate) secret_header: Option<String>,
    /// The secret, or the old one and the new one while they change: 32 characters or more.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// A file with the secrets, one a line.
    #[serde(default)]
    pub(crate) secrets_file: Option<PathBuf>,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Cloudflare Access.
    Cloudflare,
    /// Google Identity-Aware Proxy.
    Iap,
    /// AWS Application Load Balancer.
    Alb,
    /// Pomerium.
    Pomerium,
    /// Any proxy that sends a JWT.
    Jwt,
}

fn sub() -> String {
    "sub".to_owned()
}

fn email() -> String {
    "email".to_owned()
}

fn called() -> String {
    "name".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

const fn yes() -> bool {
    true
}

/// Headers that mean something else to the server, or to everybody.
const TAKEN: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "transfer-encoding",
    "x-forwarded-for",
];

/// A header's name as requests carry it.
///
/// # Errors
/// When it is none, or means something else.
pub(crate) fn name(key: &str, text: &str) -> Result<String, BackendError> {
    let name = text.trim().to_ascii_lowercase();
    let fits = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(BackendError::misconfigured(format!(
            "{key}: not the name of a header: letters, digits and dashes"
        )));
    }
    if TAKEN.contains(&name.as_str()) {
        return Err(BackendError::misconfigured(format!(
            "{key}: {name} means something else; name the header your proxy sets"
        )));
    }
    Ok(name)
}

impl Config {
    /// The secrets of key and file together.
    ///
    /// # Errors
    /// When there are none for the header, more than two, or short ones.
    pub(crate) fn secrets(&self) -> Result<Vec<String>, BackendError> {
        let mut secrets = self.secrets.clone();
        if let Some(path) = &self.secrets_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                BackendError::misconfigured(format!("secrets_file {}: {error}", path.display()))
            })?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            secrets.extend(lines.map(str::to_owned));
        }
        let wrong = |text: &str| Err(BackendError::misconfigured(text));
        match (&self.secret_header, secrets.len()) {
            (None, 0) | (Some(_), 1..=2) => {}
            (None, _) => return wrong("secrets: name the header they come in with secret_header"),
            (Some(_), 0) => return wrong("secret_header: needs secrets or secrets_file"),
            (Some(_), _) => return wrong("secrets: at most two, the old one and the new one"),
        }
        if secrets.iter().any(|secret| secret.len() < 32) {
            return wrong("secrets: shorter than 32 characters; `openssl rand -hex 32` makes one");
        }
        Ok(secrets)
    }
}
