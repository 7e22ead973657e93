use serde_json::{Value, json};

use super::object;
use crate::groups::{Groups, read};

fn of(claims: Value, name: &str) -> Result<Groups, String> {
    read(&object(claims), name)
}

fn these(groups: &[&str]) -> Result<Groups, String> {
    Ok(Groups::These(
        groups.iter().map(|&group| group.to_owned()).collect(),
    ))
}

#[test]
fn a_list_or_one_string_is_read() {
    assert_eq!(
        of(json!({"groups": ["a", "b"]}), "groups"),
        these(&["a", "b"])
    );
    assert_eq!(of(json!({"groups": []}), "groups"), these(&[]));
    assert_eq!(of(json!({"groups": "a"}), "groups"), these(&["a"]));
}

#[test]
fn a_path_leads_through_objects() {
    let claims = json!({"realm_access": {"roles": ["r"]}, "a": {"b": {"c": ["d"]}}});
    assert_eq!(of(claims.clone(), "realm_access.roles"), these(&["r"]));
    assert_eq!(of(claims.clone(), "a.b.c"), these(&["d"]));
    for path in [
        "realm_access.none",
        "roles",
        "realm_access.roles.0",
        "a..b",
        ".a",
        "a.b.c.d",
    ] {
        assert_eq!(of(claims.clone(), path), Ok(Groups::Unsaid), "{path}");
    }
}

#[test]
fn a_name_with_dots_is_first_a_name() {
    let claims =
        json!({"https://example.com/groups": ["a"], "https://example": {"com/groups": ["b"]}});
    assert_eq!(of(claims, "https://example.com/groups"), these(&["a"]));
}

#[test]
fn what_is_no_text_is_refused() {
    for groups in [
        json!(7),
        json!(true),
        json!({"a": 1}),
        json!(["a", 7]),
        json!([null]),
        json!([["a"]]),
    ] {
        assert!(of(json!({"groups": groups}), "groups").is_err(), "{groups}");
    }
    let many = vec!["g"; 2001];
    assert!(of(json!({"groups": many}), "groups").is_err());
}

#[test]
fn left_out_is_not_none() {
    for claims in [
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}),
        json!({"hasgroups": true}),
        json!({"hasgroups": "true"}),
        json!({"groups": null, "hasgroups": true}),
    ] {
        assert_eq!(
            of(claims.clone(), "groups"),
            Ok(Groups::TooMany),
            "{claims}"
        );
    }
    let nested = json!({"_claim_names": {"realm_access": "src1"}});
    assert_eq!(of(nested, "realm_access.roles"), Ok(Groups::TooMany));
}

#[test]
fn another_claim_that_is_elsewhere_does_not_matter() {
    assert_eq!(
        of(json!({"_claim_names": {"address": "s"}}), "groups"),
        Ok(Groups::Unsaid)
    );
    assert_eq!(
        of(json!({"hasgroups": false}), "groups"),
        Ok(Groups::Unsaid)
    );
    assert_eq!(of(json!({}), "groups"), Ok(Groups::Unsaid));
    assert_eq!(
        of(json!({"hasgroups": true, "groups": ["a"]}), "groups"),
        these(&["a"])
    );
}

#[test]
fn no_claim_is_no_groups() {
    assert_eq!(of(json!({"": ["a"], "hasgroups": true}), ""), these(&[]));
}
