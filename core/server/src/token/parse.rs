//! Taking a token's text apart (RFC 7515 section 7.1), before anything of it is believed.
//!
//! **Invariants:** bounded work for any input: the length is capped before the text is looked at,
//! nothing is allocated for a text that is not three segments of strict base64url (no padding,
//! unused bits zero); the header holds `alg`, `typ` and `kid`, each once, and nothing else.

use std::{borrow::Cow, mem::MaybeUninit};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use base64_simd::Out;
use serde::Deserialize;

use super::refusal::Refusal;

/// Longest token looked at, in bytes. Ours have a few hundred.
pub const MAX_LENGTH: usize = 8 * 1024;

/// A signature, of one of the two lengths there are. Which one a key wants is the key's to say.
#[derive(Debug)]
pub(super) enum Signature {
    /// An HMAC-SHA256 tag.
    Short([u8; 32]),
    /// Ed25519, or `r` and `s` of ECDSA on P-256 (RFC 7518 section 3.4): never DER.
    Long([u8; 64]),
}

/// Length of 32 bytes in base64url.
const SHORT: usize = 43;
/// Length of 64 bytes in base64url.
const LONG: usize = 86;

/// A token's segments, of which only the signature has been decoded.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    /// Base64url of the header.
    pub(super) header: &'a [u8],
    /// Base64url of the claims.
    pub(super) payload: &'a [u8],
    /// What is signed: header, dot, claims.
    pub(super) signed: &'a [u8],
    /// What is said to be its signature.
    pub(super) signature: Signature,
}

/// Takes `token` apart.
pub(super) fn split(token: &[u8]) -> Result<Segments<'_>, Refusal> {
    if token.len() > MAX_LENGTH {
        return Err(Refusal::Malformed);
    }
    // From both ends: a further dot would be in the payload, where it is no base64.
    let cut_at = |length: usize| {
        let at = token.len().wrapping_sub(length + 1);
        (token.get(at) == Some(&b'.')).then(|| token.split_at(at))
    };
    let cut = cut_at(SHORT).or_else(|| cut_at(LONG));
    let (signed, signature) = cut.ok_or_else(|| malformed(token))?;
    let header_ends = signed.iter().position(|byte| *byte == b'.');
    let (header, payload) = header_ends
        .map(|at| (&signed[..at], &signed[at + 1..]))
        .ok_or(Refusal::Malformed)?;
    if header.is_empty() || payload.is_empty() {
        return Err(Refusal::Malformed);
    }
    let signature = Signature::decode(&signature[1..]).ok_or(Refusal::Signature)?;
    Ok(Segments {
        header,
        payload,
        signed,
        signature,
    })
}

impl Signature {
    /// Strictly, and of no other length.
    pub(super) fn decode(text: &[u8]) -> Option<Self> {
        // The decoder wants room for its estimate.
        let mut bytes = [0; 66];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => bytes.first_chunk().copied().map(Self::Short),
            Ok(64) => bytes.first_chunk().copied().map(Self::Long),
            _ => None,
        }
    }
}

/// What to call a token that does not end in a signature of the right length.
fn malformed(token: &[u8]) -> Refusal {
    match token.iter().filter(|byte| **byte == b'.').count() {
        2 => Refusal::Signature,
        _ => Refusal::Malformed,
    }
}

/// Decodes a segment and hands it to `read`. The usual token fits on the stack.
pub(super) fn decoded<T>(
    segment: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    const ROOM: usize = 768;
    if segment.len() <= ROOM / 3 * 4 {
        let mut bytes = [MaybeUninit::<u8>::uninit(); ROOM];
        let room = Out::from_uninit_slice(&mut bytes);
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode(segment, room);
        read(bytes.map_err(|_| Refusal::Malformed)?)
    } else {
        let bytes = URL_SAFE_NO_PAD.decode(segment);
        read(&bytes.map_err(|_| Refusal::Malformed)?)
    }
}

/// The header's members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
}

/// Reads a header and hands its `alg` and `kid` to `read`.
pub(super) fn header<T>(
    segment: &[u8],
    read: impl FnOnce(&str, &str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    decoded(segment, |json| {
        // A derived struct would also be read from an array.
        if json.first() != Some(&b'{') {
            return Err(Refusal::Malformed);
        }
        let header: Header<'_> = serde_json::from_slice(json).map_err(|_| Refusal::Malformed)?;
        if header.typ != "JWT" {
            return Err(Refusal::Malformed);
        }
        read(&header.alg, &header.kid)
    })
}
