//! What a provider says, under fuzzing. Not part of the plugin.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what the fuzzer stands on"
)]

use std::sync::OnceLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::{
    algorithm::Algorithm,
    discovery::Metadata,
    id_token::{self, Expected, LEEWAY},
    json,
    jws::Unverified,
    keys::KeySet,
    logout::{self, Seen},
};

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("oidc_discovery", oidc_discovery),
    ("oidc_keys", oidc_keys),
    ("oidc_token", oidc_token),
];

const ISSUER: &str = "https://id.example.com";
const CLIENT: &str = "omnigent";
const NONCE: &str = "n-0S6_WzA2Mj";
const NOW: i64 = 1_800_000_000;

const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A provider's metadata. What is taken is of the issuer, and over TLS.
pub fn oidc_discovery(data: &[u8]) {
    let Ok(document) = json::object(data) else {
        return;
    };
    let issuer = document.get("issuer").cloned();
    let metadata = match Metadata::read(document, ISSUER, &[]) {
        Ok(metadata) => metadata,
        Err(why) => return assert!(!why.chars().any(char::is_control), "{why:?}"),
    };
    assert_eq!(issuer, Some(ISSUER.into()));
    let optional = [
        metadata.userinfo_endpoint.as_ref(),
        metadata.end_session_endpoint.as_ref(),
    ];
    let required = [
        &metadata.authorization_endpoint,
        &metadata.token_endpoint,
        &metadata.jwks_uri,
    ];
    for url in optional.into_iter().flatten().chain(required) {
        assert_eq!(url.scheme(), "https", "{url}");
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{url}"
        );
    }
    assert!(!metadata.algorithms.is_empty());
}

/// A key set. No key of it takes a signature that is none.
pub fn oidc_keys(data: &[u8]) {
    let Ok(document) = json::object(data) else {
        return;
    };
    let Ok(keys) = KeySet::read(&document) else {
        return;
    };
    for alg in ALGORITHMS {
        for key in keys.candidates(None, alg) {
            for signature in [&[] as &[u8], &[0; 64], &[0xff; 256]] {
                assert!(!key.verifies(alg, b"message", signature), "{key:?}");
            }
        }
    }
    let document = Value::Object(document);
    assert!(document["keys"].is_array());
}

/// A header line and claims, signed with the provider's key; read as an id_token and as a notice of
/// logout. What is taken says what it must.
pub fn oidc_token(data: &[u8]) {
    static WORLD: OnceLock<(KeySet, Ed25519KeyPair)> = OnceLock::new();
    let (keys, pair) = WORLD.get_or_init(world);
    let (header, claims) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) if at > 0 => (&data[..at], &data[at + 1..]),
        Some(_) => (&br#"{"alg":"EdDSA","kid":"k"}"#[..], &data[1..]),
        None => (&br#"{"alg":"EdDSA","kid":"k"}"#[..], data),
    };
    if let Ok(text) = std::str::from_utf8(data) {
        let verified = Unverified::read(text).map(|token| token.verify(keys, &ALGORITHMS));
        assert!(!matches!(verified, Ok(Ok(_))), "a signature was guessed");
    }
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let token = format!("{signed}.{}", BASE64.encode(pair.sign(signed.as_bytes())));
    let Ok(read) = Unverified::read(&token) else {
        return;
    };
    let Ok(verified) = read.verify(keys, &ALGORITHMS) else {
        return;
    };
    let says: Value = serde_json::from_slice(claims).expect("JSON was accepted");
    let is_client = |aud: &Value| *aud == CLIENT;
    let is_ours = says["aud"].as_array().map_or_else(
        || is_client(&says["aud"]),
        |list| list.iter().any(is_client),
    );
    let lasts = says["exp"]
        .as_f64()
        .is_some_and(|exp| exp + LEEWAY as f64 > NOW as f64);
    let expected = Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        now: NOW,
        nonce: Some(NONCE),
        access_token: Some("an access token"),
        authenticated_since: None,
    };
    if id_token::check(&token, &verified, &expected).is_ok() {
        assert_eq!(says["iss"], ISSUER);
        assert_eq!(says["nonce"], NONCE);
        assert!(is_ours && lasts, "{says}");
        assert!(
            says["sub"]
                .as_str()
                .is_some_and(|sub| (1..=255).contains(&sub.len()))
        );
        assert!(says["azp"].is_null() || says["azp"] == CLIENT, "{says}");
    }
    let seen = Seen::default();
    let typ = verified.typ.as_deref();
    let ended = |now| logout::ended(&verified.claims, typ, ISSUER, CLIENT, now, &seen);
    if let Ok(first) = ended(NOW) {
        assert_eq!(says["iss"], ISSUER);
        assert!(is_ours && lasts && says.get("nonce").is_none(), "{says}");
        assert!(
            first.subject.is_some() || first.session.is_some(),
            "everybody was ended"
        );
        assert_eq!(ended(NOW).as_ref(), Ok(&first), "its sender tries again");
        assert!(ended(NOW + logout::RETRIED + 1).is_err(), "long after");
    }
}

fn world() -> (KeySet, Ed25519KeyPair) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let x = BASE64.encode(pair.public_key());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
    let set = json::object(set.to_string().as_bytes()).expect("an object");
    (KeySet::read(&set).expect("a key set"), pair)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
