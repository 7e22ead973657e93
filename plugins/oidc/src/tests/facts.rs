use omnigent_plugin::Identity;
use serde_json::{Value, json};

use super::{ISSUER, object};
use crate::facts::{NoIdentity, Rules, address};

fn rules() -> Rules {
    Rules {
        groups_claim: "groups".into(),
        ..Rules::default()
    }
}

fn who(rules: &Rules, claims: Value) -> Result<Identity, NoIdentity> {
    rules.identity(ISSUER, "alice-1", &[&object(claims)])
}

fn is_nobody(rules: &Rules, claims: Value) -> bool {
    matches!(who(rules, claims), Err(NoIdentity::NoName(_)))
}

#[test]
fn a_verified_address_names_a_person() {
    let claims = json!({
        "email": "Alice@Example.COM", "email_verified": true, "name": "Alice A.", "sid": "s1",
        "groups": ["staff", "admins"],
    });
    let expected = Identity {
        subject: "alice-1".into(),
        issuer: Some(ISSUER.into()),
        username: Some("alice@example.com".into()),
        email: Some("alice@example.com".into()),
        email_verified: true,
        display_name: Some("Alice A.".into()),
        groups: vec!["staff".into(), "admins".into()],
        session: Some("s1".into()),
    };
    assert_eq!(who(&rules(), claims), Ok(expected));
}

#[test]
fn a_reserved_name_is_for_the_host_to_refuse() {
    for said in ["local", " LOCAL ", "__public__"] {
        let claims = json!({"email": said, "email_verified": true});
        let name = said.trim().to_lowercase();
        assert_eq!(who(&rules(), claims).unwrap().username, Some(name));
        assert!(is_nobody(&rules(), json!({"email": said})));
    }
    let claims = json!({"email": "root", "email_verified": true});
    assert!(is_nobody(&rules(), claims));
}

#[test]
fn only_true_is_verified() {
    for verified in [
        json!(false),
        json!(null),
        json!("true"),
        json!("True"),
        json!(1),
        json!("1"),
        json!([true]),
        json!({}),
        json!("yes"),
    ] {
        let claims = json!({"email": "a@example.com", "email_verified": verified});
        assert!(is_nobody(&rules(), claims), "{verified}");
    }
    assert!(is_nobody(&rules(), json!({"email": "a@example.com"})));
}

#[test]
fn true_in_writing_counts_only_if_the_operator_says_so() {
    let rules = Rules {
        email_verified_as_string: true,
        ..rules()
    };
    let is = |verified: Value| {
        who(
            &rules,
            json!({"email": "a@example.com", "email_verified": verified}),
        )
        .is_ok()
    };
    assert!(is(json!("true")) && is(json!(true)));
    for verified in [
        json!("false"),
        json!("TRUE"),
        json!("1"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        assert!(!is(verified.clone()), "{verified}");
    }
}

#[test]
fn verification_is_waived_only_by_the_operator() {
    let rules = Rules {
        skip_email_verification: true,
        ..rules()
    };
    for claims in [
        json!({"email": "a@example.com"}),
        json!({"email": "a@example.com", "email_verified": false}),
    ] {
        assert!(who(&rules, claims).unwrap().email_verified);
    }
    assert!(is_nobody(&rules, json!({"email_verified": true})));
}

#[test]
fn what_is_no_address_names_nobody() {
    for email in [
        "",
        " ",
        "alice",
        "@example.com",
        "alice@",
        "a b@example.com",
        "a@b@example.com",
        "a\n@example.com",
        "a@exa\u{0}mple.com",
        "a@exam\u{2028}ple.com",
    ] {
        assert_eq!(address(email), None, "{email:?}");
        assert!(
            is_nobody(&rules(), json!({"email": email, "email_verified": true})),
            "{email:?}"
        );
    }
    assert_eq!(address(&format!("{}@example.com", "a".repeat(250))), None);
}

#[test]
fn an_address_of_another_type_is_wrong() {
    for email in [
        json!(7),
        json!(["a@example.com"]),
        json!({"a": 1}),
        json!(true),
    ] {
        let told = who(&rules(), json!({"email": email, "email_verified": true}));
        assert!(matches!(told, Err(NoIdentity::Wrong(_))), "{email}");
    }
}

#[test]
fn unicode_does_not_make_one_person_another() {
    // The Kelvin sign's lower case is `k`; the dotted capital I's begins with `i`.
    assert_ne!(
        address("\u{212a}im@example.com").as_deref(),
        Some("kim@example.com")
    );
    assert_ne!(
        address("\u{130}vy@example.com").as_deref(),
        Some("ivy@example.com")
    );
    assert_eq!(
        address("KIM@example.com").as_deref(),
        Some("kim@example.com")
    );
}

#[test]
fn an_address_counts_only_with_its_own_sources_word() {
    let id_token = object(json!({"email": "victim@example.com", "email_verified": false}));
    let userinfo = object(json!({"email": "mallory@example.com", "email_verified": true}));
    let who = rules()
        .identity(ISSUER, "m", &[&id_token, &userinfo])
        .unwrap();
    assert_eq!(who.email.as_deref(), Some("mallory@example.com"));
    let unsaid = object(json!({"email_verified": true}));
    assert!(
        rules()
            .identity(ISSUER, "m", &[&id_token, &unsaid])
            .is_err()
    );
    let alone = object(json!({"email": "victim@example.com"}));
    assert!(rules().identity(ISSUER, "m", &[&unsaid, &alone]).is_err());
}

#[test]
fn the_id_token_comes_before_userinfo() {
    let id_token = object(json!({
        "email": "a@example.com", "email_verified": true, "name": "A", "groups": ["one"],
    }));
    let userinfo = object(json!({
        "email": "b@example.com", "email_verified": true, "name": "B", "groups": ["two"], "sid": "s",
    }));
    let who = rules()
        .identity(ISSUER, "a", &[&id_token, &userinfo])
        .unwrap();
    assert_eq!(who.email.as_deref(), Some("a@example.com"));
    assert_eq!(
        (who.display_name.as_deref(), who.groups),
        (Some("A"), vec!["one".to_owned()])
    );
}

#[test]
fn another_claim_can_name_people() {
    let rules = Rules {
        email_claim: Some("upn".into()),
        ..rules()
    };
    let who = who(
        &rules,
        json!({"upn": "Alice@Corp.Example", "email": "x@y.example"}),
    )
    .unwrap();
    assert_eq!(who.username.as_deref(), Some("alice@corp.example"));
    assert_eq!(who.email.as_deref(), Some("alice@corp.example"));
    assert!(who.email_verified);
}

#[test]
fn a_name_that_is_no_address_does_not_verify_one() {
    let rules = Rules {
        email_claim: Some("preferred_username".into()),
        ..rules()
    };
    let told =
        |verified: bool| {
            who(&rules, json!({
            "preferred_username": "Alice", "email": "A@example.com", "email_verified": verified,
        }))
        .unwrap()
        };
    assert_eq!(told(false).username.as_deref(), Some("alice"));
    assert_eq!(
        (told(false).email.as_deref(), told(false).email_verified),
        (Some("a@example.com"), false)
    );
    assert!(told(true).email_verified);
}

#[test]
fn a_claim_that_does_not_name_anybody_is_refused() {
    let rules = Rules {
        email_claim: Some("upn".into()),
        ..rules()
    };
    for claims in [
        json!({"email": "a@example.com", "email_verified": true}),
        json!({"upn": ""}),
        json!({"upn": "  "}),
        json!({"upn": "a b"}),
        json!({"upn": "a\u{7}"}),
        json!({"upn": "a".repeat(255)}),
        json!({"upn": null}),
    ] {
        assert!(is_nobody(&rules, claims.clone()), "{claims}");
    }
    for upn in [json!(7), json!(["alice"]), json!({"a": 1}), json!(true)] {
        let told = who(&rules, json!({"upn": upn}));
        assert!(matches!(told, Err(NoIdentity::Wrong(_))), "{upn}");
    }
}

#[test]
fn groups_that_were_left_out_are_refused_loudly() {
    let claims = json!({
        "email": "a@example.com", "email_verified": true, "_claim_names": {"groups": "src1"},
    });
    assert_eq!(
        who(&rules(), claims.clone()),
        Err(NoIdentity::TooManyGroups)
    );
    let no_groups = Rules {
        groups_claim: String::new(),
        ..rules()
    };
    assert!(who(&no_groups, claims).is_ok());
}

#[test]
fn groups_of_another_type_are_refused() {
    let claims = json!({"email": "a@example.com", "email_verified": true, "groups": [1]});
    assert!(matches!(who(&rules(), claims), Err(NoIdentity::Wrong(_))));
}

#[test]
fn more_is_asked_for_when_something_is_missing() {
    let needs = |claims: Value| rules().needs_more(&object(claims));
    assert!(!needs(
        json!({"email": "a@example.com", "email_verified": true, "groups": []})
    ));
    assert!(needs(
        json!({"email": "a@example.com", "email_verified": true})
    ));
    assert!(needs(json!({"email": "a@example.com", "groups": []})));
    assert!(needs(json!({"groups": []})));
    let no_groups = Rules {
        groups_claim: String::new(),
        ..rules()
    };
    assert!(!no_groups.needs_more(&object(
        json!({"email": "a@example.com", "email_verified": true})
    )));
}

#[test]
fn a_display_name_is_one_short_line() {
    let name = format!("A\n\u{1b}[31m{}", "b".repeat(500));
    let claims = json!({"email": "a@example.com", "email_verified": true, "name": name});
    let shown = who(&rules(), claims).unwrap().display_name.unwrap();
    assert!(shown.starts_with("A[31mb") && shown.chars().count() == 200);
    for name in [json!(7), json!(""), json!(null)] {
        let claims = json!({"email": "a@example.com", "email_verified": true, "name": name});
        assert_eq!(who(&rules(), claims).unwrap().display_name, None, "{name}");
    }
}
