use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::{
    object,
    signer::{Signer, set},
};
use crate::{
    algorithm::Algorithm::{self, *},
    keys::KeySet,
};

const ALL: [Algorithm; 9] = [
    RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
];

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn is_ignored(jwk: Value) -> bool {
    KeySet::read(&object(json!({"keys": [jwk]}))).is_err()
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_other() {
    for alg in ALL {
        let signer = Signer::new(alg);
        let keys = set(&[signer.jwk("k")]);
        let [key] = keys.candidates(Some("k"), alg)[..] else {
            panic!("{alg:?}")
        };
        let mut signature = signer.sign(alg, b"message");
        assert!(key.verifies(alg, b"message", &signature), "{alg:?}");
        assert!(!key.verifies(alg, b"massage", &signature), "{alg:?}");
        assert!(!key.verifies(alg, b"message", b""), "{alg:?}");
        for other in ALL.into_iter().filter(|other| *other != alg) {
            assert!(
                !key.verifies(other, b"message", &signature),
                "{alg:?} as {other:?}"
            );
        }
        let middle = signature.len() / 2;
        signature[middle] ^= 1;
        assert!(!key.verifies(alg, b"message", &signature), "{alg:?}");
    }
}

#[test]
fn an_ecdsa_signature_of_nothing_is_none() {
    // CVE-2022-21449: r = s = 0.
    for (alg, length) in [(ES256, 64), (ES384, 96)] {
        let keys = set(&[Signer::new(alg).jwk("k")]);
        let key = keys.candidates(None, alg)[0];
        assert!(!key.verifies(alg, b"message", &vec![0; length]));
    }
}

#[test]
fn a_key_is_for_its_own_algorithm_if_it_names_one() {
    let jwk = Signer::new(RS256).jwk("k");
    let keys = set(&[with(jwk.clone(), "alg", json!("RS256"))]);
    assert_eq!(keys.candidates(Some("k"), RS256).len(), 1);
    assert!(keys.candidates(Some("k"), PS256).is_empty());
    assert_eq!(set(&[jwk]).candidates(Some("k"), PS256).len(), 1);
}

#[test]
fn a_key_is_found_by_its_id_exactly() {
    let keys = set(&[Signer::new(ES256).jwk("one"), Signer::new(ES256).jwk("two")]);
    assert_eq!(keys.candidates(Some("one"), ES256).len(), 1);
    assert_eq!(keys.candidates(None, ES256).len(), 2);
    for kid in ["", "on", "ONE", "three"] {
        assert!(keys.candidates(Some(kid), ES256).is_empty(), "{kid}");
    }
}

#[test]
fn what_is_not_for_verifying_is_ignored() {
    let jwk = Signer::new(ES256).jwk("k");
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
        ("alg", json!("ECDH-ES")),
        ("crv", json!("secp256k1")),
        ("crv", json!("P-384")),
        ("kty", json!("oct")),
        ("kty", json!("RSA")),
        ("kty", json!("ec")),
        ("d", json!("AAAA")),
        ("kid", json!(7)),
    ] {
        assert!(
            is_ignored(with(jwk.clone(), name, value.clone())),
            "{name}: {value}"
        );
    }
    for (name, value) in [
        ("use", json!("sig")),
        ("key_ops", json!(["sign", "verify"])),
    ] {
        assert!(!is_ignored(with(jwk.clone(), name, value)), "{name}");
    }
}

#[test]
fn a_shared_secret_is_no_key() {
    assert!(is_ignored(
        json!({"kty": "oct", "kid": "k", "k": BASE64.encode([7; 64])})
    ));
}

#[test]
fn an_rsa_key_that_is_small_or_none_is_ignored() {
    let modulus = |bytes: usize| BASE64.encode(vec![0xff; bytes]);
    let key = |n: &str, e: &str| json!({"kty": "RSA", "kid": "k", "n": n, "e": e});
    for bytes in [0, 1, 64, 128, 255, 1025, 100_000] {
        assert!(is_ignored(key(&modulus(bytes), "AQAB")), "{bytes} bytes");
    }
    // 2047 bits, and 1024 made to look like 2048 by zeros before.
    let short = [&[0x7f][..], &[0xff; 255]].concat();
    let padded = [&[0; 128][..], &[0xff; 128]].concat();
    assert!(is_ignored(key(&BASE64.encode(short), "AQAB")));
    assert!(is_ignored(key(&BASE64.encode(padded), "AQAB")));
    for e in ["", "AQ", "Ag", "AAAB", "////////", "not base64"] {
        assert!(is_ignored(key(&modulus(256), e)), "{e}");
    }
    let even = [&[0xff; 255][..], &[0xfe]].concat();
    assert!(is_ignored(key(&BASE64.encode(even), "AQAB")));
    assert!(!is_ignored(key(&modulus(256), "AQAB")));
}

#[test]
fn a_point_that_is_not_on_its_curve_is_ignored() {
    let jwk = Signer::new(ES256).jwk("k");
    for x in [
        BASE64.encode([1; 32]),
        BASE64.encode([0; 31]),
        BASE64.encode([0; 33]),
        "AA==".into(),
    ] {
        assert!(is_ignored(with(jwk.clone(), "x", json!(x))), "{x}");
    }
    let short = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode([1; 31])});
    assert!(is_ignored(short));
    let other = json!({"kty": "OKP", "crv": "X25519", "x": BASE64.encode([1; 32])});
    assert!(is_ignored(other));
}

#[test]
fn an_ed25519_key_that_anybody_can_sign_with_is_ignored() {
    // The points of order 1, 2, 4 and 8, each with either sign, and spelt a second way (Cremers and
    // Jackson, "Prime, Order Please!", section 3.2).
    for y in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut point = [0; 32];
        for (byte, digits) in point.iter_mut().zip(y.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        for sign in [0, 0x80] {
            point[31] = (point[31] & 0x7f) | sign;
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(point)});
            assert!(is_ignored(jwk), "{y} and {sign}");
        }
    }
    assert!(!is_ignored(Signer::new(EdDSA).jwk("k")));
}

#[test]
fn junk_beside_a_good_key_does_not_hurt_it() {
    let good = Signer::new(RS256).jwk("good");
    let junk = [
        json!(null),
        json!(7),
        json!("key"),
        json!([]),
        json!({}),
        json!({"kty": {}}),
    ];
    let mut entries = junk.to_vec();
    entries.push(good);
    assert_eq!(set(&entries).candidates(Some("good"), RS256).len(), 1);
}

#[test]
fn a_set_of_no_use_is_refused() {
    for document in [
        json!({}),
        json!({"keys": []}),
        json!({"keys": {}}),
        json!({"keys": null}),
        json!({"keys": [1]}),
        json!({"Keys": [Signer::new(ES256).jwk("k")]}),
    ] {
        assert!(KeySet::read(&object(document)).is_err());
    }
}
