//! The claim format, all of it (RFC 7519, CONTRACT section 2).
//!
//! **Invariant:** claims are read into a strict struct: every claim is required by name, has one
//! type, and appears once; a claim nobody named makes the token malformed.

use serde::{Deserialize, Deserializer, Serialize};

use super::Scopes;
use crate::{
    clock::Timestamp,
    id::{GrantId, LoginId, TokenId, Uid},
};

/// What a token is for (`token_use` claim). A token of one use is worth nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// A login's access token.
    Access,
    /// A token made for a program.
    Api,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `iss`: who issued it.
    pub issuer: Box<str>,
    /// `aud`: whom it is for.
    pub audience: Box<str>,
    /// `sub`: the account's name.
    pub subject: Box<str>,
    /// `uid`: the account's immutable id.
    pub uid: Uid,
    /// `sid`: the login or API token it belongs to.
    pub sid: LoginId,
    /// `jti`: the token itself.
    pub jti: TokenId,
    /// `iat`
    pub issued_at: Timestamp,
    /// `nbf`
    pub not_before: Timestamp,
    /// `exp`; nothing only for API tokens, where the operator allows it.
    pub expires_at: Option<Timestamp>,
    /// `provider`: the plugin that vouched.
    pub provider: Box<str>,
    /// `token_use`
    pub token_use: TokenUse,
    /// `scope`, when restricted.
    pub scope: Option<Scopes>,
    /// `grant_id`, when a grant made it.
    pub grant: Option<GrantId>,
    /// `act.client_id` (RFC 8693 section 4.1), when a client acts.
    pub client_id: Option<Box<str>>,
}

/// The claims as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    iss: Box<str>,
    aud: Box<str>,
    sub: Box<str>,
    uid: Uid,
    sid: LoginId,
    jti: TokenId,
    iat: u64,
    nbf: u64,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    exp: Option<u64>,
    provider: Box<str>,
    token_use: TokenUse,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    scope: Option<Box<str>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    grant_id: Option<GrantId>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    act: Option<Act>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    client_id: Box<str>,
}

/// An optional claim may be left out, but not be null: a null scope must not read as "unrestricted".
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The latest time a claim may name: the year 9999.
const LATEST: u64 = 253_402_300_799;

impl Wire {
    /// The claims these stand for; nothing when a time or scope is out of bounds.
    pub(super) fn into_claims(self) -> Option<Claims> {
        if [self.iat, self.nbf, self.exp.unwrap_or(0)]
            .into_iter()
            .any(|time| time > LATEST)
        {
            return None;
        }
        let scope = self.scope.map(|text| text.parse()).transpose().ok()?;
        Some(Claims {
            issuer: self.iss,
            audience: self.aud,
            subject: self.sub,
            uid: self.uid,
            sid: self.sid,
            jti: self.jti,
            issued_at: Timestamp::from_seconds(self.iat),
            not_before: Timestamp::from_seconds(self.nbf),
            expires_at: self.exp.map(Timestamp::from_seconds),
            provider: self.provider,
            token_use: self.token_use,
            scope,
            grant: self.grant_id,
            client_id: self.act.map(|act| act.client_id),
        })
    }
}

impl From<&Claims> for Wire {
    fn from(claims: &Claims) -> Self {
        Self {
            iss: claims.issuer.clone(),
            aud: claims.audience.clone(),
            sub: claims.subject.clone(),
            uid: claims.uid,
            sid: claims.sid,
            jti: claims.jti,
            iat: claims.issued_at.seconds(),
            nbf: claims.not_before.seconds(),
            exp: claims.expires_at.map(Timestamp::seconds),
            provider: claims.provider.clone(),
            token_use: claims.token_use,
            scope: claims.scope.map(|scope| scope.to_string().into()),
            grant_id: claims.grant,
            act: claims.client_id.clone().map(|client_id| Act { client_id }),
        }
    }
}
