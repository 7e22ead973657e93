use serde_json::{Value, json};

use super::{ISSUER, object};
use crate::{
    algorithm::Algorithm::{self, *},
    config::AuthMethod,
    discovery::{Metadata, location},
};

fn good() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example.com/authorize?tenant=1",
        "token_endpoint": "https://id.example.com/token",
        "jwks_uri": "https://keys.example.net/jwks",
        "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256", "ES512"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut document = good();
    document[name] = value;
    document
}

fn read(document: Value) -> Result<Metadata, String> {
    Metadata::read(object(document), ISSUER, &[])
}

#[test]
fn a_document_of_the_issuers_is_read() {
    let metadata = read(good()).unwrap();
    assert_eq!(
        metadata.token_endpoint.as_str(),
        "https://id.example.com/token"
    );
    assert_eq!(
        (metadata.userinfo_endpoint, metadata.end_session_endpoint),
        (None, None)
    );
    assert!(!metadata.names_issuer && !metadata.offline_access);
}

#[test]
fn it_is_where_the_issuer_says() {
    for (issuer, url) in [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
        ),
        (
            "https://a.example/t/1",
            "https://a.example/t/1/.well-known/openid-configuration",
        ),
    ] {
        assert_eq!(location(issuer).unwrap().as_str(), url);
    }
}

#[test]
fn another_issuer_is_refused_to_the_letter() {
    for issuer in [
        "https://id.example.com/",
        "https://ID.example.com",
        "http://id.example.com",
        "https://evil.example",
        "",
    ] {
        assert!(
            read(with("issuer", json!(issuer)))
                .unwrap_err()
                .contains("issuer"),
            "{issuer}"
        );
    }
}

#[test]
fn an_endpoint_that_may_not_be_used_spoils_the_document() {
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "end_session_endpoint",
    ] {
        for url in [
            "http://id.example.com/x",
            "http://127.0.0.1/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://user@id.example.com/",
            "https://u:p@id.example.com/",
            "https://id.example.com/#f",
            "/token",
            "id.example.com",
            "ftp://id.example.com/",
            "https://",
        ] {
            let error = read(with(name, json!(url))).unwrap_err();
            assert!(error.contains(name), "{name} {url}: {error}");
        }
    }
}

#[test]
fn what_is_missing_or_of_another_type_spoils_it() {
    for name in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
    ] {
        for value in [json!(null), json!(7), json!([]), json!({}), json!("")] {
            assert!(read(with(name, value.clone())).is_err(), "{name} {value}");
        }
    }
    for (name, value) in [
        ("userinfo_endpoint", json!(7)),
        ("id_token_signing_alg_values_supported", json!("RS256")),
        ("scopes_supported", json!({})),
        (
            "authorization_response_iss_parameter_supported",
            json!("true"),
        ),
    ] {
        assert!(read(with(name, value)).is_err(), "{name}");
    }
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let local = |host: &str| {
        let issuer = format!("http://{host}:8080");
        json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/a"),
            "token_endpoint": format!("{issuer}/t"), "jwks_uri": format!("{issuer}/j"),
        })
    };
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let issuer = format!("http://{host}:8080");
        assert!(
            Metadata::read(object(local(host)), &issuer, &[]).is_ok(),
            "{host}"
        );
        let mut away = local(host);
        away["token_endpoint"] = json!("http://id.example.com/t");
        assert!(
            Metadata::read(object(away), &issuer, &[]).is_err(),
            "{host}"
        );
    }
}

#[test]
fn algorithms_are_those_both_know() {
    assert_eq!(read(good()).unwrap().algorithms, [RS256, ES256]);
    let unsaid = with("id_token_signing_alg_values_supported", json!(null));
    assert_eq!(read(unsaid).unwrap().algorithms, [RS256]);
    for none in [json!([]), json!(["none"]), json!(["HS256", "HS512"])] {
        let document = with("id_token_signing_alg_values_supported", none.clone());
        assert!(read(document).is_err(), "{none}");
    }
    let wanted: &[Algorithm] = &[PS256];
    let metadata = Metadata::read(object(good()), ISSUER, wanted).unwrap();
    assert_eq!(metadata.algorithms, wanted);
}

#[test]
fn the_client_proves_itself_as_the_provider_wants() {
    let method = |methods: Value| {
        read(with("token_endpoint_auth_methods_supported", methods))
            .unwrap()
            .auth_method
    };
    assert_eq!(method(json!(null)), AuthMethod::ClientSecretBasic);
    assert_eq!(
        method(json!(["client_secret_post"])),
        AuthMethod::ClientSecretPost
    );
    assert_eq!(
        method(json!(["client_secret_post", "client_secret_basic"])),
        AuthMethod::ClientSecretBasic
    );
    assert_eq!(
        method(json!(["private_key_jwt"])),
        AuthMethod::ClientSecretBasic
    );
}

#[test]
fn s256_is_used_whatever_the_document_says_of_pkce() {
    assert!(read(with("code_challenge_methods_supported", json!(["plain"]))).is_ok());
}
