use omnigent_plugin::{Answer, BackendError, Identity, State, Step};
use serde_json::{Value, json};

use super::site::Site;
use crate::github::{Github, identity, is_member, logins};

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

/// A GitHub that lets Mona in.
async fn hub(more: Value) -> (Site, Github) {
    hub_at("", more).await
}

/// As [`hub`], at a path of its host.
async fn hub_at(path: &str, more: Value) -> (Site, Github) {
    let site = Site::open().await;
    site.json(
        &format!("{}/login/oauth/access_token", path.trim_end_matches('/')),
        200,
        &json!({"access_token": "at", "token_type": "bearer", "scope": "user:email"}),
    );
    site.json("/api/user", 200, &user());
    site.json("/api/user/emails", 200, &emails());
    site.json(
        "/api/user/orgs?per_page=100&page=1",
        200,
        &json!([{"login": "Acme"}]),
    );
    let mut config = more;
    config["type"] = json!("github");
    config["client_id"] = json!("us");
    config["client_secret"] = json!("s3cret");
    config["web_url"] = json!(format!("{}{path}", site.url));
    config["api_url"] = json!(format!("{}/api", site.url));
    let config = serde_json::from_value(config).unwrap();
    (site, Github::open(&config).unwrap())
}

async fn came_back(hub: &Github, query: &[(&str, &str)]) -> Result<Step, BackendError> {
    let state = json!({"verifier": "the-verifier", "redirect_uri": "https://here.example/cb"});
    let query = query
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let answer = Answer {
        callback: query.collect(),
        ..Answer::default()
    };
    hub.resume(&State::new(&state).unwrap(), &answer).await
}

async fn signed_in(hub: &Github) -> Identity {
    match came_back(hub, &[("code", "c")]).await.unwrap() {
        Step::Accept(identity) => identity,
        other => panic!("{other:?}"),
    }
}

async fn is_denied(hub: &Github, query: &[(&str, &str)]) -> bool {
    matches!(
        came_back(hub, query).await,
        Ok(Step::Denied {
            message: Some(_),
            ..
        })
    )
}

#[tokio::test]
async fn a_person_signs_in_by_way_of_github() {
    let (site, hub) = hub(json!({})).await;
    let mona = signed_in(&hub).await;
    assert_eq!(
        (mona.subject.as_str(), mona.issuer.as_deref()),
        ("583231", Some(site.url.as_str()))
    );
    let exchange = site.requests("/login/oauth/access_token").concat();
    for part in [
        "client_id=us",
        "client_secret=s3cret",
        "code=c",
        "code_verifier=the-verifier",
    ] {
        assert!(exchange.contains(part), "{part}");
    }
    assert!(site.requests("/api/user").concat().contains("Bearer at"));
    assert!(
        site.requests("/api/user/orgs?per_page=100&page=1")
            .is_empty()
    );
}

#[tokio::test]
async fn only_members_sign_in_where_members_are_asked_for() {
    let (site, members) = hub(json!({"allowed_orgs": ["other", "acme"]})).await;
    assert_eq!(signed_in(&members).await.groups, ["Acme"]);
    for orgs in [
        json!([]),
        json!([{"login": "acme-2"}]),
        json!({}),
        json!([{"id": 1}]),
    ] {
        site.json("/api/user/orgs?per_page=100&page=1", 200, &orgs);
        assert!(is_denied(&members, &[("code", "c")]).await, "{orgs}");
    }
}

#[tokio::test]
async fn all_pages_of_organizations_are_read() {
    let (site, members) = hub(json!({"allowed_orgs": ["last"]})).await;
    let full: Vec<_> = (0..100)
        .map(|n| json!({"login": format!("org{n}")}))
        .collect();
    site.json("/api/user/orgs?per_page=100&page=1", 200, &json!(full));
    site.json(
        "/api/user/orgs?per_page=100&page=2",
        200,
        &json!([{"login": "last"}]),
    );
    assert_eq!(signed_in(&members).await.groups.len(), 101);
}

#[tokio::test]
async fn a_no_of_githubs_is_a_refusal() {
    let (site, hub) = hub(json!({})).await;
    assert!(is_denied(&hub, &[("error", "access_denied")]).await);
    assert!(is_denied(&hub, &[("error", "odd"), ("code", "c")]).await);
    assert!(is_denied(&hub, &[("iss", "https://evil.example"), ("code", "c")]).await);
    site.json("/api/user", 401, &json!({}));
    assert!(is_denied(&hub, &[("code", "c")]).await);
    site.json(
        "/login/oauth/access_token",
        200,
        &json!({"error": "bad_verification_code"}),
    );
    assert!(is_denied(&hub, &[("code", "c")]).await);
}

#[tokio::test]
async fn github_names_itself_by_where_people_sign_in() {
    // GitHub Enterprise may be at a path of its host.
    for path in ["", "/hub", "/hub/"] {
        let (site, hub) = hub_at(path, json!({})).await;
        let base = format!("{}{}", site.url, path.trim_end_matches('/'));
        let iss = format!("{base}/login/oauth");
        let mona = came_back(&hub, &[("iss", &iss), ("code", "c")]).await;
        assert!(
            matches!(&mona, Ok(Step::Accept(mona)) if mona.issuer.as_ref() == Some(&base)),
            "{mona:?}"
        );
        for iss in [
            base,
            format!("{iss}/"),
            "https://github.com/login/oauth".into(),
        ] {
            assert!(
                is_denied(&hub, &[("iss", &iss), ("code", "c")]).await,
                "{iss}"
            );
        }
    }
}

#[tokio::test]
async fn a_github_that_does_not_answer_is_no_refusal() {
    let (site, hub) = hub(json!({})).await;
    let cannot_tell = async || {
        let told = came_back(&hub, &[("code", "c")]).await;
        matches!(told, Err(BackendError::Unavailable { .. }))
    };
    for status in [403, 429, 500, 503] {
        site.json("/api/user/emails", status, &json!([]));
        assert!(cannot_tell().await, "{status}");
    }
    site.says("/api/user/emails", 200, "text/html", "<html>");
    assert!(cannot_tell().await);
    site.says("/login/oauth/access_token", 502, "text/html", "<html>");
    assert!(cannot_tell().await);
}
