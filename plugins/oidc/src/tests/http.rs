use std::time::Duration;

use url::Url;

use super::site::Site;
use crate::http::{Http, MAX_BODY};

fn http() -> Http {
    Http::new(Duration::from_secs(10), true).unwrap()
}

async fn failure(site: &Site, path: &str) -> String {
    let url = Url::parse(&format!("{}{path}", site.url)).unwrap();
    http().get_json(&url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_answer_is_read() {
    let site = Site::open().await;
    site.json("/a", 200, &serde_json::json!({"b": 1}));
    let url = Url::parse(&format!("{}/a", site.url)).unwrap();
    assert_eq!(http().get_json(&url).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_followed_or_unpacked() {
    let site = Site::open().await;
    site.json("/target", 200, &serde_json::json!({}));
    for status in [301, 302, 303, 307, 308] {
        let answer =
            format!("HTTP/1.1 {status} X\r\nlocation: /target\r\ncontent-length: 0\r\n\r\n");
        site.raw("/moved", answer.as_bytes());
        assert!(failure(&site, "/moved").await.contains("not followed"));
    }
    assert!(site.requests("/target").is_empty());
    let asked = site.requests("/moved").concat().to_ascii_lowercase();
    assert!(!asked.contains("accept-encoding"));
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let site = Site::open().await;
    let long = "a".repeat(MAX_BODY + 1);
    site.says("/said", 200, "application/json", &long);
    // The length is not said before: the end of the connection ends it.
    site.raw(
        "/unsaid",
        format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{long}").as_bytes(),
    );
    for path in ["/said", "/unsaid"] {
        assert!(failure(&site, path).await.contains("more than"), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    let site = Site::open().await;
    for status in [400, 401, 403, 404, 429, 500, 502, 503] {
        site.json("/status", status, &serde_json::json!({}));
        let status = status.to_string();
        assert!(failure(&site, "/status").await.contains(&status));
    }
    for body in ["", "<html>", "[]", "{\"a\":1,\"a\":2}"] {
        site.says("/body", 200, "text/html", body);
        failure(&site, "/body").await;
    }
    site.raw("/cut", b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{");
    failure(&site, "/cut").await;
}

#[tokio::test]
async fn a_failure_says_neither_query_nor_body() {
    let site = Site::open().await;
    site.says("/a?code=secret", 200, "text/html", "secret");
    assert!(!failure(&site, "/a?code=secret").await.contains("secret"));
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_given_up() {
    let site = Site::open().await;
    site.raw("/never", b"");
    let impatient = Http::new(Duration::from_millis(50), true).unwrap();
    let url = Url::parse(&format!("{}/never", site.url)).unwrap();
    let failure = impatient.get_json(&url).await.unwrap_err();
    assert!(failure.to_string().contains("in time"), "{failure}");
}

#[tokio::test]
async fn who_is_not_there_cannot_be_reached() {
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    let failure = http().get_json(&url).await.unwrap_err().to_string();
    assert!(failure.contains("cannot be reached"), "{failure}");
}
