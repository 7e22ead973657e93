//! The claim format (RFC 7519 section 4; CONTRACT section 2), in this one file.
//!
//! Owns: the names, types and bounds of the claims. Does not: decide whether they are acceptable
//! now (`verify`), nor know signatures.
//!
//! **Invariant:** what is read back is what was written: unknown, duplicate, absent and mistyped
//! members are refused, `null` is not absence, and times are whole seconds within four-digit years.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{canonical, refusal::Refusal, scope::Scopes};
use crate::{
    clock::Timestamp,
    id::{GrantId, LoginId, TokenId, Uid},
};

/// What a token may be used as (`token_use`): asked at every endpoint, so that one kind of token
/// never passes for another (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// `access`: from a login or a grant, short-lived.
    Access,
    /// `api`: made by a person for a program.
    Api,
}

impl TokenUse {
    /// The claim's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for TokenUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no use of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown token_use")]
pub struct UnknownTokenUse;

impl FromStr for TokenUse {
    type Err = UnknownTokenUse;

    fn from_str(text: &str) -> Result<Self, UnknownTokenUse> {
        match text {
            "access" => Ok(Self::Access),
            "api" => Ok(Self::Api),
            _ => Err(UnknownTokenUse),
        }
    }
}

/// What a token says. Times are written in whole seconds, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// `iss`: this server.
    pub issuer: Cow<'a, str>,
    /// `aud`: whom the token is for.
    pub audience: Cow<'a, str>,
    /// `sub`: the account's id, as people see it.
    pub subject: Cow<'a, str>,
    /// `uid`: the account's immutable id.
    pub uid: Uid,
    /// `sid`: the login or API token this belongs to; what revocation works on.
    pub sid: LoginId,
    /// `jti`: this token.
    pub jti: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `nbf`.
    pub not_before: Timestamp,
    /// `exp`: from this moment on the token is refused. Absent only in API tokens, and only where
    /// the operator allows it.
    pub expires_at: Option<Timestamp>,
    /// `provider`: the name of the auth mode signed in with.
    pub provider: Cow<'a, str>,
    /// `token_use`.
    pub token_use: TokenUse,
    /// `scope`: what the token is restricted to, if it is.
    pub scope: Option<Scopes>,
    /// `grant_id`: the grant it was refreshed from.
    pub grant: Option<GrantId>,
    /// `act.client_id`: the client that acts for the account (RFC 8693 section 4.1).
    pub client_id: Option<Cow<'a, str>>,
}

/// The last second of the year 9999: anything later is no time but an attack or an accident.
pub(super) const MAX_SECONDS: u64 = 253_402_300_799;

/// The claims as JSON members. Optional ones are absent, never `null`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    uid: Text<Uid>,
    sid: Text<LoginId>,
    jti: Text<TokenId>,
    iat: Seconds,
    nbf: Seconds,
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    exp: Option<Seconds>,
    #[serde(borrow)]
    provider: Cow<'a, str>,
    token_use: Text<TokenUse>,
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    scope: Option<Text<Scopes>>,
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    grant_id: Option<Text<GrantId>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "act",
        skip_serializing_if = "Option::is_none"
    )]
    act: Option<Act<'a>>,
}

#[derive(Serialize)]
struct Act<'a> {
    client_id: Cow<'a, str>,
}

impl<'a> Wire<'a> {
    /// The members of `claims`.
    pub(super) fn of(claims: &'a Claims<'_>) -> Self {
        Self {
            iss: Cow::Borrowed(&claims.issuer),
            aud: Cow::Borrowed(&claims.audience),
            sub: Cow::Borrowed(&claims.subject),
            uid: Text(claims.uid),
            sid: Text(claims.sid),
            jti: Text(claims.jti),
            iat: Seconds(claims.issued_at.seconds()),
            nbf: Seconds(claims.not_before.seconds()),
            exp: claims.expires_at.map(|exp| Seconds(exp.seconds())),
            provider: Cow::Borrowed(&claims.provider),
            token_use: Text(claims.token_use),
            scope: claims.scope.map(Text),
            grant_id: claims.grant.map(Text),
            act: claims.client_id.as_deref().map(|id| Act {
                client_id: Cow::Borrowed(id),
            }),
        }
    }
}

impl<'a> Claims<'a> {
    /// Reads the claims of a payload whose signature has been checked.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, Refusal> {
        // A derived struct would also be read from an array.
        if json.first() != Some(&b'{') {
            return Err(Refusal::Claims);
        }
        if let Some(claims) = canonical::read(json) {
            return Ok(claims);
        }
        Self::parse_any(json)
    }

    /// As [`Claims::parse`], in whatever order and spelling.
    pub(super) fn parse_any(json: &'a [u8]) -> Result<Self, Refusal> {
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(|_| Refusal::Claims)?;
        Ok(Self {
            issuer: wire.iss,
            audience: wire.aud,
            subject: wire.sub,
            uid: wire.uid.0,
            sid: wire.sid.0,
            jti: wire.jti.0,
            issued_at: Timestamp::from_seconds(wire.iat.0),
            not_before: Timestamp::from_seconds(wire.nbf.0),
            expires_at: wire.exp.map(|exp| Timestamp::from_seconds(exp.0)),
            provider: wire.provider,
            token_use: wire.token_use.0,
            scope: wire.scope.map(|scope| scope.0),
            grant: wire.grant_id.map(|grant| grant.0),
            client_id: wire.act.map(|act| act.client_id),
        })
    }
}

/// Whole seconds since the epoch: an integer, bounded.
#[derive(Clone, Copy, Serialize)]
struct Seconds(u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            seconds @ 0..=MAX_SECONDS => Ok(Self(seconds)),
            _ => Err(de::Error::custom("not a time")),
        }
    }
}

/// A value written as its text, read without a copy of the text.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr> de::Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
        let value = text.parse().map_err(|_| E::custom("not such a value"));
        value.map(Text)
    }
}

/// A member that is there has a value: `null` is refused.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn act<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Act<'de>>, D::Error> {
    deserializer.deserialize_map(ActVisitor).map(Some)
}

/// Exactly `{"client_id": <text>}`: nesting cannot go deeper.
struct ActVisitor;

impl<'de> de::Visitor<'de> for ActVisitor {
    type Value = Act<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with client_id")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Act<'de>, A::Error> {
        let Some((name, client_id)) = map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? else {
            return Err(de::Error::missing_field("client_id"));
        };
        if name != "client_id" || map.next_key::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::custom("not an actor"));
        }
        Ok(Act { client_id })
    }
}
