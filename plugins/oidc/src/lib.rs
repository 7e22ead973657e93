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
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod github;
mod groups;
mod http;
mod id_token;
mod json;
mod jws;
mod keys;
mod logout;
mod openid;
mod party;
mod provider;
mod refresh;
mod sign_in;
#[cfg(test)]
mod tests;
mod text;
mod urls;
mod userinfo;
mod vault;

use std::sync::Arc;

use omnigent_plugin::{
    Answer, Backend, BackendError, Ended, Flow, Health, Host, Identity, IdentityRef, Login,
    LoginRequest, Logout, LogoutTarget, Revalidate, Standing, State, Step, export_backend,
};

pub use algorithm::Algorithm;
pub use config::{AuthMethod, Config, Kind, Prompt, Userinfo};

use github::Github;
use openid::OpenId;

/// One configured provider.
pub struct Oidc(Provider);

enum Provider {
    OpenId(Arc<OpenId>),
    Github(Box<Github>, Host),
}

impl Backend for Oidc {
    type Config = Config;

    async fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        Ok(Self(match config.kind {
            Kind::Oidc => Provider::OpenId(Arc::new(OpenId::open(config, host)?)),
            Kind::Github => Provider::Github(Box::new(Github::open(&config)?), host),
        }))
    }
}

impl Login for Oidc {
    const FLOW: Flow = Flow::Redirect;

    async fn begin(&self, request: &LoginRequest) -> Result<Step, BackendError> {
        match &self.0 {
            Provider::OpenId(openid) => openid.begin(request).await,
            Provider::Github(github, host) => github.begin(host, request),
        }
    }

    async fn resume(&self, state: &State, answer: &Answer) -> Result<Step, BackendError> {
        match &self.0 {
            Provider::OpenId(openid) => openid.resume(state, answer).await,
            Provider::Github(github, _) => github.resume(state, answer).await,
        }
    }
}

impl Revalidate for Oidc {
    async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, BackendError> {
        match &self.0 {
            Provider::OpenId(openid) => openid.revalidate(identity).await,
            Provider::Github(..) => Ok(Standing::holds()),
        }
    }
}

impl Logout for Oidc {
    async fn logout(&self, _: &Identity) -> Result<LogoutTarget, BackendError> {
        Ok(match &self.0 {
            Provider::OpenId(openid) => openid.logout().await,
            Provider::Github(github, _) => LogoutTarget {
                url: github.logout_redirect_uri.as_ref().map(ToString::to_string),
            },
        })
    }

    async fn ended(&self, notice: &str) -> Result<Option<Ended>, BackendError> {
        match &self.0 {
            Provider::OpenId(openid) => openid.ended(notice).await,
            Provider::Github(..) => Ok(None),
        }
    }
}

impl Health for Oidc {
    async fn health(&self) -> Result<(), BackendError> {
        match &self.0 {
            Provider::OpenId(openid) => openid.party.provider.health().await.map_err(Into::into),
            Provider::Github(..) => Ok(()),
        }
    }
}

export_backend!(Oidc: Login, Revalidate, Logout, Health; name = "oidc", title = "OpenID Connect");
