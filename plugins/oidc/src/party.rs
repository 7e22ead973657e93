//! A relying party: one provider, and what the operator wants of it.

use omnigent_plugin::BackendError;
use url::Url;

use crate::{
    config::{AuthMethod, Config, Prompt, Userinfo, provider_url},
    exchange::Credentials,
    facts::Rules,
    http::Http,
    provider::Provider,
    urls,
};

/// A configuration that can work; the server has no part in it.
pub(crate) struct Party {
    pub(crate) provider: Provider,
    pub(crate) credentials: Credentials,
    pub(crate) scopes: Vec<String>,
    pub(crate) prompt: Vec<Prompt>,
    pub(crate) rules: Rules,
    pub(crate) userinfo: Userinfo,
    pub(crate) revalidate: bool,
    pub(crate) logout_redirect_uri: Option<Url>,
}

impl Party {
    /// # Errors
    /// [`BackendError::Misconfigured`], naming the key and the remedy.
    pub(crate) fn of(config: Config) -> Result<Self, BackendError> {
        let Some(issuer) = config.issuer.clone() else {
            return Err(BackendError::misconfigured(
                "`issuer` is missing: set it to the provider's issuer URL, such as \
                 https://accounts.example.com",
            ));
        };
        let url = provider_url("issuer", &issuer)?;
        let http = Http::new(config.timeout()?, urls::is_loopback(&url))?;
        let secret = config.secret()?;
        let method = config.token_endpoint_auth_method;
        if secret.is_none() && method.is_some_and(|method| method != AuthMethod::None) {
            return Err(BackendError::misconfigured(
                "`token_endpoint_auth_method` needs a `client_secret`: set one, or write \"none\"",
            ));
        }
        if !config.allowed_orgs.is_empty() {
            return Err(BackendError::misconfigured(
                "`allowed_orgs` is for `type = \"github\"`: use `allowed_groups` here",
            ));
        }
        Ok(Self {
            credentials: Credentials {
                client_id: config.client_id()?,
                secret,
                method,
            },
            scopes: config.scopes(&["openid", "email", "profile"])?,
            logout_redirect_uri: config.logout_redirect_uri()?,
            prompt: config.prompt,
            rules: Rules {
                skip_email_verification: config.skip_email_verification,
                email_verified_as_string: config.email_verified_as_string,
                email_claim: config.email_claim.filter(|claim| claim != "email"),
                groups_claim: config.groups_claim,
            },
            userinfo: config.userinfo,
            revalidate: config.revalidate,
            provider: Provider::new(issuer, config.id_token_algorithms, http),
        })
    }
}
