//! What a provider publishes about itself (OpenID Connect Discovery 1.0 section 3), believed only as
//! far as it fits what the operator wrote (THREATS O10).
//!
//! openidconnect's own type for it refuses whole documents over members nobody here reads; this one
//! reads what is used, and refuses any of that that is wrong.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{algorithm::Algorithm, config::AuthMethod, json::Object, text::sanitised, urls};

/// A provider's metadata.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metadata {
    /// Where people sign in.
    pub(crate) authorization_endpoint: Url,
    /// Where codes become tokens.
    pub(crate) token_endpoint: Url,
    /// Where the keys are.
    pub(crate) jwks_uri: Url,
    /// Where there is more about a person.
    pub(crate) userinfo_endpoint: Option<Url>,
    /// Where people sign out (OpenID Connect RP-Initiated Logout 1.0 section 2.1).
    pub(crate) end_session_endpoint: Option<Url>,
    /// The algorithms the provider signs with and we take.
    pub(crate) algorithms: Vec<Algorithm>,
    /// How a client proves itself: the better of what both know.
    pub(crate) auth_method: AuthMethod,
    /// Whether it says that it knows `offline_access`.
    pub(crate) offline_access: bool,
    /// Whether each callback names the issuer (RFC 9207 section 3).
    pub(crate) names_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where an issuer's metadata is (section 4).
///
/// # Errors
/// Never, for an issuer that is a URL.
pub(crate) fn location(issuer: &str) -> Result<Url, url::ParseError> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration"))
}

impl Metadata {
    /// Of a document.
    ///
    /// # Errors
    /// What is wrong with it, to follow "the provider's metadata".
    pub(crate) fn read(
        document: Object,
        issuer: &str,
        wanted: &[Algorithm],
    ) -> Result<Self, String> {
        let document = Document::deserialize(Value::Object(document))
            .map_err(|error| sanitised(&format!("cannot be read: {error}")))?;
        if document.issuer != issuer {
            let theirs = sanitised(&document.issuer);
            return Err(format!(
                "is of the issuer {theirs:?}, and `issuer` is {issuer:?}: they must be the same to \
                 the letter"
            ));
        }
        let base = Url::parse(issuer).map_err(|_| "has no issuer".to_owned())?;
        let endpoint = |name: &str, text: &str| {
            urls::endpoint(text, &base).map_err(|why| format!("has a `{name}` that {why}"))
        };
        let optional = |name: &str, text: Option<&String>| {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| endpoint(name, text)).transpose()
        };
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                &document.authorization_endpoint,
            )?,
            token_endpoint: endpoint("token_endpoint", &document.token_endpoint)?,
            jwks_uri: endpoint("jwks_uri", &document.jwks_uri)?,
            userinfo_endpoint: optional("userinfo_endpoint", document.userinfo_endpoint.as_ref())?,
            end_session_endpoint: optional(
                "end_session_endpoint",
                document.end_session_endpoint.as_ref(),
            )?,
            algorithms: algorithms(document.id_token_signing_alg_values_supported, wanted)?,
            auth_method: auth_method(document.token_endpoint_auth_methods_supported.as_deref()),
            offline_access: document
                .scopes_supported
                .is_some_and(|scopes| scopes.iter().any(|scope| scope == "offline_access")),
            names_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

/// What the operator wants, else what the provider says, of what there is. A provider that says
/// nothing signs with RS256 (OpenID Connect Core section 3.1.3.7, 7).
fn algorithms(theirs: Option<Vec<String>>, wanted: &[Algorithm]) -> Result<Vec<Algorithm>, String> {
    if !wanted.is_empty() {
        return Ok(wanted.to_vec());
    }
    let Some(theirs) = theirs else {
        return Ok(vec![Algorithm::RS256]);
    };
    let known = theirs.iter().filter_map(|name| Algorithm::named(name));
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return Err(
            "names no signature algorithm that can be taken (RS256, PS256, ES256, …)".into(),
        );
    }
    Ok(known)
}

/// Of what the provider takes; Basic if it does not say (Discovery section 3).
fn auth_method(theirs: Option<&[String]>) -> AuthMethod {
    let Some(theirs) = theirs else {
        return AuthMethod::ClientSecretBasic;
    };
    let has = |name| theirs.iter().any(|method| method == name);
    if !has("client_secret_basic") && has("client_secret_post") {
        return AuthMethod::ClientSecretPost;
    }
    AuthMethod::ClientSecretBasic
}
