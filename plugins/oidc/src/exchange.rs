//! The client of the token endpoint: openidconnect's, over our HTTP and our keys.

use std::{borrow::Cow, pin::Pin};

use http::{Response, StatusCode};
use omnigent_plugin::BackendError;
use openidconnect::{
    AsyncHttpClient, AuthType, AuthUrl, AuthenticationFlow, AuthorizationCode, Client, ClientId,
    ClientSecret, CsrfToken, EmptyAdditionalClaims, EndpointNotSet, EndpointSet, HttpRequest,
    IssuerUrl, JsonWebKeySet, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse, TokenResponse,
    TokenUrl,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenResponse,
    },
};
use url::Url;

use crate::{
    config::{AuthMethod, Prompt},
    discovery::Metadata,
    http::{Failure, Http},
    keys::Key,
    text::sanitised,
};

type Inner = Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    Key,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    CoreTokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// This server, as the provider knows it.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) secret: Option<String>,
    pub(crate) method: Option<AuthMethod>,
}

/// What the token endpoint gave.
pub(crate) struct Tokens {
    pub(crate) id_token: Option<String>,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
}

/// Why it gave nothing.
#[derive(Debug)]
pub(crate) enum NoTokens {
    /// It said no: the error code, and what may be logged.
    Refused {
        /// RFC 6749 section 5.2; empty when the answer was no OAuth.
        code: String,
        /// For the log.
        why: String,
    },
    /// It did not say.
    CannotTell(Failure),
}

/// What an authorization request says.
pub(crate) struct Authorization<'a> {
    pub(crate) redirect_uri: &'a str,
    pub(crate) state: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) prompt: &'a [Prompt],
    /// Whether the person must prove who they are even if signed in at the provider.
    pub(crate) anew: bool,
}

/// The client, for one provider's metadata.
pub(crate) struct Exchange(Inner);

impl Exchange {
    /// # Errors
    /// When a URL is none, which the metadata's reader has ruled out.
    pub(crate) fn new(
        issuer: &str,
        metadata: &Metadata,
        credentials: &Credentials,
    ) -> Result<Self, BackendError> {
        let internal = |error: url::ParseError| BackendError::internal(error.to_string());
        let issuer = IssuerUrl::new(issuer.to_owned()).map_err(internal)?;
        let id = ClientId::new(credentials.client_id.clone());
        let mut client = Client::new(id, issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
        let method = credentials.method.unwrap_or(metadata.auth_method);
        if let (Some(secret), AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost) =
            (&credentials.secret, method)
        {
            client = client.set_client_secret(ClientSecret::new(secret.clone()));
        }
        let auth_type = match method {
            AuthMethod::ClientSecretBasic => AuthType::BasicAuth,
            AuthMethod::ClientSecretPost | AuthMethod::None => AuthType::RequestBody,
        };
        Ok(Self(client.set_auth_type(auth_type)))
    }

    /// Where to send a person: always with PKCE by S256 (RFC 7636; THREATS O2), whatever the
    /// provider says it knows.
    ///
    /// # Errors
    /// When the callback URL is none.
    pub(crate) fn authorize(&self, request: &Authorization<'_>) -> Result<Url, BackendError> {
        let redirect_uri = RedirectUrl::new(request.redirect_uri.to_owned())
            .map_err(|error| BackendError::internal(format!("the callback URL: {error}")))?;
        let verifier = PkceCodeVerifier::new(request.verifier.to_owned());
        let (state, nonce) = (request.state.to_owned(), request.nonce.to_owned());
        let mut url = self
            .0
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(redirect_uri));
        // The library asks for `openid` by itself.
        for scope in request.scopes.iter().filter(|scope| *scope != "openid") {
            url = url.add_scope(Scope::new(scope.clone()));
        }
        let asks = |prompt| request.prompt.contains(&prompt);
        for (is_wanted, prompt) in [
            (request.anew || asks(Prompt::Login), CoreAuthPrompt::Login),
            (asks(Prompt::Consent), CoreAuthPrompt::Consent),
            (asks(Prompt::SelectAccount), CoreAuthPrompt::SelectAccount),
        ] {
            if is_wanted {
                url = url.add_prompt(prompt);
            }
        }
        if request.anew {
            url = url.set_max_age(std::time::Duration::ZERO);
        }
        Ok(url.url().0)
    }

    /// A code for tokens.
    ///
    /// # Errors
    /// [`NoTokens`].
    pub(crate) async fn code(
        &self,
        http: &Http,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<Tokens, NoTokens> {
        let redirect_uri = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|error| refused("", &format!("the callback URL: {error}")))?;
        let answer = self
            .0
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .set_redirect_uri(Cow::Owned(redirect_uri))
            .request_async(http)
            .await;
        tokens(answer)
    }

    /// A refresh token for newer ones.
    ///
    /// # Errors
    /// [`NoTokens`].
    pub(crate) async fn refresh(&self, http: &Http, token: &str) -> Result<Tokens, NoTokens> {
        let answer = self
            .0
            .exchange_refresh_token(&RefreshToken::new(token.to_owned()))
            .request_async(http)
            .await;
        tokens(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Failure>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async {
            let (object, mut answer) = self.send_json(request).await?;
            // GitHub says no with a 200; RFC 6749 section 5.2 wants a 400.
            if object.contains_key("error") && !object.contains_key("access_token") {
                *answer.status_mut() = StatusCode::BAD_REQUEST;
            }
            Ok(answer)
        })
    }
}

fn refused(code: &str, why: &str) -> NoTokens {
    NoTokens::Refused {
        code: sanitised(code),
        why: sanitised(why),
    }
}

fn tokens(
    answer: Result<
        CoreTokenResponse,
        RequestTokenError<Failure, StandardErrorResponse<CoreErrorResponseType>>,
    >,
) -> Result<Tokens, NoTokens> {
    match answer {
        Ok(tokens) => Ok(Tokens {
            id_token: tokens.id_token().map(ToString::to_string),
            access_token: tokens.access_token().secret().clone(),
            refresh_token: tokens.refresh_token().map(|token| token.secret().clone()),
        }),
        Err(RequestTokenError::Request(failure)) => Err(NoTokens::CannotTell(failure)),
        Err(RequestTokenError::ServerResponse(error)) => {
            let code = error.error().as_ref();
            Err(refused(code, &format!("the provider says {error}")))
        }
        // Never the answer itself: it may hold tokens. What is wrong with it is told up to the first
        // value that is quoted from it.
        Err(RequestTokenError::Parse(error, _)) => {
            let what = error.inner().to_string();
            let what = what.rsplit("Error(\"").next().unwrap_or_default();
            let what = what.split(['"', '\\']).next().unwrap_or_default();
            Err(refused("", &format!("the token answer is wrong: {what}")))
        }
        Err(RequestTokenError::Other(why)) => Err(refused("", &why)),
    }
}
