//! The same format as everybody else's: jsonwebtoken reads ours and we read its.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};

use super::*;

#[test]
fn jsonwebtoken_accepts_ours() {
    let world = World::new();
    let mut claims = world.claims();
    claims.issued_at = Timestamp::from_seconds(1_600_000_000);
    claims.not_before = claims.issued_at;
    claims.expires_at = Some(Timestamp::from_seconds(crate::token::claims::MAX_SECONDS));
    claims.scope = Some(Scope::Sessions.into());
    claims.client_id = Some("omnigent-cli".into());
    let token = world.sign(&claims);
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[ISSUER]);
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let read = decode::<Value>(&token, &DecodingKey::from_secret(&KEY), &rules).unwrap();
    assert_eq!(read.header.alg, Algorithm::HS256);
    assert_eq!(read.header.typ.as_deref(), Some("JWT"));
    assert_eq!(
        read.header.kid.as_deref(),
        Some(world.verifier.keyring().active())
    );
    assert_eq!(read.claims["sub"], "alice");
    assert_eq!(read.claims["provider"], "accounts");
    assert_eq!(read.claims["token_use"], "access");
    assert_eq!(read.claims["scope"], "sessions");
    assert_eq!(read.claims["act"], json!({"client_id": "omnigent-cli"}));
    assert_eq!(read.claims["uid"], world.alice.to_string());
    let wrong = DecodingKey::from_secret(&[7; 32]);
    assert!(decode::<Value>(&token, &wrong, &rules).is_err());
}

#[test]
fn we_accept_jsonwebtokens() {
    let world = World::new();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(world.verifier.keyring().active().to_owned());
    let token = encode(&header, &world.json(), &EncodingKey::from_secret(&KEY)).unwrap();
    assert_eq!(&*world.verify(&token).unwrap().account().id, "alice");
    let wrong = encode(&header, &world.json(), &EncodingKey::from_secret(&[7; 32])).unwrap();
    world.refuse(wrong, Refusal::Signature);
}

#[test]
fn we_refuse_jsonwebtokens_that_it_accepts() {
    let world = World::new();
    let key = EncodingKey::from_secret(&KEY);
    let kid = world.verifier.keyring().active().to_owned();
    let header = |edit: &dyn Fn(&mut Header)| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid.clone());
        edit(&mut header);
        encode(&header, &world.json(), &key).unwrap()
    };
    let edits: [&dyn Fn(&mut Header); 6] = [
        &|header| header.crit = Some(vec![]),
        &|header| header.crit = Some(vec!["alg".into()]),
        &|header| header.jku = Some("https://evil.example".into()),
        &|header| header.cty = Some("JWT".into()),
        &|header| header.typ = None,
        &|header| header.extras.insert("b64", false),
    ];
    for edit in edits {
        world.refuse(header(edit), Refusal::Malformed);
    }
    for alg in [Algorithm::HS384, Algorithm::HS512] {
        let mut other = Header::new(alg);
        other.kid = Some(kid.clone());
        let token = encode(&other, &world.json(), &key).unwrap();
        world.refuse_any(token, &[Refusal::Signature, Refusal::Algorithm]);
    }
    world.refuse(header(&|header| header.kid = None), Refusal::Malformed);
}
