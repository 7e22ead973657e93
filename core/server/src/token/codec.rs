//! Signing: [`Claims`] to the text of a token (RFC 7515 section 7.1).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    claims::{Claims, Wire},
    signing::SigningKey,
};
use crate::secret::Secret;

/// What a token with room to spare takes, so that its text grows once.
const ROOM: usize = 768;

/// The token of `claims` by this key.
///
/// # Panics
/// Never: claims are texts and integers.
#[allow(clippy::expect_used, reason = "texts and integers always serialise")]
pub(super) fn sign(key: &SigningKey, claims: &Claims<'_>) -> Secret<String> {
    let payload = serde_json::to_vec(&Wire::of(claims)).expect("claims serialise");
    let mut text = String::with_capacity(ROOM);
    text.push_str(&key.header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    key.seal(&mut text);
    Secret::new(text)
}
