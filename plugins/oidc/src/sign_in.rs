//! Signing in with the authorization code flow (OpenID Connect Core 1.0 section 3.1).
//!
//! The server keeps the state cookie, gives `return_state` and hands back only what returns with
//! it (THREATS O1). Here: PKCE, nonce, the exchange, the tokens, and who that makes somebody. Time
//! and chance come from outside.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use omnigent_plugin::{
    Answer, BackendError, Identity, LoginRequest, Purpose, Standing, State, Step,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Userinfo,
    discovery::Metadata,
    exchange::{Authorization, Exchange, NoTokens, Tokens},
    facts::NoIdentity,
    id_token::{self, Expected},
    json::Object,
    party::Party,
    provider::BadToken,
    text::sanitised,
    userinfo,
};

/// What people are told when they may not come in. Fixed: nothing a provider writes is shown.
pub(crate) const CANCELLED: &str = "Sign-in was cancelled at the identity provider";
const PROVIDER_REFUSED: &str = "The identity provider refused the sign-in";
pub(crate) const WRONG_ISSUER: &str = "The answer came from another identity provider";
pub(crate) const EXCHANGE_FAILED: &str = "Token exchange failed";
pub(crate) const BAD_TOKEN: &str = "The identity provider's answer could not be verified";
pub(crate) const NO_EMAIL: &str = "Could not determine user email from IdP";
pub(crate) const TOO_MANY_GROUPS: &str =
    "The identity provider did not say which groups you are in";

/// Why a provider's word leads to nobody.
enum NoOne {
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

/// What a sign-in is begun with: unguessable words, and the time.
pub(crate) struct Fresh {
    pub(crate) nonce: [u8; 32],
    pub(crate) verifier: [u8; 32],
    pub(crate) now: i64,
}

/// How a sign-in ends.
pub(crate) enum Ending {
    /// The person is in.
    In(Box<Identity>, Tokens),
    /// They are not.
    Out {
        /// What they are told.
        step: Step,
        /// What the operator has to act on, if anything.
        error: Option<String>,
    },
}

impl Ending {
    fn out(message: &str, why: impl Into<String>) -> Self {
        Self::Out {
            step: Step::refused(message, why),
            error: None,
        }
    }
}

impl Party {
    pub(crate) async fn begin(
        &self,
        request: &LoginRequest,
        fresh: &Fresh,
    ) -> Result<Step, BackendError> {
        let metadata = self.provider.metadata().await?;
        let begun = Begun {
            nonce: BASE64.encode(fresh.nonce),
            verifier: BASE64.encode(fresh.verifier),
            redirect_uri: request.callback_url.clone(),
            at: fresh.now,
            anew: request.purpose == Purpose::Reauthenticate,
        };
        let mut scopes = self.scopes.clone();
        let offline = "offline_access".to_owned();
        if self.revalidate && metadata.offline_access && !scopes.contains(&offline) {
            scopes.push(offline);
        }
        let url = self.exchange(&metadata)?.authorize(&Authorization {
            redirect_uri: &begun.redirect_uri,
            state: &request.return_state,
            nonce: &begun.nonce,
            verifier: &begun.verifier,
            scopes: &scopes,
            prompt: &self.prompt,
            anew: begun.anew,
        })?;
        let state = State::new(&begun).map_err(|e| BackendError::internal(e.to_string()))?;
        Ok(Step::redirect(url, state))
    }

    pub(crate) async fn resume(
        &self,
        state: &State,
        answer: &Answer,
        now: i64,
    ) -> Result<Ending, BackendError> {
        let begun: Begun = state
            .get()
            .map_err(|e| BackendError::internal(format!("the state cannot be read: {e}")))?;
        let query = &answer.callback;
        if let Some(step) = came_back(query, self.provider.issuer()) {
            return Ok(Ending::Out { step, error: None });
        }
        let metadata = self.provider.metadata().await?;
        if metadata.names_issuer && !query.contains_key("iss") {
            let why = "the answer names no issuer, though the provider says it always does";
            return Ok(Ending::out(WRONG_ISSUER, why));
        }
        let Some(code) = query.get("code").filter(|code| !code.is_empty()) else {
            return Ok(Ending::out(EXCHANGE_FAILED, "the answer holds no code"));
        };
        let http = self.provider.http();
        let exchange = self.exchange(&metadata)?;
        let answer = exchange.code(http, code, &begun.verifier, &begun.redirect_uri);
        match answer.await {
            Ok(tokens) => self.accept(&begun, &metadata, tokens, now).await,
            Err(NoTokens::CannotTell(failure)) => Err(failure.into()),
            Err(NoTokens::Refused { code, why }) => {
                let is_ours = matches!(code.as_str(), "invalid_client" | "unauthorized_client");
                let remedy = "check `client_id`, `client_secret`, `token_endpoint_auth_method`";
                Ok(Ending::Out {
                    error: is_ours.then(|| format!("{why}: {remedy}")),
                    step: Step::refused(EXCHANGE_FAILED, why),
                })
            }
        }
    }

    pub(crate) fn exchange(&self, metadata: &Metadata) -> Result<Exchange, BackendError> {
        Exchange::new(self.provider.issuer(), metadata, &self.credentials)
    }

    async fn accept(
        &self,
        begun: &Begun,
        metadata: &Metadata,
        tokens: Tokens,
        now: i64,
    ) -> Result<Ending, BackendError> {
        let Some(id_token) = &tokens.id_token else {
            let why = "the token answer holds no id_token: is the scope `openid` allowed?";
            return Ok(Ending::out(EXCHANGE_FAILED, why));
        };
        let expected = Expected {
            nonce: Some(&begun.nonce),
            authenticated_since: begun.anew.then_some(begun.at),
            ..self.expected(&tokens, now)
        };
        let claims = match self.verified(id_token, metadata, &expected).await? {
            Ok(claims) => claims,
            Err(why) => return Ok(Ending::out(BAD_TOKEN, why)),
        };
        Ok(match self.who(metadata, &tokens, &claims).await? {
            Ok(identity) => Ending::In(Box::new(identity), tokens),
            Err(NoOne::Unverified(why)) => Ending::out(BAD_TOKEN, why),
            Err(NoOne::Person(no)) => {
                let (message, why) = explained(no);
                Ending::Out {
                    error: (message == TOO_MANY_GROUPS).then(|| why.clone()),
                    step: Step::refused(message, why),
                }
            }
        })
    }

    /// Whom newer tokens are about: a changed identity, nobody any more, or (without an id_token)
    /// nothing new.
    pub(crate) async fn renewed(
        &self,
        subject: &str,
        metadata: &Metadata,
        tokens: &Tokens,
        now: i64,
    ) -> Result<Standing, BackendError> {
        let Some(id_token) = &tokens.id_token else {
            return Ok(Standing::holds());
        };
        let not_believed = |why: &str| {
            let text = format!("the provider's refresh answer is not believed: {why}");
            Err(BackendError::unavailable(text))
        };
        let expected = self.expected(tokens, now);
        let claims = match self.verified(id_token, metadata, &expected).await? {
            Ok(claims) => claims,
            Err(why) => return not_believed(&why),
        };
        if id_token::subject(&claims) != Ok(subject) {
            return not_believed("it is about somebody else (`sub`)");
        }
        match self.who(metadata, tokens, &claims).await? {
            Ok(identity) => Ok(Standing::Holds {
                identity: Some(identity),
            }),
            Err(NoOne::Unverified(why)) => not_believed(&why),
            Err(NoOne::Person(no)) => Ok(Standing::gone(explained(no).1)),
        }
    }

    fn expected<'a>(&'a self, tokens: &'a Tokens, now: i64) -> Expected<'a> {
        Expected {
            issuer: self.provider.issuer(),
            client_id: &self.credentials.client_id,
            now,
            nonce: None,
            access_token: Some(&tokens.access_token),
            authenticated_since: None,
        }
    }

    /// What an id_token says, or why it is not believed.
    async fn verified(
        &self,
        id_token: &str,
        metadata: &Metadata,
        expected: &Expected<'_>,
    ) -> Result<Result<Object, String>, BackendError> {
        let verified = match self.provider.verify(id_token, metadata).await {
            Ok(verified) => verified,
            Err(BadToken::CannotTell(failure)) => return Err(failure.into()),
            Err(BadToken::Refused(why)) => return Ok(Err(why)),
        };
        let checked = id_token::check(id_token, &verified, expected);
        Ok(checked.map(|()| verified.claims))
    }

    /// Who it is, with what userinfo says if that is wanted.
    async fn who(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        claims: &Object,
    ) -> Result<Result<Identity, NoOne>, BackendError> {
        let subject = match id_token::subject(claims) {
            Ok(subject) => subject,
            Err(why) => return Ok(Err(NoOne::Unverified(why))),
        };
        let wanted = match self.userinfo {
            Userinfo::Always => true,
            Userinfo::Never => false,
            Userinfo::WhenNeeded => self.rules.needs_more(claims),
        };
        let mut sources = vec![claims];
        let more;
        if let (true, Some(url)) = (wanted, &metadata.userinfo_endpoint) {
            let http = self.provider.http();
            match userinfo::fetch(http, url, &tokens.access_token, subject).await? {
                Ok(claims) => {
                    more = claims;
                    sources.push(&more);
                }
                Err(why) => return Ok(Err(NoOne::Unverified(why))),
            }
        }
        let issuer = self.provider.issuer();
        let identity = self.rules.identity(issuer, subject, &sources);
        Ok(identity.map_err(NoOne::Person))
    }
}

/// What the person is told, and what the log is.
fn explained(no: NoIdentity) -> (&'static str, String) {
    match no {
        NoIdentity::NoName(why) => (NO_EMAIL, why),
        NoIdentity::Wrong(why) => (BAD_TOKEN, why),
        NoIdentity::TooManyGroups => {
            let why = "the provider left the groups out, as a person is in too many (Entra ID: \
                       group overage). Let it send only groups assigned to the application, or \
                       app roles with `groups_claim = \"roles\"`; or write `groups_claim = \"\"` \
                       if nothing here goes by groups";
            (TOO_MANY_GROUPS, why.to_owned())
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
