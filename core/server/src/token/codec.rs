//! Signing: [`Claims`] to the text of a token.

use jsonwebtoken::{EncodingKey, Header, encode};

use super::claims::{Claims, Wire};
use crate::secret::Secret;

/// The token of `claims` under this header and key.
///
/// # Panics
/// Never: claims are texts and integers, and the header's algorithm is the key's own.
#[allow(clippy::expect_used, reason = "texts and integers always serialise")]
pub(super) fn sign(header: &Header, key: &EncodingKey, claims: &Claims) -> Secret<String> {
    Secret::new(encode(header, &Wire::of(claims), key).expect("claims serialise"))
}
