use std::time::Duration;

use serde_json::{Value, json};
use tokio::time;

use super::{signer::Signer, site::Site};
use crate::{
    algorithm::Algorithm::ES256,
    http::Http,
    provider::{BadToken, Provider},
};

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn metadata(site: &Site) -> Value {
    let url = &site.url;
    json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn provider(site: &Site) -> Provider {
    let http = Http::new(Duration::from_secs(10), true).unwrap();
    Provider::new(site.url.clone(), Vec::new(), http)
}

async fn serving(keys: &[Value]) -> (Site, Provider) {
    let site = Site::open().await;
    site.json(DISCOVERY, 200, &metadata(&site));
    site.json("/jwks", 200, &json!({"keys": keys}));
    let provider = provider(&site);
    (site, provider)
}

/// What became of a token: good, refused, or not to tell.
async fn verdict(provider: &Provider, token: &str) -> &'static str {
    let metadata = provider.metadata().await.unwrap();
    match provider.verify(token, &metadata).await {
        Ok(_) => "good",
        Err(BadToken::Refused(_)) => "refused",
        Err(BadToken::CannotTell(_)) => "cannot tell",
    }
}

/// Lets the clock of the caches go on, not that of the network.
async fn pass(seconds: u64) {
    time::pause();
    time::advance(Duration::from_secs(seconds)).await;
    time::resume();
}

#[tokio::test]
async fn metadata_is_fetched_once_an_hour() {
    let (site, provider) = serving(&[]).await;
    for _ in 0..3 {
        provider.metadata().await.unwrap();
    }
    assert_eq!(site.requests(DISCOVERY).len(), 1);
    pass(3601).await;
    provider.metadata().await.unwrap();
    assert_eq!(site.requests(DISCOVERY).len(), 2);
}

#[tokio::test]
async fn a_provider_that_fails_is_not_asked_by_everybody() {
    let site = Site::open().await;
    let provider = provider(&site);
    for _ in 0..5 {
        assert!(provider.metadata().await.is_err());
    }
    assert_eq!(site.requests(DISCOVERY).len(), 1);
    site.json(DISCOVERY, 200, &metadata(&site));
    assert!(provider.metadata().await.is_err());
    pass(3).await;
    assert!(provider.metadata().await.is_ok());
    assert!(provider.health().await.is_ok());
}

#[tokio::test]
async fn many_at_once_wait_for_one_answer() {
    let (site, provider) = serving(&[]).await;
    let (a, b, c) = tokio::join!(
        provider.metadata(),
        provider.metadata(),
        provider.metadata()
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(site.requests(DISCOVERY).len(), 1);
}

#[tokio::test]
async fn a_provider_that_goes_bad_is_used_as_it_was_and_said_to_be_ill() {
    let (site, provider) = serving(&[]).await;
    provider.metadata().await.unwrap();
    let mut poisoned = metadata(&site);
    poisoned["issuer"] = json!("https://evil.example");
    site.json(DISCOVERY, 200, &poisoned);
    pass(3601).await;
    let kept = provider.metadata().await.unwrap();
    assert_eq!(kept.token_endpoint.as_str(), format!("{}/token", site.url));
    assert!(provider.health().await.is_err());
}

#[tokio::test]
async fn only_one_waits_for_a_provider_that_hangs_while_the_last_hours_answer_will_do() {
    let (site, provider) = serving(&[]).await;
    provider.metadata().await.unwrap();
    site.raw(DISCOVERY, b"");
    pass(3601).await;
    let mut waiting = Box::pin(provider.metadata());
    while site.requests(DISCOVERY).len() < 2 {
        tokio::select! {
            _ = &mut waiting => panic!("it hangs"),
            () = tokio::task::yield_now() => {}
        }
    }
    pass(3).await;
    for _ in 0..3 {
        assert!(provider.metadata().await.is_ok());
    }
    assert_eq!(site.requests(DISCOVERY).len(), 2);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::new(ES256), Signer::new(ES256));
    let (site, provider) = serving(&[old.jwk("old")]).await;
    let claims = json!({});
    assert_eq!(
        verdict(&provider, &old.token(ES256, "old", &claims)).await,
        "good"
    );
    site.json(
        "/jwks",
        200,
        &json!({"keys": [old.jwk("old"), new.jwk("new")]}),
    );
    pass(11).await;
    assert_eq!(
        verdict(&provider, &new.token(ES256, "new", &claims)).await,
        "good"
    );
    assert_eq!(site.requests("/jwks").len(), 2);
}

#[tokio::test]
async fn keys_somebody_makes_up_do_not_make_it_fetch_for_ever() {
    let (signer, forger) = (Signer::new(ES256), Signer::new(ES256));
    let (site, provider) = serving(&[signer.jwk("k")]).await;
    verdict(&provider, &signer.token(ES256, "k", &json!({}))).await;
    // Three at once, then one every ten seconds, whether the key is unknown or the wrong one.
    for (seconds, fetches) in [(0, 4), (5, 4), (6, 5), (11, 6)] {
        pass(seconds).await;
        for kid in 0..20 {
            let kid = if kid % 2 == 0 {
                "k".to_owned()
            } else {
                kid.to_string()
            };
            let token = forger.token(ES256, &kid, &json!({}));
            assert_eq!(verdict(&provider, &token).await, "refused");
        }
        assert_eq!(
            site.requests("/jwks").len(),
            fetches,
            "after {seconds} seconds"
        );
    }
}

#[tokio::test]
async fn a_key_that_changed_under_its_id_is_found() {
    let (old, new) = (Signer::new(ES256), Signer::new(ES256));
    let (site, provider) = serving(&[old.jwk("k")]).await;
    verdict(&provider, &old.token(ES256, "k", &json!({}))).await;
    site.json("/jwks", 200, &json!({"keys": [new.jwk("k")]}));
    pass(61).await;
    assert_eq!(
        verdict(&provider, &new.token(ES256, "k", &json!({}))).await,
        "good"
    );
    assert_eq!(
        verdict(&provider, &old.token(ES256, "k", &json!({}))).await,
        "refused"
    );
}

#[tokio::test]
async fn a_key_set_of_no_use_does_not_replace_a_good_one() {
    let signer = Signer::new(ES256);
    let token = signer.token(ES256, "k", &json!({}));
    let (site, provider) = serving(&[signer.jwk("k")]).await;
    assert_eq!(verdict(&provider, &token).await, "good");
    for broken in [
        json!({"keys": []}),
        json!({}),
        json!({"keys": [{"kty": "oct", "k": "AAAA"}]}),
    ] {
        site.json("/jwks", 200, &broken);
        pass(3601).await;
        site.json(DISCOVERY, 200, &metadata(&site));
        assert_eq!(verdict(&provider, &token).await, "good", "{broken}");
    }
}

#[tokio::test]
async fn without_any_keys_nothing_can_be_told() {
    let (site, provider) = serving(&[]).await;
    let token = Signer::new(ES256).token(ES256, "k", &json!({}));
    assert_eq!(verdict(&provider, &token).await, "cannot tell");
    site.says("/jwks", 500, "text/html", "<html>");
    pass(3).await;
    assert_eq!(verdict(&provider, &token).await, "cannot tell");
    assert_eq!(verdict(&provider, "not a token").await, "refused");
}
