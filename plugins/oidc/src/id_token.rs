//! What an id_token must say (OpenID Connect Core 1.0 section 3.1.3.7).
//!
//! openidconnect's verifier checks issuer, audience, algorithm, signature, expiry and nonce; the
//! rest (`azp`, `nbf`, `iat`, `at_hash`, `auth_time`, leeway) is here. The signature has been checked
//! before, with the key that is handed on: [`crate::jws`].

use std::{str::FromStr, time::Duration};

use aws_lc_rs::constant_time;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, JsonWebKeySet, Nonce,
    core::CoreIdToken,
};
use serde_json::Value;

use crate::{
    json::{self, Object},
    jws::Verified,
    text::sanitised,
};

/// How far two clocks may be apart, in seconds.
pub(crate) const LEEWAY: i64 = 60;

/// What a token is held against.
pub(crate) struct Expected<'a> {
    /// The issuer.
    pub(crate) issuer: &'a str,
    /// Whom it is for.
    pub(crate) client_id: &'a str,
    /// The server's clock, in seconds since 1970.
    pub(crate) now: i64,
    /// The nonce that was sent, at a sign-in.
    pub(crate) nonce: Option<&'a str>,
    /// The access token that came along.
    pub(crate) access_token: Option<&'a str>,
    /// Since when the person must have proved who they are.
    pub(crate) authenticated_since: Option<i64>,
}

/// Checks what a token says.
///
/// # Errors
/// What is wrong with it; for the log.
pub(crate) fn check(
    token: &str,
    verified: &Verified,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let claims = &verified.claims;
    subject(claims)?;
    times(claims, expected.now)?;
    audience(claims, expected.client_id)?;
    library(token, verified, expected)?;
    at_hash(verified, expected.access_token)?;
    auth_time(claims, expected.authenticated_since)
}

/// Required, at most 255 ASCII characters (section 2).
pub(crate) fn subject(claims: &Object) -> Result<&str, String> {
    let subject = json::text(claims, "sub")?.unwrap_or_default();
    if subject.is_empty() || subject.len() > 255 || subject.contains(char::is_control) {
        return Err("`sub` is missing, too long or not text".into());
    }
    Ok(subject)
}

/// `iss` and `aud` of a token with no person in view, exactly.
pub(crate) fn addressed(claims: &Object, issuer: &str, client_id: &str) -> Result<(), String> {
    if json::text(claims, "iss")? != Some(issuer) {
        return Err("`iss` is another issuer".into());
    }
    audience(claims, client_id)
}

/// `aud` holds the client; of several, `azp` says which asked; `azp` is always the client.
fn audience(claims: &Object, client_id: &str) -> Result<(), String> {
    let (is_ours, several) = match claims.get("aud") {
        Some(Value::String(one)) => (one == client_id, false),
        Some(Value::Array(all)) => {
            if !all.iter().all(Value::is_string) {
                return Err("`aud` is not a list of strings".into());
            }
            (all.iter().any(|one| one == client_id), all.len() > 1)
        }
        _ => return Err("`aud` is missing or not text".into()),
    };
    if !is_ours {
        return Err("`aud` is not this client".into());
    }
    match json::text(claims, "azp")? {
        Some(party) if party == client_id => Ok(()),
        Some(_) => Err("`azp` is another client".into()),
        None if several => Err("`aud` names several, and no `azp` says which asked".into()),
        None => Ok(()),
    }
}

/// `exp` and `iat` are required. A token just issued tells how far the clocks are apart.
pub(crate) fn times(claims: &Object, now: i64) -> Result<(), String> {
    let expires = json::seconds(claims, "exp")?.ok_or("`exp` is missing")?;
    let issued = json::seconds(claims, "iat")?.ok_or("`iat` is missing")?;
    let skew = || match issued - now {
        ahead @ 1.. => format!("the provider's clock seems {ahead} s ahead of ours"),
        0 => "the clocks agree".to_owned(),
        behind => format!("the provider's clock seems {} s behind ours", -behind),
    };
    if now >= expires + LEEWAY {
        let ago = now - expires;
        return Err(format!("the token expired {ago} s ago ({})", skew()));
    }
    if issued > now + LEEWAY {
        return Err(format!("the token is issued in the future ({})", skew()));
    }
    if json::seconds(claims, "nbf")?.is_some_and(|from| from > now + LEEWAY) {
        return Err(format!("the token does not hold yet ({})", skew()));
    }
    Ok(())
}

/// openidconnect's own verifier: with the one key, at the edge of the leeway.
fn library(token: &str, verified: &Verified, expected: &Expected<'_>) -> Result<(), String> {
    let token = CoreIdToken::from_str(token)
        .map_err(|error| sanitised(&format!("the token is wrong: {error}")))?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|error| error.to_string())?;
    let at_edge = Duration::from_secs(u64::try_from(expected.now - LEEWAY).unwrap_or(0));
    let verifier = IdTokenVerifier::new_public_client(
        ClientId::new(expected.client_id.to_owned()),
        issuer,
        JsonWebKeySet::new(vec![verified.key.clone()]),
    )
    .set_allowed_algs([verified.alg.jws()])
    .set_other_audience_verifier_fn(|_| true) // `azp` has been asked for
    .set_time_fn(move || (std::time::UNIX_EPOCH + at_edge).into());
    let outcome = match expected.nonce {
        Some(nonce) => token
            .claims(&verifier, &Nonce::new(nonce.to_owned()))
            .map(drop),
        None => token
            .claims(&verifier, |_: Option<&Nonce>| Ok(()))
            .map(drop),
    };
    outcome.map_err(|error| match error {
        // Their texts quote the token.
        ClaimsVerificationError::InvalidIssuer(_) => "`iss` is another issuer".into(),
        ClaimsVerificationError::InvalidNonce(_) => "`nonce` is missing or another".into(),
        ClaimsVerificationError::SignatureVerification(_) => "the signature is wrong".into(),
        other => sanitised(&other.to_string()),
    })
}

/// The left half of the access token's hash (section 3.1.3.6), if it is there.
fn at_hash(verified: &Verified, access_token: Option<&str>) -> Result<(), String> {
    let (Some(said), Some(access_token)) = (json::text(&verified.claims, "at_hash")?, access_token)
    else {
        return Ok(());
    };
    let hash = verified.alg.hash(access_token.as_bytes());
    let half = hash
        .as_ref()
        .get(..hash.as_ref().len() / 2)
        .unwrap_or_default();
    constant_time::verify_slices_are_equal(BASE64.encode(half).as_bytes(), said.as_bytes())
        .map_err(|_| "`at_hash` is of another access token".to_owned())
}

/// Required and recent when it was asked for (section 3.1.2.1, `max_age`).
fn auth_time(claims: &Object, since: Option<i64>) -> Result<(), String> {
    let at = json::seconds(claims, "auth_time")?;
    match (since, at) {
        (None, _) => Ok(()),
        (Some(_), None) => Err("`auth_time` is missing, and it was asked for".into()),
        (Some(since), Some(at)) if at < since - LEEWAY => {
            Err("the person has not signed in anew at the provider".into())
        }
        _ => Ok(()),
    }
}
