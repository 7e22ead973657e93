//! Signing in with the authorization code flow (OpenID Connect Core 1.0 section 3.1).
//!
//! The server keeps the state cookie, gives `return_state` and hands back only what returns with
//! it (THREATS O1). Here: PKCE, nonce, the exchange, the tokens, and who that makes somebody.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use omnigent_plugin::{
    Answer, BackendError, Host, Identity, Level, LoginRequest, Purpose, State, Step,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, Userinfo},
    discovery::Metadata,
    exchange::{Authorization, Exchange, NoTokens, Tokens},
    facts::NoIdentity,
    id_token::{self, Expected},
    json::Object,
    logout::Seen,
    open::Checked,
    provider::BadToken,
    refresh::Keeper,
    text::sanitised,
    userinfo,
};

/// What people are told when they may not come in. Fixed: nothing a provider writes is shown.
pub(crate) const CANCELLED: &str = "Sign-in was cancelled at the identity provider";
const PROVIDER_REFUSED: &str = "The identity provider refused the sign-in";
const WRONG_ISSUER: &str = "The answer came from another identity provider";
pub(crate) const EXCHANGE_FAILED: &str = "Token exchange failed";
const BAD_TOKEN: &str = "The identity provider's answer could not be verified";
pub(crate) const NO_EMAIL: &str = "Could not determine user email from IdP";
const TOO_MANY_GROUPS: &str = "The identity provider did not say which groups you are in";

/// An OpenID Connect provider, to sign in with.
pub(crate) struct OpenId {
    pub(crate) host: Host,
    pub(crate) with: Checked,
    pub(crate) keeper: Keeper,
    pub(crate) seen: Seen,
}

/// Why a provider's word leads to nobody.
pub(crate) enum NoOne {
    /// The word is not believed.
    Unverified(String),
    /// It is, and there is nobody to go by it.
    Person(NoIdentity),
}

/// What is remembered while somebody is at the provider.
#[derive(Serialize, Deserialize)]
struct Begun {
    nonce: String,
    verifier: String,
    redirect_uri: String,
    at: i64,
    anew: bool,
}

impl OpenId {
    pub(crate) fn open(config: Config, host: Host) -> Result<Self, BackendError> {
        Ok(Self {
            host,
            with: Checked::of(config)?,
            keeper: Keeper::new(),
            seen: Seen::default(),
        })
    }

    pub(crate) async fn begin(&self, request: &LoginRequest) -> Result<Step, BackendError> {
        let metadata = self.with.provider.metadata().await?;
        let begun = Begun {
            nonce: BASE64.encode(self.host.random::<32>()?),
            verifier: BASE64.encode(self.host.random::<32>()?),
            redirect_uri: request.callback_url.clone(),
            at: seconds(self.host.now()),
            anew: request.purpose == Purpose::Reauthenticate,
        };
        let mut scopes = self.with.scopes.clone();
        if self.with.revalidate && metadata.offline_access {
            scopes.push("offline_access".into());
        }
        let url = self.exchange(&metadata)?.authorize(&Authorization {
            redirect_uri: &begun.redirect_uri,
            state: &request.return_state,
            nonce: &begun.nonce,
            verifier: &begun.verifier,
            scopes: &scopes,
            prompt: &self.with.prompt,
            anew: begun.anew,
        })?;
        let state = State::new(&begun).map_err(|e| BackendError::internal(e.to_string()))?;
        Ok(Step::redirect(url, state))
    }

    pub(crate) async fn resume(
        &self,
        state: &State,
        answer: &Answer,
    ) -> Result<Step, BackendError> {
        let begun: Begun = state
            .get()
            .map_err(|e| BackendError::internal(format!("the state cannot be read: {e}")))?;
        let query = &answer.callback;
        if let Some(refusal) = came_back(query, self.with.provider.issuer()) {
            return Ok(refusal);
        }
        let metadata = self.with.provider.metadata().await?;
        if metadata.names_issuer && !query.contains_key("iss") {
            let why = "the answer names no issuer, though the provider says it always does";
            return Ok(Step::refused(WRONG_ISSUER, why));
        }
        let code = query.get("code").map_or("", String::as_str);
        let exchange = self.exchange(&metadata)?;
        let tokens = exchange
            .code(
                self.with.provider.http(),
                code,
                &begun.verifier,
                &begun.redirect_uri,
            )
            .await;
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(NoTokens::CannotTell(failure)) => return Err(failure.into()),
            Err(NoTokens::Refused { code, why }) => {
                if matches!(code.as_str(), "invalid_client" | "unauthorized_client") {
                    let remedy = "check `client_id`, `client_secret`, `token_endpoint_auth_method`";
                    self.host.log(Level::Error, &format!("{why}: {remedy}"));
                }
                return Ok(Step::refused(EXCHANGE_FAILED, why));
            }
        };
        self.accept(&begun, &metadata, &tokens).await
    }

    pub(crate) fn exchange(&self, metadata: &Metadata) -> Result<Exchange, BackendError> {
        Exchange::new(
            self.with.provider.issuer(),
            metadata,
            &self.with.credentials,
        )
    }

    async fn accept(
        &self,
        begun: &Begun,
        metadata: &Metadata,
        tokens: &Tokens,
    ) -> Result<Step, BackendError> {
        let Some(id_token) = &tokens.id_token else {
            let why = "the token answer holds no id_token: is the scope `openid` allowed?";
            return Ok(Step::refused(EXCHANGE_FAILED, why));
        };
        let expected = Expected {
            nonce: Some(&begun.nonce),
            authenticated_since: begun.anew.then_some(begun.at),
            ..self.expected(tokens)
        };
        let claims = match self.verified(id_token, metadata, &expected).await? {
            Ok(claims) => claims,
            Err(why) => return Ok(Step::refused(BAD_TOKEN, why)),
        };
        Ok(match self.who(metadata, tokens, &claims).await? {
            Ok(identity) => {
                self.keep(&identity.subject, tokens).await;
                Step::accept(identity)
            }
            Err(NoOne::Unverified(why)) => Step::refused(BAD_TOKEN, why),
            Err(NoOne::Person(no)) => {
                let (message, why) = self.explained(no);
                Step::refused(message, why)
            }
        })
    }

    pub(crate) fn expected<'a>(&'a self, tokens: &'a Tokens) -> Expected<'a> {
        Expected {
            issuer: self.with.provider.issuer(),
            client_id: &self.with.credentials.client_id,
            now: seconds(self.host.now()),
            nonce: None,
            access_token: Some(&tokens.access_token),
            authenticated_since: None,
        }
    }

    /// What an id_token says, or why it is not believed.
    pub(crate) async fn verified(
        &self,
        id_token: &str,
        metadata: &Metadata,
        expected: &Expected<'_>,
    ) -> Result<Result<Object, String>, BackendError> {
        let verified = match self.with.provider.verify(id_token, metadata).await {
            Ok(verified) => verified,
            Err(BadToken::CannotTell(failure)) => return Err(failure.into()),
            Err(BadToken::Refused(why)) => return Ok(Err(why)),
        };
        let checked = id_token::check(id_token, &verified, expected);
        Ok(checked.map(|()| verified.claims))
    }

    /// Who it is, or a refusal.
    pub(crate) async fn who(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        claims: &Object,
    ) -> Result<Result<Identity, NoOne>, BackendError> {
        let subject = match id_token::subject(claims) {
            Ok(subject) => subject,
            Err(why) => return Ok(Err(NoOne::Unverified(why))),
        };
        let wanted = match self.with.userinfo {
            Userinfo::Always => true,
            Userinfo::Never => false,
            Userinfo::WhenNeeded => self.with.rules.needs_more(claims),
        };
        let mut sources = vec![claims];
        let more;
        if let (true, Some(url)) = (wanted, &metadata.userinfo_endpoint) {
            let http = self.with.provider.http();
            match userinfo::fetch(http, url, &tokens.access_token, subject).await? {
                Ok(claims) => {
                    more = claims;
                    sources.push(&more);
                }
                Err(why) => return Ok(Err(NoOne::Unverified(why))),
            }
        }
        let identity = self
            .with
            .rules
            .identity(self.with.provider.issuer(), subject, &sources);
        Ok(identity.map_err(NoOne::Person))
    }

    /// What the person is told, and what the log is.
    pub(crate) fn explained(&self, no: NoIdentity) -> (&'static str, String) {
        match no {
            NoIdentity::NoName(why) => (NO_EMAIL, why),
            NoIdentity::Wrong(why) => (BAD_TOKEN, why),
            NoIdentity::TooManyGroups => {
                let why = "the provider left the groups out, as a person is in too many (Entra ID: \
                           group overage). Let it send only groups assigned to the application, or \
                           app roles with `groups_claim = \"roles\"`; or write `groups_claim = \
                           \"\"` if nothing here goes by groups";
                self.host.log(Level::Error, why);
                (TOO_MANY_GROUPS, why.to_owned())
            }
        }
    }
}

/// The refusal in the query somebody came back with, before anything is asked of the provider.
pub(crate) fn came_back(query: &BTreeMap<String, String>, issuer: &str) -> Option<Step> {
    // RFC 9207 section 2.4: before anything else in it is believed.
    if query.get("iss").is_some_and(|iss| iss != issuer) {
        return Some(Step::refused(
            WRONG_ISSUER,
            "`iss` of the answer is another issuer",
        ));
    }
    let error = query.get("error")?;
    if error == "access_denied" {
        return Some(Step::refused(CANCELLED, "access_denied"));
    }
    let text = query.get("error_description").map_or("", String::as_str);
    let (error, text) = (sanitised(error), sanitised(text));
    let why = format!("the provider says {error}: {text}");
    Some(Step::refused(PROVIDER_REFUSED, why))
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
