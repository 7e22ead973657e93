//! GitHub: OAuth 2 and an API instead of OpenID Connect.
//!
//! There is no id_token: what counts is what the API says to a token that came straight from the
//! token endpoint. Nothing tells whether a person still may, so an identity holds until its session
//! ends; and GitHub cannot be asked to have people sign in anew.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::StatusCode;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse,
    TokenUrl, basic::BasicClient,
};
use omnigent_plugin::{Answer, BackendError, Host, Identity, LoginRequest, Purpose, State, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    config::{self, Config},
    exchange::Credentials,
    facts,
    http::{Failure, Http, get},
    json::{self, Object},
    sign_in::{EXCHANGE_FAILED, NO_EMAIL, came_back},
    text::sanitised,
    urls,
};

const NOT_A_MEMBER: &str = "Only members of certain GitHub organizations may sign in here";
const NOT_ANEW: &str = "GitHub cannot be asked to have you sign in anew";
/// Pages of 100 organisations that are read.
const PAGES: u32 = 5;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// GitHub, to sign in with.
pub(crate) struct Github {
    http: Http,
    client: Client,
    scopes: Vec<String>,
    issuer: String,
    api: Url,
    orgs: Vec<String>,
    by_login: bool,
    pub(crate) logout_redirect_uri: Option<Url>,
}

/// What is remembered while somebody is at GitHub.
#[derive(Serialize, Deserialize)]
struct Begun {
    verifier: String,
    redirect_uri: String,
}

/// What the API said.
enum Answered {
    Value(Value),
    Refused(String),
}

impl Github {
    /// # Errors
    /// [`BackendError::Misconfigured`].
    pub(crate) fn open(config: &Config) -> Result<Self, BackendError> {
        let web = config::provider_url("web_url", &config.web_url)?;
        let api = config::provider_url("api_url", &config.api_url)?;
        let by_login = match config.email_claim.as_deref() {
            None | Some("email") => false,
            Some("login") => true,
            Some(_) => {
                return Err(BackendError::misconfigured(
                    "`email_claim` must be \"email\" or \"login\" for `type = \"github\"`",
                ));
            }
        };
        if config.skip_email_verification {
            return Err(BackendError::misconfigured(
                "`skip_email_verification` cannot be used with `type = \"github\"`, where people \
                 choose their own addresses: leave it out",
            ));
        }
        let Some(secret) = config.secret()? else {
            return Err(BackendError::misconfigured(
                "`client_secret` is missing: GitHub gives every application one",
            ));
        };
        let default: &[&str] = match config.allowed_orgs.is_empty() {
            true => &["read:user", "user:email"],
            false => &["read:user", "user:email", "read:org"],
        };
        let credentials = Credentials {
            client_id: config.client_id()?,
            secret: Some(secret),
            method: None,
        };
        Ok(Self {
            http: Http::new(config.timeout()?, urls::is_loopback(&api))?,
            client: client(&web, credentials),
            scopes: config.scopes(default)?,
            issuer: web.as_str().trim_end_matches('/').to_owned(),
            api,
            orgs: config.allowed_orgs.clone(),
            by_login,
            logout_redirect_uri: config.logout_redirect_uri()?,
        })
    }

    pub(crate) fn begin(&self, host: &Host, request: &LoginRequest) -> Result<Step, BackendError> {
        if request.purpose == Purpose::Reauthenticate {
            return Ok(Step::refused(NOT_ANEW, NOT_ANEW));
        }
        let begun = Begun {
            verifier: BASE64.encode(host.random::<32>()?),
            redirect_uri: request.callback_url.clone(),
        };
        let url = authorize(&self.client, &self.scopes, &begun, &request.return_state)?;
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
        if let Some(refusal) = came_back(&answer.callback, &self.names_itself()) {
            return Ok(refusal);
        }
        let code = answer.callback.get("code").cloned().unwrap_or_default();
        let token = match self.token(code, begun).await? {
            Ok(token) => token,
            Err(why) => return Ok(Step::refused(EXCHANGE_FAILED, why)),
        };
        let mut told = Vec::new();
        for path in ["user", "user/emails"] {
            match self.api(path, &token).await? {
                Answered::Value(value) => told.push(value),
                Answered::Refused(why) => return Ok(Step::refused(EXCHANGE_FAILED, why)),
            }
        }
        let orgs = match self.orgs(&token).await? {
            Ok(orgs) => orgs,
            Err(why) => return Ok(Step::refused(NOT_A_MEMBER, why)),
        };
        if !is_member(&orgs, &self.orgs) {
            return Ok(Step::refused(NOT_A_MEMBER, "in none of `allowed_orgs`"));
        }
        let (user, emails) = match told.as_slice() {
            [user, emails] => (user, emails),
            _ => return Err(BackendError::internal("two answers were asked for")),
        };
        Ok(
            match identity(&self.issuer, user, emails, orgs, self.by_login) {
                Ok(identity) => Step::accept(identity),
                Err(why) => Step::refused(NO_EMAIL, why),
            },
        )
    }

    /// What GitHub puts into `iss` (RFC 9207): not the issuer, which is part of every identity here.
    fn names_itself(&self) -> String {
        format!("{}/login/oauth", self.issuer)
    }

    async fn token(
        &self,
        code: String,
        begun: Begun,
    ) -> Result<Result<String, String>, BackendError> {
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier))
            .set_redirect_uri(Cow::Owned(redirect_uri(begun.redirect_uri)?))
            .request_async(&self.http)
            .await;
        match answer {
            Ok(tokens) => Ok(Ok(tokens.access_token().secret().clone())),
            Err(RequestTokenError::Request(failure)) => Err(failure.into()),
            Err(RequestTokenError::ServerResponse(error)) => {
                Ok(Err(sanitised(&format!("GitHub says {error}"))))
            }
            Err(_) => Ok(Err("GitHub's token answer is wrong".into())),
        }
    }

    async fn api(&self, path: &str, token: &str) -> Result<Answered, Failure> {
        let base = self.api.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/{path}"))
            .map_err(|error| Failure(format!("`api_url`: {error}")))?;
        let answer = self.http.send(get(&url, Some(token))?).await?;
        match answer.status() {
            StatusCode::OK => json::value(answer.body())
                .map(Answered::Value)
                .map_err(|why| Failure(format!("GitHub's answer is {why}"))),
            // Forbidden is what GitHub says to whom it limits, too.
            StatusCode::FORBIDDEN => Err(Failure("GitHub's API answered 403".into())),
            status => Ok(Answered::Refused(format!(
                "GitHub's API answered {}",
                status.as_u16()
            ))),
        }
    }

    /// The organisations, if it matters.
    async fn orgs(&self, token: &str) -> Result<Result<Vec<String>, String>, BackendError> {
        let mut all = Vec::new();
        if self.orgs.is_empty() {
            return Ok(Ok(all));
        }
        for page in 1..=PAGES {
            let path = format!("user/orgs?per_page=100&page={page}");
            let value = match self.api(&path, token).await? {
                Answered::Value(value) => value,
                Answered::Refused(why) => return Ok(Err(why)),
            };
            match logins(&value) {
                Ok(page) if page.len() < 100 => {
                    all.extend(page);
                    break;
                }
                Ok(page) => all.extend(page),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(all))
    }
}

fn client(web: &Url, credentials: Credentials) -> Client {
    let endpoint = |path: &str| {
        let mut url = web.clone();
        url.set_path(&format!(
            "{}/login/oauth/{path}",
            web.path().trim_end_matches('/')
        ));
        url
    };
    let secret = credentials.secret.unwrap_or_default();
    BasicClient::new(ClientId::new(credentials.client_id))
        .set_client_secret(ClientSecret::new(secret))
        .set_auth_type(oauth2::AuthType::RequestBody)
        .set_auth_uri(AuthUrl::from_url(endpoint("authorize")))
        .set_token_uri(TokenUrl::from_url(endpoint("access_token")))
}

fn redirect_uri(text: String) -> Result<RedirectUrl, BackendError> {
    RedirectUrl::new(text)
        .map_err(|error| BackendError::internal(format!("the callback URL: {error}")))
}

fn authorize(
    client: &Client,
    scopes: &[String],
    begun: &Begun,
    state: &str,
) -> Result<Url, BackendError> {
    let verifier = PkceCodeVerifier::new(begun.verifier.clone());
    let url = client
        .authorize_url(|| CsrfToken::new(state.to_owned()))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .set_redirect_uri(Cow::Owned(redirect_uri(begun.redirect_uri.clone())?))
        .add_scopes(scopes.iter().cloned().map(Scope::new));
    Ok(url.url().0)
}

/// The names of organisations.
pub(crate) fn logins(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || "GitHub's list of organizations is wrong".to_owned();
    let entries = value.as_array().ok_or_else(wrong)?;
    let names = entries
        .iter()
        .map(|org| Some(org.get("login")?.as_str()?.to_owned()));
    names.collect::<Option<_>>().ok_or_else(wrong)
}

/// GitHub's names know no case.
pub(crate) fn is_member(orgs: &[String], allowed: &[String]) -> bool {
    let allows = |org: &String| allowed.iter().any(|name| name.eq_ignore_ascii_case(org));
    allowed.is_empty() || orgs.iter().any(allows)
}

/// Who it is: the number, which never changes hands, and the primary address if it is verified.
///
/// # Errors
/// Why nobody; for the log.
pub(crate) fn identity(
    issuer: &str,
    user: &Value,
    emails: &Value,
    orgs: Vec<String>,
    by_login: bool,
) -> Result<Identity, String> {
    let user: &Object = user.as_object().ok_or("GitHub's user is no object")?;
    let id = user.get("id").and_then(Value::as_u64).filter(|id| *id > 0);
    let id = id.ok_or("GitHub's user has no number (`id`)")?;
    let login = json::text(user, "login")?.unwrap_or_default();
    let is = |email: &Value, what: &str| email.get(what) == Some(&Value::Bool(true));
    let emails = emails
        .as_array()
        .ok_or("GitHub's list of addresses is wrong")?;
    let primary = emails
        .iter()
        .find(|email| is(email, "primary") && is(email, "verified"))
        .and_then(|email| facts::address(email.get("email")?.as_str()?));
    let username = match (by_login, &primary) {
        (true, _) if login.is_empty() => return Err("GitHub's user has no `login`".into()),
        (true, _) => login.to_ascii_lowercase(),
        (false, Some(email)) => email.clone(),
        (false, None) => return Err("no primary address that GitHub has verified".into()),
    };
    let name = json::text(user, "name")?.filter(|name| !name.trim().is_empty());
    Ok(Identity {
        subject: id.to_string(),
        issuer: Some(issuer.to_owned()),
        username: Some(username),
        email_verified: primary.is_some(),
        email: primary,
        display_name: Some(facts::displayed(name.unwrap_or(login))),
        groups: orgs,
        session: None,
    })
}
