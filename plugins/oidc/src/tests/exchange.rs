use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use omnigent_plugin::Step;
use serde_json::{Value, json};
use url::Url;

use super::{CLIENT, ISSUER, NOW, object, signer::Signer, site::Site};
use crate::{
    algorithm::Algorithm::ES256,
    config::{AuthMethod, Prompt},
    discovery::Metadata,
    exchange::{Authorization, Credentials, Exchange, NoTokens, Tokens},
    http::Http,
    sign_in::{CANCELLED, came_back},
};

const HERE: &str = "https://here.example/auth/callback";

fn exchange(issuer: &str, secret: Option<&str>, method: Option<AuthMethod>) -> Exchange {
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=a"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
    });
    let metadata = Metadata::read(object(document), issuer, &[]).unwrap();
    let credentials = Credentials {
        client_id: CLIENT.into(),
        secret: secret.map(str::to_owned),
        method,
    };
    Exchange::new(issuer, &metadata, &credentials).unwrap()
}

fn authorized(anew: bool, prompt: &[Prompt]) -> BTreeMap<String, String> {
    let scopes = ["openid", "email", "profile"].map(str::to_owned);
    let url = exchange(ISSUER, Some("s"), None)
        .authorize(&Authorization {
            redirect_uri: HERE,
            state: "st&te=1 +",
            nonce: "n",
            verifier: "0123456789012345678901234567890123456789012",
            scopes: &scopes,
            prompt,
            anew,
        })
        .unwrap();
    assert!(
        url.as_str()
            .starts_with("https://id.example.com/authorize?tenant=a&")
    );
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let query: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(query.len(), pairs.len(), "nothing is said twice");
    query
}

#[test]
fn people_are_sent_with_pkce_state_and_nonce() {
    let query = authorized(false, &[]);
    let challenge = digest(&SHA256, b"0123456789012345678901234567890123456789012");
    let challenge = BASE64.encode(challenge.as_ref());
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", HERE),
        ("nonce", "n"),
        ("scope", "openid email profile"),
        ("state", "st&te=1 +"),
        ("tenant", "a"),
        ("code_challenge_method", "S256"),
        ("code_challenge", challenge.as_str()),
    ] {
        assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(query.len(), 9);
}

#[test]
fn who_must_prove_it_anew_is_asked_to() {
    let query = authorized(true, &[]);
    assert_eq!(query.get("prompt").map(String::as_str), Some("login"));
    assert_eq!(query.get("max_age").map(String::as_str), Some("0"));
}

#[test]
fn what_the_operator_wants_asked_is_asked() {
    let prompt = |anew, prompts| authorized(anew, prompts).get("prompt").cloned();
    assert_eq!(prompt(false, &[]), None);
    assert_eq!(
        prompt(false, &[Prompt::SelectAccount]).as_deref(),
        Some("select_account")
    );
    assert_eq!(
        prompt(true, &[Prompt::Consent, Prompt::Login]).as_deref(),
        Some("login consent")
    );
}

fn back(query: &[(&str, &str)]) -> Option<Step> {
    let query = query
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    came_back(&query.collect(), ISSUER)
}

fn message(step: Option<Step>) -> (String, String) {
    match step {
        Some(Step::Denied { reason, message }) => (message.unwrap(), reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_code_from_the_issuer_goes_on() {
    assert_eq!(back(&[("code", "c"), ("state", "s")]), None);
    assert_eq!(back(&[("code", "c"), ("iss", ISSUER)]), None);
}

#[test]
fn an_answer_from_another_issuer_does_not() {
    for iss in ["https://evil.example", "https://id.example.com/", ""] {
        assert!(back(&[("code", "c"), ("iss", iss)]).is_some(), "{iss}");
        assert!(
            back(&[("error", "access_denied"), ("iss", iss)]).is_some(),
            "{iss}"
        );
    }
}

#[test]
fn who_changed_their_mind_is_told_so() {
    assert_eq!(message(back(&[("error", "access_denied")])).0, CANCELLED);
    assert!(back(&[("error", "access_denied"), ("code", "c")]).is_some());
}

#[test]
fn nothing_a_provider_writes_is_shown_and_little_is_logged() {
    let evil = "<script>\n\u{1b}[2J".to_owned() + &"x".repeat(5000);
    let (shown, logged) = message(back(&[("error", &evil), ("error_description", &evil)]));
    assert!(!shown.contains("script"));
    assert!(logged.len() < 500 && !logged.contains(['\n', '\u{1b}']));
}

fn http() -> Http {
    Http::new(Duration::from_secs(10), true).unwrap()
}

async fn exchanged(
    site: &Site,
    secret: Option<&str>,
    method: Option<AuthMethod>,
) -> Result<Tokens, NoTokens> {
    let exchange = exchange(&site.url, secret, method);
    exchange
        .code(&http(), "the-code", "the-verifier", HERE)
        .await
}

fn id_token() -> String {
    let claims = json!({"iss": ISSUER, "sub": "a", "aud": CLIENT, "exp": NOW, "iat": NOW});
    Signer::new(ES256).token(ES256, "k", &claims)
}

fn answer(id_token: &str) -> Value {
    json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token, "refresh_token": "rt", "expires_in": 60})
}

#[tokio::test]
async fn a_code_becomes_tokens() {
    let (site, id_token) = (Site::open().await, id_token());
    site.json("/token", 200, &answer(&id_token));
    let tokens = exchanged(&site, Some("se cret:+"), None).await.unwrap();
    assert_eq!(tokens.id_token, Some(id_token));
    assert_eq!(
        (
            tokens.access_token.as_str(),
            tokens.refresh_token.as_deref()
        ),
        ("at", Some("rt"))
    );
    let [request] = &site.requests("/token")[..] else {
        panic!()
    };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    // RFC 6749 section 2.3.1: encoded before it is Basic.
    let basic = base64::engine::general_purpose::STANDARD.encode("omnigent:se+cret%3A%2B");
    assert!(head.contains(&format!("Basic {basic}")));
    let form = Url::parse(&format!("http://x/?{body}")).unwrap();
    let form: BTreeMap<_, _> = form.query_pairs().into_owned().collect();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("redirect_uri", HERE),
        ("code_verifier", "the-verifier"),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn the_client_proves_itself_as_configured() {
    let site = Site::open().await;
    site.json("/token", 200, &answer(&id_token()));
    let post = exchanged(&site, Some("s3cret"), Some(AuthMethod::ClientSecretPost)).await;
    assert!(post.is_ok());
    for (secret, method) in [(None, None), (Some("s3cret"), Some(AuthMethod::None))] {
        assert!(exchanged(&site, secret, method).await.is_ok());
    }
    let requests = site.requests("/token");
    assert!(
        requests[0].contains("client_secret=s3cret") && requests[0].contains("client_id=omnigent")
    );
    for public in &requests[1..] {
        assert!(!public.contains("s3cret") && public.contains("client_id=omnigent"));
    }
    assert!(
        requests
            .iter()
            .all(|request| !request.to_ascii_lowercase().contains("authorization:"))
    );
}

#[tokio::test]
async fn a_no_is_a_refusal() {
    let site = Site::open().await;
    for (status, code) in [
        (400, "invalid_grant"),
        (401, "invalid_client"),
        (400, "odd"),
        (200, "bad_verification_code"),
    ] {
        site.json(
            "/token",
            status,
            &json!({"error": code, "error_description": "because\n"}),
        );
        let Err(NoTokens::Refused { code: told, why }) = exchanged(&site, None, None).await else {
            panic!("{code}")
        };
        assert_eq!(told, code);
        assert!(why.contains("because") && !why.contains('\n'));
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_is_a_refusal_and_not_logged() {
    let site = Site::open().await;
    let mut wrong = vec![
        json!({}),
        json!({"access_token": 7, "token_type": "Bearer"}),
        json!({"token_type": "Bearer", "refresh_token": "SECRET"}),
    ];
    for id_token in ["SECRET", "a.b.c", "..", ""] {
        wrong.push(answer(id_token));
    }
    for answer in wrong {
        site.json("/token", 200, &answer);
        let Err(NoTokens::Refused { why, .. }) = exchanged(&site, None, None).await else {
            panic!("{answer}")
        };
        assert!(!why.contains("SECRET"), "{why}");
    }
}

#[tokio::test]
async fn no_answer_is_no_refusal() {
    let site = Site::open().await;
    let cannot_tell = async || {
        matches!(
            exchanged(&site, None, None).await,
            Err(NoTokens::CannotTell(_))
        )
    };
    for (status, body) in [
        (500, "{}"),
        (502, "<html>"),
        (503, ""),
        (429, "{}"),
        (200, "<html>"),
        (200, ""),
        (400, "<html>"),
        (302, ""),
    ] {
        site.says("/token", status, "text/html", body);
        assert!(cannot_tell().await, "{status} {body}");
    }
    site.says(
        "/token",
        200,
        "application/json",
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
    );
    assert!(cannot_tell().await);
}

#[tokio::test]
async fn a_refresh_token_becomes_newer_ones() {
    let site = Site::open().await;
    site.json(
        "/token",
        200,
        &json!({"access_token": "at2", "token_type": "bearer", "refresh_token": "rt2"}),
    );
    let tokens = exchange(&site.url, None, None)
        .refresh(&http(), "rt1")
        .await
        .unwrap();
    assert_eq!(
        (tokens.id_token, tokens.refresh_token.as_deref()),
        (None, Some("rt2"))
    );
    let [request] = &site.requests("/token")[..] else {
        panic!()
    };
    assert!(request.contains("grant_type=refresh_token") && request.contains("refresh_token=rt1"));
}

#[tokio::test]
async fn claims_out_of_all_bounds_are_a_refusal_and_no_panic() {
    let site = Site::open().await;
    for (name, value) in [
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(i64::MIN)),
        ("exp", json!(-1e300)),
        ("iat", json!(i64::MAX)),
        ("iat", json!({})),
        ("auth_time", json!(1e18)),
        ("aud", json!({})),
        ("aud", json!(7)),
        ("iss", json!("")),
        ("iss", json!("no url")),
        ("sub", json!(7)),
        ("email", json!(7)),
        ("updated_at", json!(u64::MAX)),
        ("amr", json!({})),
        ("nonce", json!(7)),
    ] {
        let mut claims = json!({"iss": ISSUER, "sub": "a", "aud": CLIENT, "exp": NOW, "iat": NOW});
        claims[name] = value.clone();
        let id_token = Signer::new(ES256).token(ES256, "k", &claims);
        site.json("/token", 200, &answer(&id_token));
        // Read or refused: either is fine here, what it says is checked later.
        let told = exchanged(&site, None, None).await;
        assert!(
            !matches!(told, Err(NoTokens::CannotTell(_))),
            "{name}: {value}"
        );
    }
}
