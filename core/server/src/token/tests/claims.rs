//! Claims that must not pass under a good signature: absent, doubled, mistyped, out of time.

use super::{super::fuzz::REQUIRED, *};
use Refusal::{Audience, Claims as BadClaims, Expired, Issuer, NoAccount, NotYetValid};

#[test]
fn each_claim_is_required() {
    let world = World::new();
    for name in REQUIRED {
        let mut json = world.json();
        assert!(
            json.as_object_mut().unwrap().remove(name).is_some(),
            "{name}"
        );
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
    world.refuse(world.forge("{}"), BadClaims);
}

#[test]
fn null_is_not_absence() {
    let world = World::new();
    for name in REQUIRED.into_iter().chain(["scope", "grant_id", "act"]) {
        let mut json = world.json();
        json[name] = Value::Null;
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
}

#[test]
fn wrong_type_of_each_claim_is_refused() {
    let world = World::new();
    for name in REQUIRED.into_iter().chain(["scope", "grant_id", "act"]) {
        for wrong in [
            json!(true),
            json!(0.5),
            json!(-1),
            json!([]),
            json!({}),
            json!(""),
            json!("x"),
            json!([world.json()[name]]),
            json!({"": world.json()[name]}),
        ] {
            let mut json = world.json();
            json[name] = wrong;
            let refusals = [BadClaims, Issuer, Audience, NoAccount];
            if name != "provider" || !matches!(&json[name], Value::String(text) if text == "x") {
                world.refuse_any(world.forge(&json.to_string()), &refusals);
            }
        }
    }
}

#[test]
fn times_are_bounded_integers() {
    let world = World::new();
    for name in ["exp", "iat", "nbf"] {
        for wrong in [
            r#""1800003600""#,
            "1800003600.0",
            "1.8e9",
            "18e8",
            "-1",
            "-0",
            "0x6b49d200",
            "01",
            "+1",
            "1_8",
            "253402300800",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775808",
            "1e400",
            "NaN",
            "Infinity",
            "true",
            "[]",
            "[1800003600]",
            "{}",
            "null",
            r#"{"$date":1}"#,
            "",
            "\u{0661}",
        ] {
            let good = world.json()[name].to_string();
            let json = world.json().to_string();
            let json = json.replace(
                &format!(r#""{name}":{good}"#),
                &format!(r#""{name}":{wrong}"#),
            );
            assert!(json.contains(&format!(r#""{name}":{wrong}"#)));
            world.refuse(world.forge(&json), BadClaims);
        }
    }
}

#[test]
fn duplicate_claims_are_refused() {
    let world = World::new();
    let good = world.json();
    for name in REQUIRED {
        let text = good.to_string();
        let again = format!(r#","{name}":{}}}"#, good[name]);
        world.refuse(world.forge(&text.replacen('}', &again, 1)), BadClaims);
        let first = format!(r#"{{"{name}":{},"#, good[name]);
        world.refuse(world.forge(&text.replacen('{', &first, 1)), BadClaims);
        let escaped = format!(
            r#","\u00{:02x}{}":{}}}"#,
            name.as_bytes()[0],
            &name[1..],
            good[name]
        );
        world.refuse(world.forge(&text.replacen('}', &escaped, 1)), BadClaims);
    }
}

#[test]
fn unknown_claims_are_refused() {
    let world = World::new();
    for (name, value) in [
        ("is_admin", json!(true)),
        ("admin", json!(true)),
        ("Sub", json!("admin")),
        ("roles", json!(["admin"])),
        ("cnf", json!({})),
        ("sub ", json!("alice")),
        ("", json!(0)),
    ] {
        let mut json = world.json();
        json[name] = value;
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
}

#[test]
fn odd_json_is_refused() {
    let world = World::new();
    let good = world.json().to_string();
    let array: Value = world
        .json()
        .as_object()
        .unwrap()
        .values()
        .cloned()
        .collect();
    let deep = "[".repeat(2500);
    for json in [
        "null".to_owned(),
        "1".into(),
        "\"\"".into(),
        "[]".into(),
        array.to_string(),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("{good},"),
        format!("{good}\u{0}"),
        format!("\u{feff}{good}"),
        format!("\n{good}"),
        format!(" {good}"),
        good[1..].into(),
        good[..good.len() - 1].into(),
        good.replace('"', "'"),
        good.replacen('{', "{,", 1),
        good.replacen('}', ",}", 1),
        good.replacen('{', "{/**/", 1),
        deep.clone(),
        format!(r#"{{"a":{deep}"#),
        good.replace(r#""alice""#, &deep),
        good.replace("alice", r"\ud800"),
        good.replace("alice", r"\udc00\ud800"),
        good.replace("alice", r"al\xice"),
        good.replace("alice", "al\nice"),
        good.replace("alice", "al\u{0}ice"),
    ] {
        world.refuse(world.forge(&json), BadClaims);
    }
    for wrong in [
        &b"\xff"[..],
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\xaf",
    ] {
        let (before, after) = good.split_once("alice").unwrap();
        let bytes = [before.as_bytes(), wrong, after.as_bytes()].concat();
        let header = world.header().to_string();
        world.refuse(world.forge_header(&header, &bytes), BadClaims);
    }
}

#[test]
fn ten_thousand_deep_nesting_is_refused() {
    let world = World::new();
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [200, 10_000] {
            let deep = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            let json = world
                .json()
                .to_string()
                .replacen('{', &format!(r#"{{"x":{deep},"#), 1);
            assert!(world.verify(world.forge(&json)).is_err());
            let json = world.json().to_string().replace(r#""alice""#, &deep);
            assert!(world.verify(world.forge(&json)).is_err());
        }
    }
}

#[test]
fn other_uses_are_refused() {
    let world = World::new();
    for token_use in [
        "refresh",
        "id",
        "invite",
        "magic",
        "state",
        "device",
        "session",
        "Access",
        "ACCESS",
        "access ",
        "access,api",
        "",
        "null",
        "0",
    ] {
        let mut json = world.json();
        json["token_use"] = json!(token_use);
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
}

#[test]
fn other_issuers_and_audiences_are_refused() {
    let world = World::new();
    for wrong in [
        "",
        "x",
        "https://auth.example.com/",
        "https://AUTH.example.com",
        "HTTPS://auth.example.com",
        "https://auth.example.co",
        "https://auth.example.com.evil.example",
        "http://auth.example.com",
    ] {
        let mut json = world.json();
        json["iss"] = json!(wrong);
        world.refuse(world.forge(&json.to_string()), Issuer);
    }
    for wrong in [
        "",
        "x",
        "omnigen",
        "omnigent ",
        "Omnigent",
        "omnigent omnigent",
    ] {
        let mut json = world.json();
        json["aud"] = json!(wrong);
        world.refuse(world.forge(&json.to_string()), Audience);
    }
    let mut json = world.json();
    json["aud"] = json!([AUDIENCE]);
    world.refuse(world.forge(&json.to_string()), BadClaims);
}

#[test]
fn expired_token_is_refused_to_the_second() {
    let world = World::new();
    let token = world.token();
    let end = NOW.plus_seconds(3600);
    let before = Timestamp::from_millis(end.millis() - 1);
    assert!(world.verifier.verify(token.as_bytes(), before).is_ok());
    for late in [
        end,
        end.plus_seconds(1),
        end.plus_seconds(1_000_000_000),
        Timestamp::from_millis(u64::MAX),
    ] {
        assert_eq!(
            world.verifier.verify(token.as_bytes(), late).unwrap_err(),
            Expired,
            "cached"
        );
        assert_eq!(
            world.verifier.verify(token.as_bytes(), late).unwrap_err(),
            Expired,
            "uncached"
        );
    }
}

#[test]
fn token_of_the_future_is_refused_past_a_minute() {
    let world = World::new();
    for (ahead, counts) in [(0, true), (60, true), (61, false), (3000, false)] {
        let mut claims = world.claims();
        claims.issued_at = NOW.plus_seconds(ahead);
        assert_eq!(
            world.verify(world.sign(&claims)).is_ok(),
            counts,
            "iat {ahead}"
        );
        let mut claims = world.claims();
        claims.not_before = NOW.plus_seconds(ahead);
        assert_eq!(
            world.verify(world.sign(&claims)).is_ok(),
            counts,
            "nbf {ahead}"
        );
    }
    // A cached one too, when the clock is set back.
    let token = world.token();
    assert!(world.verify(&token).is_ok());
    let before = Timestamp::from_seconds(NOW.seconds() - 61);
    assert_eq!(
        world.verifier.verify(token.as_bytes(), before).unwrap_err(),
        NotYetValid
    );
    assert_eq!(
        world
            .verifier
            .verify(token.as_bytes(), Timestamp::default())
            .unwrap_err(),
        NotYetValid
    );
}

#[test]
fn only_api_tokens_may_be_endless_and_only_if_allowed() {
    let mut world = World::new();
    let mut claims = world.claims();
    claims.expires_at = None;
    let access = world.sign(&claims);
    claims.token_use = TokenUse::Api;
    let api = world.sign(&claims);
    assert!(payload(&api).get("exp").is_none());
    world.refuse(&access, BadClaims);
    world.refuse(&api, BadClaims);
    let verifier = Arc::into_inner(world.verifier).unwrap();
    world.verifier = Arc::new(verifier.allow_endless_api_tokens(true));
    world.refuse(&access, BadClaims);
    assert!(world.verify(&api).is_ok());
    world.revocations.insert(*claims.sid.as_bytes(), None);
    world.refuse(&api, Refusal::Revoked);
    let mut json = payload(&api);
    json["exp"] = Value::Null;
    world.refuse(world.forge(&json.to_string()), BadClaims);
}

#[test]
fn reserved_and_empty_subjects_are_refused() {
    let world = World::new();
    for name in [
        "",
        " ",
        "local",
        "LOCAL",
        "Local",
        "lOcAl",
        " local",
        "local ",
        "__public__",
        "__PUBLIC__",
        "__Public__",
    ] {
        // Even if there were such an account.
        let uid = Uid::random();
        world
            .accounts
            .insert(AccountState::new(uid, name, true, false));
        let mut claims = world.claims();
        (claims.uid, claims.subject) = (uid, name.into());
        world.refuse(world.sign(&claims), BadClaims);
    }
}

#[test]
fn claims_come_back_as_they_were_signed() {
    let world = World::new();
    let mut claims = world.claims();
    claims.scope = Some(Scopes::from(Scope::Sessions).with(Scope::Account));
    claims.grant = Some(GrantId::random());
    claims.client_id = Some("a \"client\" \u{1f600} \\ \u{0}".into());
    claims.provider = "corp \u{e9}".into();
    claims.token_use = TokenUse::Api;
    let verified = world.verify(world.sign(&claims)).unwrap();
    assert_eq!(world.verifier.claims(&verified), claims);
}

#[test]
fn times_are_signed_in_whole_seconds() {
    let world = World::new();
    let mut claims = world.claims();
    claims.issued_at = Timestamp::from_millis(NOW.millis() - 1);
    let json = payload(&world.sign(&claims));
    assert_eq!(json["iat"], json!(NOW.seconds() - 1));
    assert_eq!(json["exp"], json!(NOW.seconds() + 3600));
}

#[test]
fn odd_scopes_and_actors_are_refused() {
    let world = World::new();
    for scope in [
        "",
        " ",
        "session",
        "sessions ",
        " sessions",
        "sessions  account",
        "sessions,account",
        "SESSIONS",
        "*",
        "sessions\taccount",
    ] {
        let mut json = world.json();
        json["scope"] = json!(scope);
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
    for act in [
        json!({}),
        json!([]),
        json!(["client"]),
        json!("client"),
        json!({"client_id": null}),
        json!({"client_id": 1}),
        json!({"client_id": "a", "sub": "b"}),
        json!({"sub": "admin"}),
        json!({"act": {"client_id": "a"}}),
    ] {
        let mut json = world.json();
        json["act"] = act;
        world.refuse(world.forge(&json.to_string()), BadClaims);
    }
    let mut json = world.json();
    json["act"] = json!({"client_id": "omnigent-cli"});
    assert!(world.verify(world.forge(&json.to_string())).is_ok());
}

#[test]
fn ids_are_32_lower_case_digits() {
    let world = World::new();
    for name in ["uid", "sid", "jti", "grant_id"] {
        let id = Uid::random().to_string().replace('1', "a");
        for wrong in [
            String::new(),
            id[1..].into(),
            format!("{id}0"),
            format!("a{}", id.to_uppercase()),
            "g".repeat(32),
            format!("conv_{id}"),
            format!("{} ", &id[1..]),
        ] {
            let mut json = world.json();
            json[name] = json!(wrong);
            world.refuse(world.forge(&json.to_string()), BadClaims);
        }
    }
}
