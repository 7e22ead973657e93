use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

use super::signer::{Signer, set};
use crate::{
    algorithm::Algorithm::{self, *},
    jws::{Unsigned, Unverified},
    keys::KeySet,
};

const CLAIMS: &str = r#"{"sub":"a"}"#;

fn verify(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), String> {
    match Unverified::read(token)?.verify(keys, allowed) {
        Ok(_) => Ok(()),
        Err(Unsigned::UnknownKey) => Err("unknown key".into()),
        Err(unsigned) => Err(unsigned.reason()),
    }
}

#[test]
fn a_token_by_the_provider_is_believed() {
    let signer = Signer::new(ES256);
    let token = signer.token(ES256, "k", &json!({"sub": "a"}));
    let verified = Unverified::read(&token)
        .unwrap()
        .verify(&set(&[signer.jwk("k")]), &[ES256]);
    let Ok(verified) = verified else { panic!() };
    assert_eq!(verified.claims.get("sub"), Some(&json!("a")));
}

#[test]
fn a_token_by_somebody_else_is_not() {
    let (signer, forger) = (Signer::new(ES256), Signer::new(ES256));
    let keys = set(&[signer.jwk("k")]);
    let forged = forger.token(ES256, "k", &json!({}));
    assert_eq!(
        verify(&forged, &keys, &[ES256]),
        Err("the token's signature is wrong".into())
    );
    let unknown = forger.token(ES256, "other", &json!({}));
    assert_eq!(verify(&unknown, &keys, &[ES256]), Err("unknown key".into()));
}

#[test]
fn the_algorithm_is_pinned() {
    let signer = Signer::new(RS256);
    let keys = set(&[signer.jwk("k")]);
    let token = signer.token(PS256, "k", &json!({}));
    assert_eq!(verify(&token, &keys, &[PS256]), Ok(()));
    assert!(
        verify(&token, &keys, &[RS256])
            .unwrap_err()
            .contains("not taken")
    );
    assert!(verify(&token, &keys, &[]).is_err());
}

#[test]
fn none_and_shared_secrets_sign_nothing() {
    for alg in [
        "none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K",
        "RSA-OAEP",
    ] {
        let header = json!({"alg": alg, "kid": "k"}).to_string();
        let unsigned = format!("{}.{}.", BASE64.encode(header), BASE64.encode(CLAIMS));
        assert!(Unverified::read(&unsigned).is_err(), "{alg}");
    }
}

#[test]
fn a_header_out_of_the_ordinary_is_refused() {
    let signer = Signer::new(ES256);
    for header in [
        "{}",
        "[]",
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","zip":"DEF"}"#,
        r#"{"alg":"ES256","enc":"A128GCM"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","kid":["k"]}"#,
        r#"{"alg":"ES256","typ":7}"#,
    ] {
        assert!(
            Unverified::read(&signer.token_of(ES256, header, CLAIMS)).is_err(),
            "{header}"
        );
    }
}

#[test]
fn a_key_in_the_header_is_not_looked_at() {
    let (signer, forger) = (Signer::new(ES256), Signer::new(ES256));
    let jwk = forger.jwk("k");
    let header = json!({"alg": "ES256", "kid": "k", "jwk": jwk, "jku": "https://evil.example/"});
    let token = forger.token_of(ES256, &header.to_string(), CLAIMS);
    assert!(verify(&token, &set(&[signer.jwk("k")]), &[ES256]).is_err());
}

#[test]
fn claims_said_twice_are_refused() {
    let signer = Signer::new(ES256);
    let header = r#"{"alg":"ES256","kid":"k"}"#;
    for claims in [r#"{"sub":"a","sub":"b"}"#, "[]", "7", "", "<html>"] {
        let token = signer.token_of(ES256, header, claims);
        assert!(Unverified::read(&token).is_err(), "{claims}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = Signer::new(ES256).token(ES256, "k", &json!({}));
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!()
    };
    for token in [
        String::new(),
        "..".into(),
        format!("{header}.{claims}"),
        format!("{good}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        format!("{header}.{claims}.{signature}\n"),
        format!(" {good}"),
        format!("{header}.{claims}.+/+/"),
        "a".repeat(100_000),
    ] {
        assert!(Unverified::read(&token).is_err());
    }
}

#[test]
fn without_a_key_id_any_fitting_key_may_have_signed() {
    let (one, two) = (Signer::new(ES256), Signer::new(ES256));
    let keys = set(&[one.jwk("one"), two.jwk("two")]);
    let token = two.token_of(ES256, r#"{"alg":"ES256"}"#, CLAIMS);
    assert_eq!(verify(&token, &keys, &[ES256]), Ok(()));
    let stranger = Signer::new(ES256).token_of(ES256, r#"{"alg":"ES256"}"#, CLAIMS);
    assert_eq!(
        verify(&stranger, &keys, &[ES256]),
        Err("unknown key".into())
    );
}

#[test]
fn two_keys_of_one_id_do_not_lock_out() {
    let (one, two) = (Signer::new(ES256), Signer::new(ES256));
    let keys = set(&[one.jwk("k"), two.jwk("k")]);
    assert_eq!(
        verify(&two.token(ES256, "k", &json!({})), &keys, &[ES256]),
        Ok(())
    );
}
