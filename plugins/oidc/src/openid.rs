//! A relying party in this server: with its clock, its chance, its log and its store.

use std::time::UNIX_EPOCH;

use omnigent_plugin::{
    Answer, BackendError, Ended, Host, Level, LoginRequest, LogoutTarget, State, Step,
};

use crate::{
    config::Config,
    logout::{self, Seen},
    party::Party,
    provider::BadToken,
    refresh::Keeper,
    sign_in::{Ending, Fresh},
};

/// An OpenID Connect provider, to sign in with.
pub(crate) struct OpenId {
    pub(crate) host: Host,
    pub(crate) party: Party,
    pub(crate) keeper: Keeper,
    seen: Seen,
}

impl OpenId {
    pub(crate) fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        Ok(Self {
            host,
            party: Party::of(config)?,
            keeper: Keeper::new(),
            seen: Seen::default(),
        })
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        let since = self.host.now().duration_since(UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
    }

    pub(crate) async fn begin(&self, request: &LoginRequest) -> Result<Step, BackendError> {
        let fresh = Fresh {
            nonce: self.host.random()?,
            verifier: self.host.random()?,
            now: self.now(),
        };
        self.party.begin(request, &fresh).await
    }

    pub(crate) async fn resume(
        &self,
        state: &State,
        answer: &Answer,
    ) -> Result<Step, BackendError> {
        match self.party.resume(state, answer, self.now()).await? {
            Ending::In(identity, tokens) => {
                self.keep(&identity.subject, &tokens).await;
                Ok(Step::accept(*identity))
            }
            Ending::Out { step, error } => {
                if let Some(error) = error {
                    self.host.log(Level::Error, &error);
                }
                Ok(step)
            }
        }
    }

    pub(crate) async fn logout(&self) -> LogoutTarget {
        let metadata = self.party.provider.metadata().await.ok();
        logout::target(
            metadata.as_deref(),
            &self.party.credentials.client_id,
            self.party.logout_redirect_uri.as_ref(),
            self.host.public_url(),
        )
    }

    pub(crate) async fn ended(&self, notice: &str) -> Result<Option<Ended>, BackendError> {
        let provider = &self.party.provider;
        let metadata = provider.metadata().await?;
        let told = match provider.verify(notice, &metadata).await {
            Err(BadToken::CannotTell(failure)) => return Err(failure.into()),
            Err(BadToken::Refused(why)) => Err(why),
            Ok(token) => logout::ended(
                &token.claims,
                token.typ.as_deref(),
                provider.issuer(),
                &self.party.credentials.client_id,
                self.now(),
                &self.seen,
            ),
        };
        if let Err(why) = &told {
            let text = format!("a logout notice is refused: {why}");
            self.host.log(Level::Warn, &text);
        }
        Ok(told.ok())
    }
}
