use std::time::Duration;

use super::*;

fn refused<const N: usize>(text: &str, variables: [(&str, &str); N]) -> String {
    let faults = load_with(text, variables).expect_err("refused");
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

#[test]
fn the_switch_turns_accounts_on() {
    for on in ["1", "true", "yes", "TRUE"] {
        let config = load_with("", [("OMNIGENT_AUTH_ENABLED", on)]).unwrap();
        assert_eq!(config.auth.backends[0].plugin, "accounts");
    }
    for off in ["0", "false", "no", "", " "] {
        assert!(
            load_with("", [("OMNIGENT_AUTH_ENABLED", off)])
                .unwrap()
                .is_no_auth()
        );
    }
}

#[test]
fn a_switch_nobody_understands_is_never_off() {
    let faults = refused("", [("OMNIGENT_AUTH_ENABLED", "enabled")]);
    assert!(faults.contains("OMNIGENT_AUTH_ENABLED"), "{faults}");
}

#[test]
fn off_does_not_quietly_switch_off_the_files_backends() {
    let faults = refused(ACCOUNTS, [("OMNIGENT_AUTH_ENABLED", "0")]);
    assert!(faults.contains("auth.backends (line 2)"), "{faults}");
}

#[test]
fn on_keeps_the_files_backends() {
    let text = "[auth]\nbackends = ['b']\n[backend.b]\nplugin = 'other'";
    let config = load_with(text, [("OMNIGENT_AUTH_ENABLED", "1")]).unwrap();
    assert_eq!(config.auth.backends[0].plugin, "other");
}

#[test]
fn the_provider_wins_over_switch_and_file() {
    let text = "[auth]\nbackends = ['b']\n[backend.b]\nplugin = 'other'";
    let variables = [
        ("OMNIGENT_AUTH_PROVIDER", "accounts"),
        ("OMNIGENT_AUTH_ENABLED", "0"),
    ];
    let config = load_with(text, variables).unwrap();
    assert_eq!(config.auth.backends.len(), 1);
    assert_eq!(config.auth.backends[0].plugin, "accounts");
}

#[test]
fn the_provider_takes_the_files_table_of_its_plugin() {
    let text = "[backend.people]\nplugin = 'accounts'\ntitle = 'Us'";
    let config = load_with(text, [("OMNIGENT_AUTH_PROVIDER", "accounts")]).unwrap();
    assert_eq!(config.auth.backends[0].name, "people");
    assert_eq!(config.auth.backends[0].title.as_deref(), Some("Us"));
}

#[test]
fn an_unknown_provider_stops_the_start() {
    let faults = refused("", [("OMNIGENT_AUTH_PROVIDER", "odic")]);
    assert!(faults.contains("did you mean `oidc`?"), "{faults}");
}

#[test]
fn header_mode_needs_trusted_proxies() {
    let faults = refused("", [("OMNIGENT_AUTH_PROVIDER", "header")]);
    assert!(faults.contains("server.trusted_proxies"), "{faults}");
    let config = load_with(
        "",
        [
            ("OMNIGENT_AUTH_PROVIDER", "header"),
            ("OMNIGENT_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
            ("OMNIGENT_AUTH_HEADER", "X-User"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.auth.backends[0].config.expose()["header"], "X-User");
}

#[test]
fn oidc_variables_become_the_plugins_keys() {
    let config = load_with(
        "",
        [
            ("OMNIGENT_AUTH_PROVIDER", "oidc"),
            ("OMNIGENT_OIDC_ISSUER", "https://id.example.com"),
            ("OMNIGENT_OIDC_CLIENT_SECRET", "hunter2"),
            ("OMNIGENT_OIDC_ALLOWED_DOMAINS", "a.example,b.example"),
            ("OMNIGENT_OIDC_ALLOW_INVITES", "no"),
            (
                "OMNIGENT_OIDC_REDIRECT_URI",
                "https://auth.example.com/auth/callback",
            ),
            ("OMNIGENT_OIDC_COOKIE_SECRET", KEY),
            ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "1"),
        ],
    )
    .unwrap();
    let backend = &config.auth.backends[0];
    assert_eq!(backend.allowed_domains, ["a.example", "b.example"]);
    assert!(!backend.allow_invites);
    let keys = backend.config.expose();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["client_secret", "issuer"]);
    let public = config.server.public_url.as_ref().unwrap();
    assert_eq!(public.to_string(), "https://auth.example.com");
    assert!(config.tokens.secret.is_some());
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(8 * 3600));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn variables_win_over_the_file() {
    let text =
        "[server]\ndata_dir = '/from/file'\n[tokens]\naccess_ttl = '1h'\nsecret_file = '/nowhere'";
    let config = load_with(
        "[tokens]\naccess_ttl = '1h'\nsecret = 'not even hexadecimal'",
        [
            ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "2"),
            ("OMNIGENT_ACCOUNTS_COOKIE_SECRET", KEY),
            ("OMNIGENT_ACCOUNTS_INVITE_TTL_HOURS", "3"),
            ("OMNIGENT_ACCOUNTS_MAGIC_TTL_MINUTES", "4"),
            ("OMNIGENT_GRANT_MAX_LIFETIME_DAYS", "5"),
            ("OMNIGENT_ACCOUNTS_BASE_URL", "http://localhost:1"),
        ],
    )
    .unwrap();
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(2 * 3600));
    assert_eq!(config.tokens.secret.as_ref().unwrap().expose().len(), 32);
    assert_eq!(config.accounts.invite_ttl, Duration::from_secs(3 * 3600));
    assert_eq!(config.accounts.magic_ttl, Duration::from_secs(4 * 60));
    assert_eq!(
        config.tokens.grant_max_lifetime,
        Duration::from_secs(5 * 86400)
    );
    assert_eq!(
        config.server.public_url.as_ref().unwrap().to_string(),
        "http://localhost:1"
    );

    let variables = [
        ("OMNIGENT_DATA_DIR", "/from/env"),
        ("OMNIGENT_ACCOUNTS_COOKIE_SECRET", KEY),
    ];
    let config = load_with(text, variables).unwrap();
    assert_eq!(config.server.data_dir, Path::new("/from/env"));
}

#[test]
fn a_fault_in_a_variable_names_the_variable() {
    #[rustfmt::skip]
    let bad = [
        ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "8h"),
        ("OMNIGENT_ACCOUNTS_SESSION_TTL_HOURS", "0"),
        ("OMNIGENT_ACCOUNTS_MAGIC_TTL_MINUTES", "-1"),
        ("OMNIGENT_ACCOUNTS_COOKIE_SECRET", "deadbeef"),
        ("OMNIGENT_ACCOUNTS_BASE_URL", "auth.example.com"),
        ("OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD", "short"),
        ("OMNIGENT_GRANT_MAX_LIFETIME_DAYS", "9999999"),
        ("OMNIGENT_TRUSTED_PROXIES", "everyone"),
    ];
    for (name, value) in bad {
        let faults = load_with("", [(name, value)]).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.key_path.starts_with(name)),
            "{faults:?}"
        );
    }
    let faults = refused("", [("OMNIGENT_ACCOUNTS_COOKIE_SECRET", "deadbeef")]);
    assert!(!faults.contains("deadbeef"));
}

#[test]
fn the_initial_admin_is_named_admin_unless_told() {
    let password = ("OMNIGENT_ACCOUNTS_INIT_ADMIN_PASSWORD", "correct horse");
    let config = load_with("", [password]).unwrap();
    assert_eq!(config.initial_admin.as_ref().unwrap().0, "admin");
    assert!(!format!("{config:?}").contains("horse"));
    let name = ("OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME", "Alice");
    assert_eq!(
        load_with("", [password, name])
            .unwrap()
            .initial_admin
            .unwrap()
            .0,
        "alice"
    );
    let name = ("OMNIGENT_ACCOUNTS_INIT_ADMIN_USERNAME", "local");
    assert!(refused("", [password, name]).contains("is reserved"));
}

#[test]
fn a_misspelt_variable_is_a_warning() {
    let config = load_with("", [("OMNIGENT_AUTH_PROVIDR", "oidc")]).unwrap();
    let warning = config.warnings[0].to_string();
    assert!(
        warning.contains("did you mean `OMNIGENT_AUTH_PROVIDER`?"),
        "{warning}"
    );
}

#[test]
fn without_a_home_the_data_directory_must_be_named() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let nothing = Env::default();
    let faults = Config::load(None, &nothing, &Overrides::default()).unwrap_err();
    assert_eq!(faults[0].key_path, "server.data_dir");
}

const CORP: &str = "[auth]\nbackends = ['b', 'corp']\n[backend.b]\nplugin = 'other'\n\
                    [backend.corp]\nplugin = 'oidc'\nissuer = 'https://id.example'\n";

#[test]
fn a_plugins_keys_win_over_the_table_of_its_one_backend() {
    for switch in ["", "1"] {
        let variables = [
            ("OMNIGENT_AUTH_ENABLED", switch),
            ("OMNIGENT_OIDC_ISSUER", "https://other.example"),
            ("OMNIGENT_OIDC_ALLOWED_DOMAINS", "example.com"),
        ];
        let config = load_with(CORP, variables).unwrap();
        let corp = &config.auth.backends[1];
        assert_eq!(corp.allowed_domains, ["example.com"]);
        assert_eq!(corp.config.expose()["issuer"], "https://other.example");
        let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
        assert!(
            matches!(warnings.as_slice(), [one] if one.contains("`issuer` is overruled")),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_plugins_keys_without_a_backend_that_is_meant_are_not_passed_over_in_silence() {
    let domains = ("OMNIGENT_OIDC_ALLOWED_DOMAINS", "example.com");
    for text in ["", ACCOUNTS] {
        let config = load_with(text, [domains]).unwrap();
        assert!(
            config
                .warnings
                .iter()
                .any(|warning| warning.key_path == domains.0),
            "{text}"
        );
    }
    let on = load_with("", [("OMNIGENT_AUTH_ENABLED", "1"), domains]).unwrap();
    assert!(
        on.warnings
            .iter()
            .any(|warning| warning.key_path == domains.0)
    );
    let two = CORP.replace("'other'", "'oidc'");
    let faults = refused(&two, [domains]);
    assert!(
        faults.contains("several backends") && faults.contains(domains.0),
        "{faults}"
    );
    let uri = (
        "OMNIGENT_OIDC_REDIRECT_URI",
        "https://auth.example/auth/callback",
    );
    let config = load_with(CORP, [uri]).unwrap();
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.key_path == uri.0)
    );
    // What makes no sense is a fault where it is used.
    let maybe = ("OMNIGENT_OIDC_ALLOW_INVITES", "maybe");
    assert!(load_with(ACCOUNTS, [maybe]).is_ok());
    assert!(refused(CORP, [maybe]).contains(maybe.0));
    // Whoever says which provider is meant may have the other's variables ready.
    let accounts = [("OMNIGENT_AUTH_PROVIDER", "accounts"), domains];
    assert!(load_with("", accounts).unwrap().warnings.is_empty());
}
