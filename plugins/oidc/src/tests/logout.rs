use serde_json::{Value, json};

use super::{CLIENT, ISSUER, NOW, object};
use crate::{
    discovery::Metadata,
    logout::{Seen, ended, target},
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "j1", "sub": "alice",
        "sid": "s1", "events": {EVENT: {}},
    })
}

fn but(name: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn told(claims: Value) -> Result<omnigent_plugin::Ended, String> {
    ended(
        &object(claims),
        Some("logout+jwt"),
        ISSUER,
        CLIENT,
        NOW,
        &Seen::default(),
    )
}

#[test]
fn a_logout_token_ends_what_it_names() {
    let whole = told(good()).unwrap();
    assert_eq!(whole.issuer.as_deref(), Some(ISSUER));
    assert_eq!(
        (whole.subject.as_deref(), whole.session.as_deref()),
        (Some("alice"), Some("s1"))
    );
    assert_eq!(told(but("sid", Value::Null)).unwrap().session, None);
    assert_eq!(told(but("sub", Value::Null)).unwrap().subject, None);
}

#[test]
fn what_is_missing_is_refused() {
    for name in ["iss", "aud", "iat", "exp", "jti", "events"] {
        assert!(told(but(name, Value::Null)).is_err(), "{name}");
    }
    let mut nobody = but("sub", Value::Null);
    nobody.as_object_mut().unwrap().remove("sid");
    assert!(told(nobody).is_err());
}

#[test]
fn what_is_wrong_is_refused() {
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!([ISSUER])),
        ("aud", json!("other")),
        ("aud", json!([CLIENT, "other"])),
        ("iat", json!(NOW + 61)),
        ("iat", json!(NOW - 601)),
        ("exp", json!(NOW - 60)),
        ("exp", json!("soon")),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("j".repeat(257))),
        ("sub", json!(7)),
        ("sid", json!(["s1"])),
        ("nonce", json!("n")),
        ("nonce", json!("")),
        ("events", json!([EVENT])),
        ("events", json!(EVENT)),
        ("events", json!({})),
        ("events", json!({EVENT: null})),
        ("events", json!({EVENT: true})),
        ("events", json!({"backchannel-logout": {}})),
        (
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout/": {}}),
        ),
    ] {
        assert!(told(but(name, value.clone())).is_err(), "{name}: {value}");
    }
    let mut null = good();
    null["nonce"] = Value::Null;
    assert!(told(null).is_err());
}

#[test]
fn an_id_token_is_no_logout_token() {
    let id_token = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "sub": "alice", "nonce": "n",
    });
    assert!(told(id_token).is_err());
    for typ in ["at+jwt", "secevent+jwt", ""] {
        let told = ended(
            &object(good()),
            Some(typ),
            ISSUER,
            CLIENT,
            NOW,
            &Seen::default(),
        );
        assert!(told.is_err(), "{typ}");
    }
    for typ in [None, Some("jwt"), Some("logout+jwt")] {
        assert!(ended(&object(good()), typ, ISSUER, CLIENT, NOW, &Seen::default()).is_ok());
    }
}

#[test]
fn a_token_counts_again_only_while_its_sender_may_try_again() {
    let seen = Seen::default();
    let told = |id: &str, now| {
        let claims = object(but("jti", json!(id)));
        ended(&claims, None, ISSUER, CLIENT, now, &seen).is_ok()
    };
    assert!(told("a", NOW) && told("a", NOW) && told("a", NOW + 120));
    assert!(!told("a", NOW + 121), "since it was heard first");
    assert!(!told("a", NOW + 170), "still within its time");
    assert!(told("b", NOW + 170));
}

#[test]
fn a_bad_token_does_not_use_up_a_good_ones_id() {
    let seen = Seen::default();
    let bad = object(but("aud", json!("other")));
    assert!(ended(&bad, None, ISSUER, CLIENT, NOW, &seen).is_err());
    assert!(ended(&object(good()), None, ISSUER, CLIENT, NOW, &seen).is_ok());
}

#[test]
fn what_is_remembered_is_bounded() {
    let seen = Seen::default();
    let told = |id: String, now| {
        let claims = object(but("jti", json!(id)));
        ended(&claims, None, ISSUER, CLIENT, now, &seen).is_ok()
    };
    assert!((0..5000).all(|id| told(format!("{id:05}"), NOW)));
    assert!(!told("04999".into(), NOW + 121));
}

fn metadata(end_session: Value) -> Metadata {
    let document = json!({
        "issuer": ISSUER, "authorization_endpoint": "https://id.example.com/a",
        "token_endpoint": "https://id.example.com/t", "jwks_uri": "https://id.example.com/j",
        "end_session_endpoint": end_session,
    });
    Metadata::read(object(document), ISSUER, &[]).unwrap()
}

#[test]
fn who_signs_out_goes_by_the_provider_if_it_wants_to_know() {
    let metadata = metadata(json!("https://id.example.com/bye?x=1"));
    let url = |configured: Option<&url::Url>| {
        target(Some(&metadata), CLIENT, configured, "https://here.example")
            .url
            .unwrap()
    };
    assert_eq!(
        url(None),
        "https://id.example.com/bye?x=1&client_id=omnigent&post_logout_redirect_uri=\
         https%3A%2F%2Fhere.example"
    );
    let configured = url::Url::parse("https://bye.example/").unwrap();
    assert!(url(Some(&configured)).ends_with("redirect_uri=https%3A%2F%2Fbye.example%2F"));
}

#[test]
fn else_where_the_operator_says() {
    let configured = url::Url::parse("https://bye.example/").unwrap();
    for metadata in [None, Some(&metadata(Value::Null))] {
        let to = |configured| target(metadata, CLIENT, configured, "https://here.example").url;
        assert_eq!(
            to(Some(&configured)).as_deref(),
            Some("https://bye.example/")
        );
        assert_eq!(to(None), None);
    }
}
