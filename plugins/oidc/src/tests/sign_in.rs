//! Whole sign-ins at a provider on this machine.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use omnigent_plugin::{
    Answer, BackendError, Identity, LoginRequest, Purpose, Standing, State, Step,
};
use serde_json::{Value, json};
use url::Url;

use super::{CLIENT, NOW, signer::Signer, site::Site};
use crate::{
    algorithm::Algorithm::ES256,
    exchange::Tokens,
    party::Party,
    sign_in::{
        BAD_TOKEN, CANCELLED, EXCHANGE_FAILED, Ending, Fresh, NO_EMAIL, TOO_MANY_GROUPS,
        WRONG_ISSUER,
    },
};

const DISCOVERY: &str = "/.well-known/openid-configuration";

struct World {
    site: Site,
    signer: Signer,
    party: Party,
}

impl World {
    /// A provider with these members in its metadata, and a party with these in its configuration.
    async fn with(metadata: Value, config: Value) -> Self {
        let (site, signer) = (Site::open().await, Signer::new(ES256));
        let url = &site.url;
        let mut document = json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        for (name, value) in super::object(metadata) {
            let text = value.as_str().map(|text| json!(text.replace("SITE", url)));
            document[name] = text.unwrap_or(value);
        }
        site.json(DISCOVERY, 200, &document);
        site.json("/jwks", 200, &json!({"keys": [signer.jwk("k")]}));
        let mut whole = json!({"issuer": url, "client_id": CLIENT, "client_secret": "s3cret"});
        for (name, value) in super::object(config) {
            whole[name] = value;
        }
        let party = Party::of(serde_json::from_value(whole).unwrap()).unwrap();
        Self {
            site,
            signer,
            party,
        }
    }

    async fn new() -> Self {
        Self::with(json!({}), json!({})).await
    }

    async fn begin(&self, purpose: Purpose) -> (BTreeMap<String, String>, State) {
        let request = LoginRequest {
            callback_url: "https://here.example/auth/callback".into(),
            return_state: "return-state".into(),
            purpose,
            ..LoginRequest::default()
        };
        let fresh = Fresh {
            nonce: [1; 32],
            verifier: [2; 32],
            now: NOW,
        };
        match self.party.begin(&request, &fresh).await.unwrap() {
            Step::Redirect { url, state } => {
                let url = Url::parse(&url).unwrap();
                (url.query_pairs().into_owned().collect(), state)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Good claims, with these instead; `null` takes one out.
    fn claims(&self, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": self.site.url, "sub": "alice-1", "aud": CLIENT, "exp": NOW + 300, "iat": NOW,
            "nonce": BASE64.encode([1; 32]), "email": "Alice@example.com", "email_verified": true,
            "groups": ["staff"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn gives(&self, changes: Value) {
        let id_token = self.signer.token(ES256, "k", &self.claims(&changes));
        let tokens = json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token, "refresh_token": "rt"});
        self.site.json("/token", 200, &tokens);
    }

    async fn back(&self, purpose: Purpose, query: &[(&str, &str)]) -> Result<Ending, BackendError> {
        let (_, state) = self.begin(purpose).await;
        let query = query
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let answer = Answer {
            callback: query.collect(),
            ..Answer::default()
        };
        self.party.resume(&state, &answer, NOW + 5).await
    }

    async fn signed_in(&self) -> Identity {
        match self.back(Purpose::SignIn, &[("code", "c")]).await {
            Ok(Ending::In(identity, _)) => *identity,
            Ok(Ending::Out { step, .. }) => panic!("{step:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// What the person is told, what the log is, and what the operator has to act on.
    async fn refused(&self, query: &[(&str, &str)]) -> (String, String, Option<String>) {
        told(self.back(Purpose::SignIn, query).await)
    }

    async fn renewed(&self, changes: Value) -> Result<Standing, BackendError> {
        let metadata = self.party.provider.metadata().await.unwrap();
        let tokens = Tokens {
            id_token: Some(self.signer.token(ES256, "k", &self.claims(&changes))),
            access_token: "at".into(),
            refresh_token: None,
        };
        self.party.renewed("alice-1", &metadata, &tokens, NOW).await
    }
}

fn told(ending: Result<Ending, BackendError>) -> (String, String, Option<String>) {
    match ending {
        Ok(Ending::Out {
            step: Step::Denied { reason, message },
            error,
        }) => (message.unwrap(), reason, error),
        Ok(Ending::Out { step, .. }) => panic!("{step:?}"),
        Ok(Ending::In(identity, _)) => panic!("{identity:?}"),
        Err(error) => panic!("{error}"),
    }
}

const CODE: &[(&str, &str)] = &[("code", "c")];

#[tokio::test]
async fn a_person_signs_in() {
    let world = World::new().await;
    world.gives(json!({"sid": "s1"}));
    let alice = world.signed_in().await;
    assert_eq!(
        (alice.subject.as_str(), alice.issuer.as_deref()),
        ("alice-1", Some(world.site.url.as_str()))
    );
    assert_eq!(alice.username.as_deref(), Some("alice@example.com"));
    assert_eq!(
        (alice.groups, alice.session.as_deref()),
        (vec!["staff".to_owned()], Some("s1"))
    );
    let [request] = &world.site.requests("/token")[..] else {
        panic!()
    };
    assert!(request.contains(&format!("code_verifier={}", BASE64.encode([2; 32]))));
}

#[tokio::test]
async fn the_way_there_carries_what_must_come_back() {
    let world = World::new().await;
    let (query, _) = world.begin(Purpose::SignIn).await;
    let is = |name: &str, value: &str| query.get(name).map(String::as_str) == Some(value);
    assert!(is("state", "return-state") && is("nonce", &BASE64.encode([1; 32])));
    assert!(is("code_challenge_method", "S256") && is("scope", "openid email profile"));
    assert!(!query.contains_key("prompt"));
}

#[tokio::test]
async fn offline_access_is_asked_for_where_there_is_some() {
    let offline = json!({"scopes_supported": ["openid", "offline_access"]});
    let scope = async |config: Value| {
        let world = World::with(offline.clone(), config).await;
        world
            .begin(Purpose::SignIn)
            .await
            .0
            .remove("scope")
            .unwrap()
    };
    assert_eq!(
        scope(json!({})).await,
        "openid email profile offline_access"
    );
    assert_eq!(
        scope(json!({"revalidate": false})).await,
        "openid email profile"
    );
    let said = json!({"scopes": ["openid", "offline_access"]});
    assert_eq!(scope(said).await, "openid offline_access");
}

#[tokio::test]
async fn another_sign_ins_nonce_is_refused() {
    let world = World::new().await;
    for nonce in [json!(BASE64.encode([3; 32])), json!(null), json!("")] {
        world.gives(json!({"nonce": nonce}));
        assert_eq!(world.refused(CODE).await.0, BAD_TOKEN);
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_lets_nobody_in() {
    let world = World::new().await;
    for changes in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "other"}),
        json!({"exp": NOW - 100}),
        json!({"sub": ""}),
        json!({"azp": "other"}),
        json!({"at_hash": "AAAA"}),
        json!({"email": 7}),
    ] {
        world.gives(changes.clone());
        let (message, _, error) = world.refused(CODE).await;
        assert!(
            message == BAD_TOKEN || message == EXCHANGE_FAILED,
            "{changes}: {message}"
        );
        assert_eq!(error, None);
    }
    let forged = Signer::new(ES256).token(ES256, "k", &world.claims(&json!({})));
    world.site.json(
        "/token",
        200,
        &json!({"access_token": "at", "token_type": "Bearer", "id_token": forged}),
    );
    assert_eq!(world.refused(CODE).await.0, BAD_TOKEN);
}

#[tokio::test]
async fn without_an_id_token_nobody_is_in() {
    let world = World::new().await;
    world.site.json(
        "/token",
        200,
        &json!({"access_token": "at", "token_type": "Bearer"}),
    );
    assert_eq!(world.refused(CODE).await.0, EXCHANGE_FAILED);
}

#[tokio::test]
async fn without_a_verified_address_nobody_is_in() {
    let world = World::new().await;
    for changes in [
        json!({"email_verified": false}),
        json!({"email_verified": null}),
        json!({"email": null}),
    ] {
        world.gives(changes);
        assert_eq!(world.refused(CODE).await.0, NO_EMAIL);
    }
}

#[tokio::test]
async fn what_came_back_wrong_asks_the_provider_nothing() {
    let world = World::new().await;
    for (query, message) in [
        (&[("error", "access_denied")][..], CANCELLED),
        (
            &[("code", "c"), ("iss", "https://evil.example")],
            WRONG_ISSUER,
        ),
        (&[("code", "")], EXCHANGE_FAILED),
        (&[], EXCHANGE_FAILED),
    ] {
        assert_eq!(world.refused(query).await.0, message, "{query:?}");
    }
    assert!(world.site.requests("/token").is_empty());
}

#[tokio::test]
async fn a_provider_that_always_names_itself_must_do_so() {
    let names = json!({"authorization_response_iss_parameter_supported": true});
    let world = World::with(names, json!({})).await;
    world.gives(json!({}));
    assert_eq!(world.refused(CODE).await.0, WRONG_ISSUER);
    let url = world.site.url.clone();
    let back = world
        .back(Purpose::SignIn, &[("code", "c"), ("iss", &url)])
        .await;
    assert!(matches!(back, Ok(Ending::In(..))));
}

#[tokio::test]
async fn who_proves_it_anew_must_have_done_so() {
    let world = World::new().await;
    let (query, _) = world.begin(Purpose::Reauthenticate).await;
    assert_eq!(query.get("prompt").map(String::as_str), Some("login"));
    let anew = async |auth_time: Value| {
        world.gives(json!({"auth_time": auth_time}));
        world.back(Purpose::Reauthenticate, CODE).await
    };
    assert!(matches!(anew(json!(NOW + 2)).await, Ok(Ending::In(..))));
    for before in [json!(NOW - 3600), json!(null)] {
        assert_eq!(told(anew(before).await).0, BAD_TOKEN);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_matter() {
    let world = World::new().await;
    for (code, is_operators) in [
        ("invalid_client", true),
        ("unauthorized_client", true),
        ("invalid_grant", false),
    ] {
        world.site.json("/token", 400, &json!({"error": code}));
        let (message, why, error) = world.refused(CODE).await;
        assert_eq!(
            (message.as_str(), error.is_some()),
            (EXCHANGE_FAILED, is_operators),
            "{code}"
        );
        assert!(why.contains(code) && !why.contains("s3cret"));
    }
}

#[tokio::test]
async fn groups_that_were_left_out_are_the_operators_matter() {
    let world = World::new().await;
    world.gives(json!({"groups": null, "_claim_names": {"groups": "src1"}}));
    let (message, _, error) = world.refused(CODE).await;
    assert_eq!(message, TOO_MANY_GROUPS);
    assert!(error.unwrap().contains("groups_claim"));
}

#[tokio::test]
async fn a_provider_that_is_down_is_no_refusal() {
    let world = World::new().await;
    world.gives(json!({}));
    world.site.says("/jwks", 500, "text/html", "");
    let told = world.back(Purpose::SignIn, CODE).await;
    assert!(matches!(told, Err(BackendError::Unavailable { .. })));
    world.site.says("/token", 503, "text/html", "<html>");
    let told = world.back(Purpose::SignIn, CODE).await;
    assert!(matches!(told, Err(BackendError::Unavailable { .. })));
}

#[tokio::test]
async fn userinfo_is_asked_when_something_is_missing() {
    let with = json!({"userinfo_endpoint": "SITE/me"});
    let world = World::with(with, json!({})).await;
    world.site.json("/me", 200, &json!({"sub": "alice-1", "email": "b@example.com", "email_verified": true, "groups": ["g"]}));
    world.gives(json!({}));
    assert_eq!(world.signed_in().await.groups, ["staff"]);
    assert!(world.site.requests("/me").is_empty());
    world.gives(json!({"groups": null}));
    let alice = world.signed_in().await;
    assert_eq!(
        (alice.email.as_deref(), alice.groups),
        (Some("alice@example.com"), vec!["g".to_owned()])
    );
    world.gives(json!({"email": null}));
    assert_eq!(
        world.signed_in().await.email.as_deref(),
        Some("b@example.com")
    );
    assert!(world.site.requests("/me").concat().contains("Bearer at"));
}

#[tokio::test]
async fn userinfo_about_somebody_else_lets_nobody_in() {
    let with = json!({"userinfo_endpoint": "SITE/me"});
    let world = World::with(with, json!({"userinfo": true})).await;
    world.gives(json!({}));
    for answer in [json!({"sub": "bob"}), json!({}), json!({"sub": 7})] {
        world.site.json("/me", 200, &answer);
        assert_eq!(world.refused(CODE).await.0, BAD_TOKEN, "{answer}");
    }
    world.site.json("/me", 500, &json!({}));
    let told = world.back(Purpose::SignIn, CODE).await;
    assert!(matches!(told, Err(BackendError::Unavailable { .. })));
}

#[tokio::test]
async fn userinfo_is_not_asked_where_the_operator_says_so() {
    let with = json!({"userinfo_endpoint": "SITE/me"});
    let world = World::with(with, json!({"userinfo": false})).await;
    world.gives(json!({"email": null}));
    assert_eq!(world.refused(CODE).await.0, NO_EMAIL);
    assert!(world.site.requests("/me").is_empty());
}

#[tokio::test]
async fn a_state_of_something_else_is_a_fault() {
    let world = World::new().await;
    let state = State::new(&json!({"nonce": "n"})).unwrap();
    let told = world.party.resume(&state, &Answer::default(), NOW).await;
    assert!(matches!(told, Err(BackendError::Internal { .. })));
}

#[tokio::test]
async fn newer_facts_are_told() {
    let world = World::new().await;
    let Ok(Standing::Holds {
        identity: Some(alice),
    }) = world
        .renewed(json!({"nonce": null, "groups": ["other"]}))
        .await
    else {
        panic!()
    };
    assert_eq!(
        (alice.subject.as_str(), alice.groups),
        ("alice-1", vec!["other".to_owned()])
    );
}

#[tokio::test]
async fn newer_facts_that_are_not_believed_tell_nothing() {
    let world = World::new().await;
    for changes in [
        json!({"sub": "bob"}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "other"}),
        json!({"exp": NOW - 100}),
        json!({"at_hash": "AAAA"}),
    ] {
        let told = world.renewed(changes.clone()).await;
        assert!(
            matches!(told, Err(BackendError::Unavailable { .. })),
            "{changes}"
        );
    }
}

#[tokio::test]
async fn who_has_lost_their_address_is_gone() {
    let world = World::new().await;
    let told = world.renewed(json!({"email_verified": false})).await;
    assert!(matches!(told, Ok(Standing::Gone { .. })));
}

#[tokio::test]
async fn without_an_id_token_nothing_is_new() {
    let world = World::new().await;
    let metadata = world.party.provider.metadata().await.unwrap();
    let tokens = Tokens {
        id_token: None,
        access_token: "at".into(),
        refresh_token: None,
    };
    let told = world
        .party
        .renewed("alice-1", &metadata, &tokens, NOW)
        .await;
    assert_eq!(told, Ok(Standing::holds()));
}
