//! Taking a token's text apart (RFC 7515 section 3.1), without believing any of it.
//!
//! **Invariants:** the length is capped before anything is split or decoded; there are exactly
//! three segments of canonical base64url; the header has `alg`, `typ` and `kid` and nothing else,
//! so no `crit`, `b64`, `jwk`, `jku` or `x5u` is ever looked at.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::Refusal;

/// The longest token looked at, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;

/// A token's three parts.
pub(super) struct Parts<'a> {
    /// The header segment as it came.
    pub(super) header: &'a str,
    /// What the signature is over.
    pub(super) signed: &'a [u8],
    /// The claims segment as it came.
    pub(super) claims: &'a str,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// The header of a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: String,
    pub(super) kid: String,
}

pub(super) fn split(token: &[u8]) -> Result<Parts<'_>, Refusal> {
    if token.len() > MAX_LENGTH {
        return Err(Refusal::Malformed);
    }
    let token = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    if claims.contains('.') {
        return Err(Refusal::Malformed);
    }
    Ok(Parts {
        header,
        signed: signed.as_bytes(),
        claims,
        signature: decode(signature)?,
    })
}

pub(super) fn header(segment: &str) -> Result<Header, Refusal> {
    let header: Header =
        serde_json::from_slice(&decode(segment)?).map_err(|_| Refusal::Malformed)?;
    if header.typ != "JWT" {
        return Err(Refusal::Malformed);
    }
    Ok(header)
}

pub(super) fn decode(segment: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Refusal::Malformed)
}
