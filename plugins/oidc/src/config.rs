//! What an operator writes into `[backend.<name>]`, and what it comes to once checked.

use std::{path::PathBuf, time::Duration};

use omnigent_plugin::BackendError;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{algorithm::Algorithm, urls};

/// An OpenID Connect provider, or GitHub.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the provider speaks: `oidc`, or `github` (GitHub's OAuth 2, which knows no OpenID Connect).
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The provider's issuer, exactly as it writes it: where `/.well-known/openid-configuration` is.
    /// Required for `oidc`. `https` only, but for a loopback address.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The client id the provider gave out for this server.
    pub client_id: String,
    /// The client's secret. Neither this nor `client_secret_file`: a public client, PKCE only.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// A file that holds the client's secret and nothing else.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// How to prove to be the client: `client_secret_basic`, `client_secret_post` or `none`.
    /// Default: what the provider says it takes, `client_secret_basic` before `client_secret_post`.
    #[serde(default)]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// The scopes to ask for. Default: `openid`, `email`, `profile`; for `github` `read:user` and
    /// `user:email`, with `allowed_orgs` also `read:org`.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// What the provider should do although the person is signed in there: `consent` (some give
    /// refresh tokens only then), `select_account`, `login`. Default: what it likes.
    #[serde(default)]
    pub prompt: Vec<Prompt>,
    /// Where people go after signing out. Default: the server's public URL, as it is configured (no
    /// slash at its end). A provider that people sign out at has to know it to the letter.
    #[serde(default)]
    pub logout_redirect_uri: Option<String>,
    /// Trust e-mail addresses the provider has not verified. Only where nobody can choose their own
    /// address at the provider: whoever can would be whom they like.
    #[serde(default)]
    pub skip_email_verification: bool,
    /// Count `"true"`, the string, as a verified address. Only for providers that write it so.
    #[serde(default)]
    pub email_verified_as_string: bool,
    /// The claim that names people instead of `email`, such as `preferred_username` or `upn`. Must
    /// be one that people cannot change.
    #[serde(default)]
    pub email_claim: Option<String>,
    /// The claim that holds people's groups; a path through objects by dots, such as
    /// `realm_access.roles`.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// The signature algorithms to take. Default: those the provider says it uses, and no other.
    #[serde(default)]
    pub id_token_algorithms: Vec<Algorithm>,
    /// Whether to ask the provider's userinfo endpoint: `true`, `false`, or `"when_needed"`: when
    /// the id_token lacks the name claim or the groups.
    #[serde(default)]
    pub userinfo: Userinfo,
    /// Whether to keep the provider's refresh token (encrypted) and ask with it, whenever a session
    /// is prolonged, whether the person still may. Asks for `offline_access` if the provider has it.
    #[serde(default = "yes")]
    pub revalidate: bool,
    /// How long the provider has for one whole answer, in seconds: 1 to 60.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
    /// `github`: where people sign in. Another one for GitHub Enterprise.
    #[serde(default = "github_web")]
    pub web_url: String,
    /// `github`: its API. `https://<host>/api/v3` for GitHub Enterprise.
    #[serde(default = "github_api")]
    pub api_url: String,
    /// `github`: only members of one of these organisations.
    #[serde(default)]
    pub allowed_orgs: Vec<String>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenID Connect.
    #[default]
    Oidc,
    /// GitHub's OAuth 2.
    Github,
}

/// How a client proves itself at the token endpoint (OpenID Connect Core 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
    /// Not at all.
    None,
}

/// What a provider should do although a person is signed in (OpenID Connect Core 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Have them sign in once more.
    Login,
    /// Ask whether this server may know.
    Consent,
    /// Have them choose an account.
    SelectAccount,
}

/// When to ask the userinfo endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "UserinfoText")]
#[schemars(with = "UserinfoText")]
pub enum Userinfo {
    /// At every sign-in.
    Always,
    /// Never.
    Never,
    /// When something is missing.
    #[default]
    WhenNeeded,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum UserinfoText {
    Said(bool),
    Word(WhenNeeded),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WhenNeeded {
    WhenNeeded,
}

impl From<UserinfoText> for Userinfo {
    fn from(text: UserinfoText) -> Self {
        match text {
            UserinfoText::Said(true) => Self::Always,
            UserinfoText::Said(false) => Self::Never,
            UserinfoText::Word(WhenNeeded::WhenNeeded) => Self::WhenNeeded,
        }
    }
}

fn groups() -> String {
    "groups".into()
}

const fn yes() -> bool {
    true
}

const fn ten() -> u64 {
    10
}

fn github_web() -> String {
    "https://github.com".into()
}

fn github_api() -> String {
    "https://api.github.com".into()
}

impl Config {
    /// The secret, wherever it is.
    ///
    /// # Errors
    /// When it is in two places, is empty, or the file cannot be read.
    pub(crate) fn secret(&self) -> Result<Option<String>, BackendError> {
        let secret = match (&self.client_secret, &self.client_secret_file) {
            (Some(_), Some(_)) => {
                return Err(BackendError::misconfigured(
                    "`client_secret` and `client_secret_file` are both set: keep one of them",
                ));
            }
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                BackendError::misconfigured(format!(
                    "`client_secret_file`: {path} cannot be read: {error}"
                ))
            })?,
            (None, None) => return Ok(None),
        };
        let secret = secret.trim_end_matches(['\r', '\n']);
        if secret.trim().is_empty() {
            return Err(BackendError::misconfigured(
                "`client_secret` is empty: set it, or leave it out for a public client",
            ));
        }
        Ok(Some(secret.to_owned()))
    }

    /// How long one answer may take.
    ///
    /// # Errors
    /// When it is out of range.
    pub(crate) fn timeout(&self) -> Result<Duration, BackendError> {
        if !(1..=60).contains(&self.timeout_seconds) {
            return Err(BackendError::misconfigured(
                "`timeout_seconds` must be from 1 to 60",
            ));
        }
        Ok(Duration::from_secs(self.timeout_seconds))
    }

    /// The client id.
    ///
    /// # Errors
    /// When it is empty.
    pub(crate) fn client_id(&self) -> Result<String, BackendError> {
        if self.client_id.trim().is_empty() {
            return Err(BackendError::misconfigured(
                "`client_id` is empty: set it to the client id the provider gave out",
            ));
        }
        Ok(self.client_id.clone())
    }

    /// Where people go after signing out, if configured.
    ///
    /// # Errors
    /// When it is no URL of the web.
    pub(crate) fn logout_redirect_uri(&self) -> Result<Option<Url>, BackendError> {
        let Some(text) = &self.logout_redirect_uri else {
            return Ok(None);
        };
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        url.map(Some).ok_or_else(|| {
            BackendError::misconfigured(
                "`logout_redirect_uri` must be a complete URL, such as https://example.com/bye",
            )
        })
    }

    /// The scopes, checked.
    ///
    /// # Errors
    /// When one is no scope (RFC 6749 section 3.3).
    pub(crate) fn scopes(&self, default: &[&str]) -> Result<Vec<String>, BackendError> {
        let Some(scopes) = &self.scopes else {
            return Ok(default.iter().map(|&scope| scope.to_owned()).collect());
        };
        let is_scope = |scope: &String| {
            !scope.is_empty()
                && scope
                    .bytes()
                    .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        };
        if let Some(bad) = scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(BackendError::misconfigured(format!(
                "`scopes` holds {bad:?}, which is no scope: write one scope per list entry"
            )));
        }
        Ok(scopes.clone())
    }
}

/// A URL of the provider's from the configuration.
///
/// # Errors
/// When it cannot be used, naming the key.
pub(crate) fn provider_url(key: &str, text: &str) -> Result<Url, BackendError> {
    urls::provider(text).map_err(|why| BackendError::misconfigured(format!("`{key}` {why}")))
}
