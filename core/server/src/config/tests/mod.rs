#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod environment;
mod property;
mod refusals;
mod samples;

use super::*;

fn load(text: &str) -> Result<Config, Vec<Problem>> {
    load_with(text, [])
}

fn load_with<const N: usize>(
    text: &str,
    variables: [(&str, &str); N],
) -> Result<Config, Vec<Problem>> {
    load_under(text, variables, &Overrides::default())
}

fn load_under<const N: usize>(
    text: &str,
    variables: [(&str, &str); N],
    overrides: &Overrides,
) -> Result<Config, Vec<Problem>> {
    let home = [("HOME", "/home/someone")];
    let env: Env = home.into_iter().chain(variables).collect();
    Config::parse(text, Path::new("/etc/omnigent"), &env, overrides)
}

/// The faults as a person reads them.
fn faults(text: &str) -> Vec<String> {
    let faults = load(text).expect_err("refused");
    faults.iter().map(ToString::to_string).collect()
}

const ACCOUNTS: &str = "[auth]\nbackends = ['accounts']\n[backend.accounts]\nplugin = 'accounts'\n";
const KEY: &str = "9f3c1be07a52d8644e0be1976d2fa83519c4705eb8d3426f810a97ec5bd6f213";

#[test]
fn nothing_at_all_is_no_auth_on_loopback() {
    let config = load("").unwrap();
    assert!(config.is_no_auth());
    assert!(config.server.listen.ip().is_loopback());
    assert!(config.warnings.is_empty());
}

#[test]
fn a_plugins_own_keys_reach_it_with_files_beside_the_configuration() {
    let text =
        format!("{ACCOUNTS}timeout = '3s'\nfile = 'x'\n[backend.accounts.deep]\nn = [1, 2.5]\n");
    let config = load(&text).unwrap();
    let backend = &config.auth.backends[0];
    assert_eq!(backend.timeout.as_secs(), 3);
    assert_eq!(
        serde_json::Value::Object(backend.config.expose().clone()),
        serde_json::json!({"file": "/etc/omnigent/x", "deep": {"n": [1, 2.5]}})
    );
    assert!(!format!("{config:?}").contains("deep"));
}

#[test]
fn backends_keep_the_order_of_the_chooser() {
    let text =
        "[auth]\nbackends = ['b', 'a']\n[backend.a]\nplugin = 'x'\n[backend.b]\nplugin = 'y'";
    let config = load(text).unwrap();
    let names: Vec<_> = config
        .auth
        .backends
        .iter()
        .map(|b| b.name.as_str())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn a_backend_nobody_names_is_a_warning() {
    let config = load("[backend.spare]\nplugin = 'x'").unwrap();
    assert_eq!(config.warnings[0].key_path, "backend.spare");
    assert!(config.is_no_auth());
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = load("[server]\ndata_dir = 'data'").unwrap();
    assert_eq!(config.server.data_dir, Path::new("/etc/omnigent/data"));
}

#[test]
fn plain_http_towards_others_is_a_warning() {
    let text = format!("[server]\npublic_url = 'http://auth.example.com'\n{ACCOUNTS}");
    let config = load(&text).unwrap();
    assert_eq!(config.warnings[0].key_path, "server.public_url");
    let text = format!("[server]\npublic_url = 'http://localhost:6767'\n{ACCOUNTS}");
    assert!(load(&text).unwrap().warnings.is_empty());
}

#[test]
fn a_secret_file_must_be_private() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let load = || {
        let text = "[tokens]\nsecret_file = 'key'";
        Config::parse(
            text,
            dir.path(),
            &Env::default(),
            &Overrides {
                data_dir: Some("/data".into()),
                ..Overrides::default()
            },
        )
    };
    let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    set(0o644);
    assert!(load().unwrap_err()[0].message.contains("chmod 600"));
    set(0o600);
    let secret = load().unwrap().tokens.secret.unwrap();
    assert_eq!(secret.expose().len(), 32);
    std::fs::write(&path, "\n").unwrap();
    assert!(load().unwrap_err()[0].message.contains("is empty"));
    assert!(!format!("{:?}", load().unwrap_err()).contains(&KEY[..8]));
}

#[test]
fn origins_are_compared_by_what_they_mean() {
    for (text, shown) in [
        ("https://Auth.Example.com/", "https://auth.example.com"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:8080", "http://a.example:8080"),
        ("http://[::1]:6767", "http://[::1]:6767"),
    ] {
        assert_eq!(text.parse::<Origin>().unwrap().to_string(), shown);
    }
    for (text, loopback) in [
        ("http://localhost:1", true),
        ("http://127.0.0.9", true),
        ("http://[::1]:6767", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
    ] {
        assert_eq!(
            text.parse::<Origin>().unwrap().is_loopback(),
            loopback,
            "{text}"
        );
    }
}

#[test]
fn address_blocks_hold_what_they_say() {
    let holds = |block: &str, address: &str| {
        block
            .parse::<Cidr>()
            .unwrap()
            .contains(address.parse().unwrap())
    };
    assert!(holds("10.0.0.0/8", "10.255.0.1"));
    assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert!(holds("192.0.2.1", "192.0.2.1"));
    assert!(holds("fd00::/8", "fd12::1"));
    assert!(!holds("10.0.0.0/8", "11.0.0.1"));
    assert!(!holds("192.0.2.1", "192.0.2.2"));
    assert!(!holds("fd00::/8", "10.0.0.1"));
    assert!(!holds("::1/128", "::2"));
}

#[test]
fn a_secret_in_a_file_others_may_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let warnings = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let env: Env = [("HOME", "/home/someone")].into_iter().collect();
        let config = Config::load(Some(&path), &env, &Overrides::default()).unwrap();
        format!("{:?}", config.warnings)
    };
    let text = format!("[tokens]\nsecret = '{KEY}'");
    assert!(warnings(&text, 0o644).contains("others may read"));
    assert!(!warnings(&text, 0o644).contains(KEY));
    assert_eq!(warnings(&text, 0o600), "[]");
    assert_eq!(warnings("[tokens]\naccess_ttl = '1h'", 0o644), "[]");
    let text = format!("{ACCOUNTS}client_secret = 'hunter2'");
    assert!(warnings(&text, 0o640).contains("backend.accounts.client_secret"));
}
