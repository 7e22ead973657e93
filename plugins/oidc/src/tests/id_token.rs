use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::{
    CLIENT, ISSUER, NOW,
    signer::{Signer, set},
};
use crate::{
    algorithm::Algorithm::{self, *},
    id_token::{Expected, check},
    jws::Unverified,
};

fn good() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": CLIENT, "exp": NOW + 300, "iat": NOW,
        "nonce": "n-0S6", "email": "alice@example.com", "email_verified": true,
    })
}

/// `good`, with these members instead; `null` takes one out.
fn but(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in super::object(changes) {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(&name)),
            value => claims[name] = value,
        }
    }
    claims
}

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        now: NOW,
        nonce: Some("n-0S6"),
        access_token: Some("access"),
        authenticated_since: None,
    }
}

fn checked_as(alg: Algorithm, claims: &Value, expected: &Expected<'_>) -> Result<(), String> {
    let signer = Signer::new(alg);
    let token = signer.token(alg, "k", claims);
    let Ok(verified) = Unverified::read(&token)?.verify(&set(&[signer.jwk("k")]), &[alg]) else {
        panic!("signed by the key")
    };
    check(&token, &verified, expected)
}

fn checked(claims: &Value) -> Result<(), String> {
    checked_as(EdDSA, claims, &expected())
}

#[test]
fn a_good_token_passes_with_every_algorithm() {
    for alg in [
        RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
    ] {
        assert_eq!(checked_as(alg, &good(), &expected()), Ok(()), "{alg:?}");
    }
}

#[test]
fn what_is_missing_is_refused() {
    for name in ["iss", "sub", "aud", "exp", "iat", "nonce"] {
        assert!(checked(&but(json!({name: null}))).is_err(), "{name}");
    }
}

#[test]
fn another_issuer_is_refused_to_the_letter() {
    for iss in [
        json!("https://evil.example.com"),
        json!("https://id.example.com/"),
        json!("https://ID.example.com"),
        json!("https://id.example.com.evil"),
        json!("id.example.com"),
        json!(""),
        json!([ISSUER]),
        json!(7),
    ] {
        assert!(checked(&but(json!({"iss": iss}))).is_err(), "{iss}");
    }
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    for aud in [
        json!("other"),
        json!("omnigent2"),
        json!("omni"),
        json!("OMNIGENT"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!([["omnigent"]]),
        json!(["omnigent", 7]),
        json!({"omnigent": true}),
        json!(7),
    ] {
        assert!(checked(&but(json!({"aud": aud}))).is_err(), "{aud}");
    }
    assert_eq!(checked(&but(json!({"aud": [CLIENT]}))), Ok(()));
}

#[test]
fn of_several_audiences_azp_says_which_asked() {
    let several = json!([CLIENT, "api"]);
    assert!(checked(&but(json!({"aud": several}))).is_err());
    assert!(checked(&but(json!({"aud": several, "azp": "api"}))).is_err());
    assert_eq!(
        checked(&but(json!({"aud": several, "azp": CLIENT}))),
        Ok(())
    );
    for azp in [json!("api"), json!(""), json!([CLIENT]), json!(7)] {
        assert!(checked(&but(json!({"azp": azp}))).is_err(), "{azp}");
    }
    assert_eq!(checked(&but(json!({"azp": CLIENT}))), Ok(()));
}

#[test]
fn times_have_a_minute_of_leeway_and_no_more() {
    for good in [
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60}),
        json!({"nbf": NOW + 60}),
        json!({"iat": NOW - 3000}),
        json!({"exp": NOW as f64 + 300.5}),
    ] {
        assert_eq!(checked(&but(good.clone())), Ok(()), "{good}");
    }
    for bad in [
        json!({"exp": NOW - 60}),
        json!({"exp": 0}),
        json!({"exp": -1}),
        json!({"exp": (NOW + 300).to_string()}),
        json!({"exp": [NOW + 300]}),
        json!({"exp": 1e300}),
        json!({"iat": NOW + 61}),
        json!({"iat": NOW.to_string()}),
        json!({"iat": true}),
        json!({"nbf": NOW + 61}),
        json!({"nbf": "0"}),
    ] {
        assert!(checked(&but(bad.clone())).is_err(), "{bad}");
    }
}

#[test]
fn clocks_that_disagree_are_named_as_the_reason() {
    let ahead = checked(&but(json!({"iat": NOW + 312, "exp": NOW + 612}))).unwrap_err();
    assert!(
        ahead.contains("the provider's clock seems 312 s ahead of ours"),
        "{ahead}"
    );
    let behind = checked(&but(json!({"iat": NOW - 400, "exp": NOW - 100}))).unwrap_err();
    assert!(
        behind.contains("the provider's clock seems 400 s behind ours"),
        "{behind}"
    );
}

#[test]
fn the_nonce_is_required_and_exact() {
    for nonce in [
        json!("n-0S"),
        json!("n-0S66"),
        json!("N-0S6"),
        json!(""),
        json!(["n-0S6"]),
        json!(7),
    ] {
        assert!(checked(&but(json!({"nonce": nonce}))).is_err(), "{nonce}");
    }
    let no_sign_in = Expected {
        nonce: None,
        ..expected()
    };
    assert_eq!(
        checked_as(EdDSA, &but(json!({"nonce": null})), &no_sign_in),
        Ok(())
    );
}

#[test]
fn a_subject_is_text_of_bounded_length() {
    for sub in [
        json!(""),
        json!(7),
        json!(["a"]),
        json!("a".repeat(256)),
        json!("a\nb"),
        json!({}),
    ] {
        assert!(checked(&but(json!({"sub": sub}))).is_err(), "{sub}");
    }
    assert_eq!(checked(&but(json!({"sub": "a".repeat(255)}))), Ok(()));
}

#[test]
fn an_access_token_that_was_swapped_is_noticed() {
    let half = |alg: Algorithm, token: &str| {
        let hash = alg.hash(token.as_bytes());
        BASE64.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
    };
    for alg in [RS256, PS384, RS512, ES256, ES384, EdDSA] {
        let right = but(json!({"at_hash": half(alg, "access")}));
        assert_eq!(checked_as(alg, &right, &expected()), Ok(()), "{alg:?}");
        let wrong = but(json!({"at_hash": half(alg, "another")}));
        assert!(checked_as(alg, &wrong, &expected()).is_err(), "{alg:?}");
    }
    for at_hash in [json!(""), json!(7), json!("AAAA")] {
        assert!(
            checked(&but(json!({"at_hash": at_hash}))).is_err(),
            "{at_hash}"
        );
    }
}

#[test]
fn signing_in_anew_must_have_happened() {
    let anew = Expected {
        authenticated_since: Some(NOW - 30),
        ..expected()
    };
    let is = |auth_time: Value| checked_as(EdDSA, &but(json!({"auth_time": auth_time})), &anew);
    assert_eq!(is(json!(NOW - 10)), Ok(()));
    assert_eq!(is(json!(NOW - 90)), Ok(()));
    for old in [json!(NOW - 91), json!(0), json!("now"), json!(null)] {
        assert!(is(old.clone()).is_err(), "{old}");
    }
}

#[test]
fn another_kind_of_token_is_no_id_token() {
    let signer = Signer::new(EdDSA);
    let keys = set(&[signer.jwk("k")]);
    for typ in ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"] {
        let header = json!({"alg": "EdDSA", "kid": "k", "typ": typ}).to_string();
        let token = signer.token_of(EdDSA, &header, &good().to_string());
        let Ok(verified) = Unverified::read(&token).unwrap().verify(&keys, &[EdDSA]) else {
            panic!()
        };
        assert!(check(&token, &verified, &expected()).is_err(), "{typ}");
    }
}

#[test]
fn a_reason_never_quotes_the_token() {
    for change in [
        json!({"iss": "SECRET"}),
        json!({"nonce": "SECRET"}),
        json!({"aud": "SECRET"}),
        json!({"azp": "SECRET"}),
    ] {
        assert!(!checked(&but(change)).unwrap_err().contains("SECRET"));
    }
}

#[test]
fn claims_nobody_reads_may_be_odd_where_providers_are() {
    // Cognito's and Auth0's.
    let odd = but(
        json!({"email_verified": "true", "updated_at": "2026-01-01T00:00:00.000Z", "amr": ["pwd"]}),
    );
    assert_eq!(checked(&odd), Ok(()));
}
