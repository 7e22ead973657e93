//! Three algorithms side by side: none passes for another, and each signature has one form.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
    },
};

use super::*;
use crate::token::Algorithm::{EdDsa, Es256, Hs256};

/// A world with a key of each algorithm, whose secrets the tests know.
struct Three {
    world: World,
    kids: Vec<(Algorithm, String)>,
    file: Value,
}

impl Three {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = KeySettings::default();
        let keyring = Keyring::load_or_create(dir.path(), &settings, NOW).unwrap();
        let world = World::with(keyring, dir);
        let keys = Keys::new(Arc::clone(&world.verifier), world.dir.path().to_owned());
        let mut kids = vec![(Hs256, world.verifier.keyring().active().to_owned())];
        for algorithm in [EdDsa, Es256] {
            kids.push((algorithm, keys.rotate(Some(algorithm), NOW).unwrap()));
        }
        let file = std::fs::read(world.dir.path().join("keyring.json")).unwrap();
        let file = serde_json::from_slice(&file).unwrap();
        Self { world, kids, file }
    }

    fn kid(&self, algorithm: Algorithm) -> &str {
        let found = self.kids.iter().find(|(one, _)| *one == algorithm);
        &found.unwrap().1
    }

    fn secret(&self, algorithm: Algorithm) -> Vec<u8> {
        let keys = self.file["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == self.kid(algorithm));
        hex::decode(key.unwrap()["secret"].as_str().unwrap()).unwrap()
    }

    fn ed25519(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_pkcs8(&self.secret(EdDsa)).unwrap()
    }

    fn ecdsa(&self, how: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(how, &self.secret(Es256)).unwrap()
    }

    /// Header and claims of a good token, under this name and algorithm.
    fn signed(&self, alg: &str, kid: &str) -> String {
        let header = json!({"typ": "JWT", "alg": alg, "kid": kid}).to_string();
        let body = self.world.json().to_string();
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(body)
        )
    }

    fn own(&self, algorithm: Algorithm) -> String {
        self.signed(algorithm.as_str(), self.kid(algorithm))
    }

    /// The right signature of `algorithm`'s key.
    fn sign(&self, algorithm: Algorithm, text: &str) -> Vec<u8> {
        match algorithm {
            Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret(Hs256));
                hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            EdDsa => self.ed25519().sign(text.as_bytes()).as_ref().to_vec(),
            Es256 => {
                let pair = self.ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
                loop {
                    let made = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
                    // Half of them have the `s` that counts.
                    if made.as_ref()[32] < 0x7f {
                        return made.as_ref().to_vec();
                    }
                }
            }
        }
    }

    #[track_caller]
    fn refuse(&self, signed: &str, signature: &[u8], why: Refusal) {
        let signature = URL_SAFE_NO_PAD.encode(signature);
        self.world.refuse(format!("{signed}.{signature}"), why);
    }
}

fn joined(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn each_algorithm_counts_in_any_order_of_the_header() {
    let three = Three::new();
    for algorithm in Algorithm::ALL {
        let own = three.own(algorithm);
        let token = joined(&own, &three.sign(algorithm, &own));
        assert!(three.world.verify(&token).is_ok(), "{algorithm}");
        let header = json!({"kid": three.kid(algorithm), "alg": algorithm.as_str(), "typ": "JWT"});
        let body = own.split_once('.').unwrap().1;
        let other = format!("{}.{body}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let token = joined(&other, &three.sign(algorithm, &other));
        assert!(three.world.verify(&token).is_ok(), "{algorithm}");
    }
}

#[test]
fn a_kid_of_another_algorithm_is_refused() {
    let three = Three::new();
    for named in Algorithm::ALL {
        for signing in Algorithm::ALL.into_iter().filter(|other| *other != named) {
            // The header's `alg` is not the one of its `kid`, whichever of them signs.
            let signed = three.signed(named.as_str(), three.kid(signing));
            three.refuse(&signed, &three.sign(signing, &signed), Refusal::Algorithm);
            three.refuse(&signed, &three.sign(named, &signed), Refusal::Algorithm);
            // A header in order, and a signature of another key.
            let own = three.own(named);
            three.refuse(&own, &three.sign(signing, &own), Refusal::Signature);
        }
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let three = Three::new();
    let world = &three.world;
    let jwks: Vec<Value> = world.verifier.keyring().public().collect();
    assert_eq!(jwks.len(), 2);
    for (algorithm, jwk) in [EdDsa, Es256].map(|a| {
        let found = jwks.iter().find(|jwk| jwk["alg"] == a.as_str());
        (a, found.unwrap())
    }) {
        let part = |name: &str| {
            let text = jwk[name].as_str().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let raw = match algorithm {
            EdDsa => three.ed25519().public_key().as_ref().to_vec(),
            _ => {
                let pair = three.ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
                pair.public_key().as_ref().to_vec()
            }
        };
        let der = {
            use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
            let der: PublicKeyX509Der<'_> = match algorithm {
                EdDsa => three.ed25519().public_key().as_der().unwrap(),
                _ => {
                    let pair = three.ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
                    pair.public_key().as_der().unwrap()
                }
            };
            der.as_ref().to_vec()
        };
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(&der)
        );
        for secret in [
            raw.clone(),
            raw[1..].to_vec(),
            part("x"),
            [part("x"), part("y")].concat(),
            der.clone(),
            pem.clone().into_bytes(),
            pem.trim_end().as_bytes().to_vec(),
            hex::encode(&raw).into_bytes(),
            jwk.to_string().into_bytes(),
            jwk["x"].as_str().unwrap().as_bytes().to_vec(),
            json!({"keys": jwks}).to_string().into_bytes(),
        ] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            for (alg, kid) in [
                ("HS256", three.kid(algorithm)),
                ("HS256", three.kid(Hs256)),
                (algorithm.as_str(), three.kid(algorithm)),
            ] {
                let signed = three.signed(alg, kid);
                let tag = hmac::sign(&key, signed.as_bytes());
                assert!(world.verify(joined(&signed, tag.as_ref())).is_err());
            }
        }
    }
}

#[test]
fn es256_in_der_is_refused() {
    let three = Three::new();
    let own = three.own(Es256);
    let pair = three.ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING);
    for _ in 0..50 {
        let made = pair.sign(&SystemRandom::new(), own.as_bytes()).unwrap();
        let der = made.as_ref();
        three.refuse(&own, der, Refusal::Signature);
        let mut padded = der.to_vec();
        padded.resize(64, 0);
        three.refuse(&own, &padded, Refusal::Signature);
    }
}

#[test]
fn es256_edge_values_are_refused() {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    const FIELD: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let three = Three::new();
    let own = three.own(Es256);
    let good = three.sign(Es256, &own);
    assert!(three.world.verify(joined(&own, &good)).is_ok());
    let number = |text: &str| hex::decode(text).unwrap();
    let one = [vec![0; 31], vec![1]].concat();
    let less_one = [number(&ORDER[..62]), vec![0x50]].concat();
    let edges = [
        vec![0; 32],
        one,
        less_one,
        number(ORDER),
        number(FIELD),
        vec![0xff; 32],
        good[..32].to_vec(),
        good[32..].to_vec(),
    ];
    for r in &edges {
        for s in &edges {
            let both = [r.as_slice(), s].concat();
            if both != good {
                three.refuse(&own, &both, Refusal::Signature);
            }
        }
    }
    for length in [0, 1, 31, 32, 33, 63, 65, 96, 128] {
        let mut other = good.clone();
        other.resize(length, 0);
        three.refuse(&own, &other, Refusal::Signature);
    }
    let mut turned = good.clone();
    turned.rotate_left(32);
    three.refuse(&own, &turned, Refusal::Signature);
    for bit in 0..512 {
        let mut other = good.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        three.refuse(&own, &other, Refusal::Signature);
    }
}

#[test]
fn es256_has_one_form_the_low_one() {
    let three = Three::new();
    let pair = three.ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let own = three.own(Es256);
    let (mut low, mut high) = (0, 0);
    for _ in 0..64 {
        let made = pair.sign(&SystemRandom::new(), own.as_bytes()).unwrap();
        let made = made.as_ref();
        let half = "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8";
        if made[32..] <= hex::decode(half).unwrap()[..] {
            low += 1;
            assert!(three.world.verify(joined(&own, made)).is_ok());
        } else {
            high += 1;
            three.refuse(&own, made, Refusal::Signature);
        }
    }
    assert!(low > 0 && high > 0);
    // Ours all have it.
    for _ in 0..64 {
        let token = three.world.token();
        assert!(three.world.verify(&token).is_ok());
    }
}

#[test]
fn ed25519_edge_values_are_refused() {
    // The order of the group, little-endian (RFC 8032 section 5.1).
    const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let three = Three::new();
    let own = three.own(EdDsa);
    let good = three.sign(EdDsa, &own);
    assert!(three.world.verify(joined(&own, &good)).is_ok());
    let l = hex::decode(L).unwrap();
    // The same s, plus the order once and more: holds in a careless verifier.
    let mut s = good[32..].to_vec();
    for _ in 0..7 {
        let mut carry = 0_u16;
        for (digit, more) in s.iter_mut().zip(&l) {
            carry += u16::from(*digit) + u16::from(*more);
            *digit = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        let other = [&good[..32], &s].concat();
        three.refuse(&own, &other, Refusal::Signature);
    }
    // Points of small order as R, with s zero and s right (and the spellings that are no point).
    for r in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let r = hex::decode(r).unwrap();
        for s in [&[0; 32][..], &good[32..], &l] {
            three.refuse(&own, &[&r, s].concat(), Refusal::Signature);
        }
    }
    three.refuse(&own, &[0; 64], Refusal::Signature);
    three.refuse(&own, &[0xff; 64], Refusal::Signature);
    for length in [0, 32, 63, 65, 96] {
        let mut other = good.clone();
        other.resize(length, 0);
        three.refuse(&own, &other, Refusal::Signature);
    }
    for bit in 0..512 {
        let mut other = good.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        three.refuse(&own, &other, Refusal::Signature);
    }
}

#[test]
fn long_signatures_have_one_spelling() {
    let three = Three::new();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for algorithm in [EdDsa, Es256] {
        let own = three.own(algorithm);
        let token = joined(&own, &three.sign(algorithm, &own));
        assert!(three.world.verify(&token).is_ok());
        let (rest, last) = token.split_at(token.len() - 1);
        for other in alphabet.chars().filter(|other| !last.starts_with(*other)) {
            three
                .world
                .refuse(format!("{rest}{other}"), Refusal::Signature);
        }
        for odd in [
            format!("{token}="),
            format!("{token}=="),
            format!("{token}A"),
            format!("{token}\n"),
            rest.to_owned(),
        ] {
            three.world.refuse(odd, Refusal::Signature);
        }
        three.world.refuse(format!("{own}."), Refusal::Signature);
        three.world.refuse(&own, Refusal::Malformed);
    }
}

#[test]
fn jsonwebtoken_verifies_what_is_published() {
    use jsonwebtoken::{Algorithm as Theirs, DecodingKey, Validation, decode, jwk::JwkSet};
    let three = Three::new();
    let world = &three.world;
    let keys: Vec<Value> = world.verifier.keyring().public().collect();
    let set: JwkSet = serde_json::from_value(json!({"keys": keys})).unwrap();
    for (algorithm, theirs) in [(EdDsa, Theirs::EdDSA), (Es256, Theirs::ES256)] {
        let keys = Keys::new(Arc::clone(&world.verifier), world.dir.path().to_owned());
        let mut rules = Validation::new(theirs);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[ISSUER]);
        rules.validate_exp = false;
        let own = three.own(algorithm);
        let token = joined(&own, &three.sign(algorithm, &own));
        let jwk = set.find(three.kid(algorithm)).unwrap();
        let key = DecodingKey::from_jwk(jwk).unwrap();
        assert!(decode::<Value>(&token, &key, &rules).is_ok(), "{algorithm}");
        // And ours, as the server writes them.
        let kid = keys.rotate(Some(algorithm), NOW).unwrap();
        let published: Vec<Value> = world.verifier.keyring().public().collect();
        let set: JwkSet = serde_json::from_value(json!({"keys": published})).unwrap();
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let read = decode::<Value>(world.token(), &key, &rules).unwrap();
        assert_eq!(read.claims["sub"], "alice");
    }
}
