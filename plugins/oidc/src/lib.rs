//! The OpenID Connect backend: sign-in at an identity provider, or at GitHub.
//!
//! Owns: the relying party's half of OpenID Connect (discovery, PKCE, nonce, exchange, keys, tokens)
//! and what a provider's claims make of a person. Does not: keep the state cookie, admit anybody
//! (domains, groups, invites) or know accounts: the server does.
//!
//! **Invariants:** a provider that cannot be reached stops nothing but its own sign-ins; nothing it
//! writes reaches a person or, unsanitised, a log; no signature is checked but by aws-lc; no shared
//! secret and no `none` signs anything.

#![forbid(unsafe_code)]

mod algorithm;
mod config;
mod discovery;
mod exchange;
mod facts;
mod groups;
mod http;
mod id_token;
mod json;
mod jws;
mod keys;
mod provider;
mod sign_in;
mod text;
mod urls;
mod userinfo;

use omnigent_plugin::{
    Answer, Backend, BackendError, Host, Login, LoginRequest, State, Step, export_backend,
};

pub use algorithm::Algorithm;
pub use config::{AuthMethod, Config, Kind, Userinfo};

use exchange::Credentials;
use facts::Rules;
use http::Http;
use provider::Provider;
use sign_in::OpenId;

/// One configured provider.
pub struct Oidc(OpenId);

impl Backend for Oidc {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        OpenId::open(config, host).map(Self)
    }
}

impl Login for Oidc {
    async fn begin(&self, request: &LoginRequest) -> Result<Step, BackendError> {
        self.0.begin(request).await
    }

    async fn resume(&self, state: &State, answer: &Answer) -> Result<Step, BackendError> {
        self.0.resume(state, answer).await
    }
}

impl OpenId {
    fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        let Some(issuer) = config.issuer.clone() else {
            return Err(BackendError::misconfigured(
                "`issuer` is missing: set it to the provider's issuer URL, such as \
                 https://accounts.example.com",
            ));
        };
        let url = config::provider_url("issuer", &issuer)?;
        let http = Http::new(config.timeout()?, urls::is_loopback(&url))?;
        let secret = config.secret()?;
        if secret.is_none()
            && config
                .token_endpoint_auth_method
                .is_some_and(|m| m != AuthMethod::None)
        {
            return Err(BackendError::misconfigured(
                "`token_endpoint_auth_method` needs a `client_secret`: set one, or write \"none\"",
            ));
        }
        config.logout_redirect_uri()?;
        Ok(Self {
            credentials: Credentials {
                client_id: config.client_id()?,
                secret,
                method: config.token_endpoint_auth_method,
            },
            scopes: config.scopes(&["openid", "email", "profile"])?,
            rules: Rules {
                skip_email_verification: config.skip_email_verification,
                email_verified_as_string: config.email_verified_as_string,
                email_claim: config.email_claim.filter(|claim| claim != "email"),
                groups_claim: config.groups_claim,
            },
            userinfo: config.userinfo,
            revalidate: config.revalidate,
            provider: Provider::new(issuer, config.id_token_algorithms, http),
            host,
        })
    }
}

export_backend!(Oidc: Login; name = "oidc", title = "OpenID Connect");
