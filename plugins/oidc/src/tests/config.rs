use serde_json::{Value, json};

use crate::{
    config::{Config, Kind, Userinfo, provider_url},
    github::Github,
    party::Party,
};

fn read(mut more: Value) -> Result<Config, serde_json::Error> {
    let defaults = json!({"issuer": "https://id.example.com", "client_id": "c"});
    for (name, value) in super::object(defaults) {
        if more.get(&name).is_none() {
            more[&name] = value;
        }
    }
    serde_json::from_value(more)
}

fn config(more: Value) -> Config {
    read(more).unwrap()
}

#[test]
fn the_defaults_are_the_strict_ones() {
    let config = config(json!({}));
    assert_eq!(
        (config.kind, config.userinfo),
        (Kind::Oidc, Userinfo::WhenNeeded)
    );
    assert!(!config.skip_email_verification && !config.email_verified_as_string);
    assert!(config.revalidate && config.groups_claim == "groups");
    assert_eq!(config.scopes(&["openid"]).unwrap(), ["openid"]);
    assert_eq!(config.secret().unwrap(), None);
}

#[test]
fn what_is_not_a_key_or_not_a_value_is_refused() {
    for more in [
        json!({"client_secrte": "x"}),
        json!({"allowed_domains": []}),
        json!({"type": "saml"}),
        json!({"prompt": ["none"]}),
        json!({"prompt": "consent"}),
        json!({"userinfo": "always"}),
        json!({"userinfo": 1}),
        json!({"scopes": "openid email"}),
        json!({"id_token_algorithms": ["none"]}),
        json!({"id_token_algorithms": ["HS256"]}),
        json!({"skip_email_verification": "true"}),
        json!({"client_id": 7}),
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
    ] {
        assert!(read(more.clone()).is_err(), "{more}");
    }
}

#[test]
fn userinfo_is_yes_no_or_when_needed() {
    let is = |value: Value| config(json!({"userinfo": value})).userinfo;
    assert_eq!(is(json!(true)), Userinfo::Always);
    assert_eq!(is(json!(false)), Userinfo::Never);
    assert_eq!(is(json!("when_needed")), Userinfo::WhenNeeded);
}

#[test]
fn an_issuer_must_be_a_url_that_may_be_used() {
    for good in [
        "https://id.example.com",
        "https://id.example.com/realms/a",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://[::1]:1",
    ] {
        assert!(provider_url("issuer", good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "id.example.com",
        "http://id.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://id.example.com",
        "https://u@id.example.com",
        "https://id.example.com/?a",
        "https://id.example.com/#a",
        "file:///etc",
    ] {
        let error = provider_url("issuer", bad).unwrap_err().to_string();
        assert!(error.contains("`issuer`"), "{bad}: {error}");
    }
}

#[test]
fn a_secret_is_in_one_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "from the file\n").unwrap();
    assert_eq!(
        config(json!({"client_secret_file": path}))
            .secret()
            .unwrap()
            .as_deref(),
        Some("from the file")
    );
    assert_eq!(
        config(json!({"client_secret": "given"}))
            .secret()
            .unwrap()
            .as_deref(),
        Some("given")
    );
    for bad in [
        json!({"client_secret": "given", "client_secret_file": path}),
        json!({"client_secret": ""}),
        json!({"client_secret": " \n"}),
        json!({"client_secret_file": "/nowhere/to/be/found"}),
    ] {
        assert!(config(bad.clone()).secret().is_err(), "{bad}");
    }
    std::fs::write(path, "\n").unwrap();
    assert!(
        config(json!({"client_secret_file": path}))
            .secret()
            .is_err()
    );
}

#[test]
fn an_error_does_not_say_the_secret() {
    let twice = config(json!({"client_secret": "hunter2", "client_secret_file": "/x"}));
    assert!(!twice.secret().unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn the_rest_is_checked_too() {
    assert!(config(json!({"client_id": " "})).client_id().is_err());
    for seconds in [0, 61] {
        assert!(
            config(json!({"timeout_seconds": seconds}))
                .timeout()
                .is_err()
        );
    }
    for url in ["/bye", "javascript:alert(1)", "bye.example", ""] {
        assert!(
            config(json!({"logout_redirect_uri": url}))
                .logout_redirect_uri()
                .is_err(),
            "{url}"
        );
    }
    for scope in ["", "openid email", "a\"b", "a\\b", "é", "a\n"] {
        assert!(
            config(json!({"scopes": [scope]})).scopes(&[]).is_err(),
            "{scope:?}"
        );
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    let refused = |more: Value| match Party::of(config(more)) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    };
    for (more, key) in [
        (json!({"issuer": null}), "`issuer`"),
        (json!({"issuer": "http://id.example.com"}), "`issuer`"),
        (json!({"client_id": ""}), "`client_id`"),
        (json!({"client_secret": ""}), "`client_secret`"),
        (
            json!({"token_endpoint_auth_method": "client_secret_post"}),
            "`token_endpoint_auth_method`",
        ),
        (json!({"allowed_orgs": ["acme"]}), "`allowed_orgs`"),
        (json!({"timeout_seconds": 0}), "`timeout_seconds`"),
        (json!({"scopes": ["a b"]}), "`scopes`"),
        (
            json!({"logout_redirect_uri": "bye"}),
            "`logout_redirect_uri`",
        ),
    ] {
        let error = refused(more.clone());
        assert!(
            error.starts_with("misconfigured") && error.contains(key),
            "{more}: {error}"
        );
    }
    assert!(Party::of(config(json!({}))).is_ok());
    let explicit = json!({"email_claim": "email"});
    assert_eq!(Party::of(config(explicit)).unwrap().rules.email_claim, None);
}

#[test]
fn github_is_refused_what_it_cannot_do() {
    let github = |mut more: Value| {
        more["type"] = json!("github");
        Github::open(&config(more))
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(github(json!({"client_secret": "s"})), None);
    for (more, key) in [
        (json!({}), "`client_secret`"),
        (
            json!({"client_secret": "s", "email_claim": "upn"}),
            "`email_claim`",
        ),
        (
            json!({"client_secret": "s", "skip_email_verification": true}),
            "`skip_email_verification`",
        ),
        (
            json!({"client_secret": "s", "web_url": "http://github.example"}),
            "`web_url`",
        ),
        (
            json!({"client_secret": "s", "api_url": "api.github.com"}),
            "`api_url`",
        ),
    ] {
        assert!(github(more.clone()).unwrap().contains(key), "{more}");
    }
}
