use serde_json::{Value, json};

use crate::github::{identity, is_member, logins};

const WEB: &str = "https://github.com";

fn user() -> Value {
    json!({"id": 583231, "login": "Octocat", "name": "Mona"})
}

fn emails() -> Value {
    json!([
        {"email": "old@example.com", "primary": false, "verified": true},
        {"email": "Mona@Example.com", "primary": true, "verified": true},
    ])
}

#[test]
fn a_person_is_a_number_with_a_verified_primary_address() {
    let who = identity(WEB, &user(), &emails(), vec!["acme".into()], false).unwrap();
    assert_eq!(
        (who.subject.as_str(), who.issuer.as_deref()),
        ("583231", Some(WEB))
    );
    assert_eq!(who.username.as_deref(), Some("mona@example.com"));
    assert_eq!(
        (who.email.as_deref(), who.email_verified),
        (Some("mona@example.com"), true)
    );
    assert_eq!(
        (who.display_name.as_deref(), who.groups),
        (Some("Mona"), vec!["acme".to_owned()])
    );
}

#[test]
fn the_address_on_the_profile_counts_for_nothing() {
    let mut user = user();
    user["email"] = json!("victim@example.com");
    assert!(identity(WEB, &user, &json!([]), Vec::new(), false).is_err());
}

#[test]
fn an_address_must_be_primary_and_verified() {
    for emails in [
        json!([]),
        json!({}),
        json!(null),
        json!("a@example.com"),
        json!(["a@example.com"]),
        json!([{"email": "a@example.com", "primary": true, "verified": false}]),
        json!([{"email": "a@example.com", "primary": false, "verified": true}]),
        json!([{"email": "a@example.com", "primary": "true", "verified": "true"}]),
        json!([{"email": "a@example.com", "primary": 1, "verified": 1}]),
        json!([{"email": 7, "primary": true, "verified": true}]),
        json!([{"email": "nothing", "primary": true, "verified": true}]),
    ] {
        assert!(
            identity(WEB, &user(), &emails, Vec::new(), false).is_err(),
            "{emails}"
        );
    }
}

#[test]
fn a_user_without_a_number_is_nobody() {
    for id in [
        json!(null),
        json!("583231"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!([1]),
    ] {
        let user = json!({"id": id, "login": "octocat"});
        assert!(
            identity(WEB, &user, &emails(), Vec::new(), false).is_err(),
            "{id}"
        );
    }
    assert!(identity(WEB, &json!([]), &emails(), Vec::new(), false).is_err());
}

#[test]
fn the_login_may_be_the_name() {
    let who = identity(WEB, &user(), &json!([]), Vec::new(), true).unwrap();
    assert_eq!(
        (who.username.as_deref(), who.email, who.email_verified),
        (Some("octocat"), None, false)
    );
    let nameless = json!({"id": 1});
    assert!(identity(WEB, &nameless, &emails(), Vec::new(), true).is_err());
}

#[test]
fn membership_knows_no_case_and_no_halves() {
    let orgs = ["Acme".to_owned()];
    assert!(
        is_member(&orgs, &["acme".into()]) && is_member(&orgs, &["other".into(), "ACME".into()])
    );
    assert!(is_member(&[], &[]));
    for allowed in ["acm", "acme2", "", "other"] {
        assert!(!is_member(&orgs, &[allowed.into()]), "{allowed}");
    }
    assert!(!is_member(&[], &["acme".into()]));
}

#[test]
fn a_list_of_organizations_that_is_wrong_is_refused() {
    assert_eq!(
        logins(&json!([{"login": "a"}, {"login": "b"}])),
        Ok(vec!["a".into(), "b".into()])
    );
    for list in [
        json!({}),
        json!(null),
        json!(["a"]),
        json!([{"login": 7}]),
        json!([{}]),
        json!([{"login": "a"}, null]),
    ] {
        assert!(logins(&list).is_err(), "{list}");
    }
}
