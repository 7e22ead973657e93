//! A restricted token reaches what its scope names and nothing else.

use super::*;
use Scope::{Account, Admin, Sessions, SessionsRead};

const ALL: [Scope; 4] = [Sessions, SessionsRead, Account, Admin];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[track_caller]
fn only(allowed: &[Scope], method: &str, path: &str) {
    for scope in ALL {
        let permits = Scopes::from(scope).permits(method, path);
        assert_eq!(
            permits,
            allowed.contains(&scope),
            "{scope:?} {method} {path}"
        );
    }
    assert!(!Scopes::default().permits(method, path));
}

#[test]
fn each_scope_reaches_its_own_paths() {
    for path in [
        "/health",
        "/v1/agents",
        "/v1/hosts",
        "/v1/sessions",
        "/v1/runners",
    ] {
        for below in [
            "",
            "/",
            "/abc",
            "/abc/permissions/bob@example.com",
            "/a/b%40c",
        ] {
            let path = format!("{path}{below}");
            only(&[Sessions, SessionsRead], "GET", &path);
            for method in &METHODS[1..] {
                only(&[Sessions], method, &path);
            }
        }
    }
    for path in ["/oauth/token", "/oauth/revoke"] {
        METHODS
            .iter()
            .for_each(|method| only(&[Sessions], method, path));
    }
    for path in [
        "/v1/me",
        "/auth/me",
        "/auth/tokens",
        "/auth/tokens/x/rotate",
        "/auth/logins",
        "/auth/logout",
    ] {
        METHODS
            .iter()
            .for_each(|method| only(&[Account], method, path));
    }
    for path in [
        "/auth/users",
        "/auth/users/bob",
        "/auth/users/bob/reset",
        "/auth/invite",
        "/auth/audit",
        "/oauth/introspect",
    ] {
        METHODS
            .iter()
            .for_each(|method| only(&[Admin], method, path));
    }
}

#[test]
fn no_scope_reaches_the_rest() {
    for path in [
        "",
        "/",
        "/login",
        "/setup",
        "/register",
        "/auth",
        "/auth/login",
        "/auth/magic",
        "/auth/setup",
        "/auth/register",
        "/auth/auditx",
        "/auth/operator/audit/verify",
        "/auth/users/me",
        "/auth/users/me/password",
        "/oauth",
        "/oauth/device",
        "/oauth/device/approve",
        "/v1",
        "/v1/",
        "/v1/info",
        "/v1/projects",
        "/v2/sessions",
        "/api/version",
        "/healthz",
        "/healthz/ready",
        "/health-x",
        "/v1/sessionsx",
        "/v1/session",
        "/V1/SESSIONS",
        "/v1/Sessions",
        "v1/sessions",
        "x/v1/sessions",
        "/auth/tokensx",
        "/oauth/tokens",
        "/openapi.json",
        "*",
        "https://auth.example.com/v1/sessions",
    ] {
        METHODS.iter().for_each(|method| only(&[], method, path));
    }
}

#[test]
fn paths_that_could_be_read_twice_are_out_of_reach() {
    for path in [
        "/v1/sessions/../../auth/users",
        "/v1/sessions/./x",
        "/v1/sessions//x",
        "//v1/sessions",
        "/v1/sessions/..",
        "/v1/sessions/%2e%2e/me",
        "/v1/sessions/%2E%2E/me",
        "/v1/sessions/.%2e/me",
        "/v1/sessions/%2f",
        "/v1/sessions/%2F..",
        "/v1/sessions/%5c",
        "/v1/sessions\\..\\me",
        "/v1/sessions/%252e",
        "/v1/sessions/%00",
        "/v1/sessions/\0",
        "/v1/sessions/ x",
        "/v1/sessions/\n",
        "/v1/sessions;a=b",
        "/v1/sessions?a=/",
        "/v1/sessions#a",
        "/v1/sessions/%",
        "/v1/sessions/%4",
        "/v1/sessions/%61",
        "/auth/users/%6de",
        "/v1/sessions/é",
        "/v1/sessions/..;/x",
    ] {
        METHODS.iter().for_each(|method| only(&[], method, path));
    }
}

#[test]
fn reading_is_the_method_get_only() {
    for method in [
        "get", "Get", "HEAD", "GET ", "", "POST", "TRACE", "GETS", "CONNECT",
    ] {
        assert!(
            !Scopes::from(SessionsRead).permits(method, "/v1/sessions"),
            "{method}"
        );
    }
}

#[test]
fn scopes_are_read_and_written() {
    for (text, written) in [
        ("sessions", "sessions"),
        ("sessions:read", "sessions:read"),
        ("account", "account"),
        ("admin", "admin"),
        ("admin sessions", "sessions admin"),
        ("sessions sessions", "sessions"),
        (
            "admin account sessions:read sessions",
            "sessions sessions:read account admin",
        ),
    ] {
        let scopes: Scopes = text.parse().unwrap();
        assert_eq!(scopes.to_string(), written);
        assert_eq!(written.parse::<Scopes>(), Ok(scopes));
    }
    assert_eq!(Scopes::default().to_string(), "");
}

#[test]
fn unknown_scopes_are_errors() {
    for text in [
        "",
        " ",
        "sessions ",
        " admin",
        "sessions  admin",
        "root",
        "sessions:write",
        "Admin",
        "sessions,admin",
        "sessions\nadmin",
        "sessions\u{a0}admin",
        "admin root",
        "*",
        "all",
    ] {
        assert_eq!(text.parse::<Scopes>(), Err(UnknownScope), "{text:?}");
    }
}

#[test]
fn token_makes_no_stronger_one() {
    let account = Scopes::from(Account).with(Sessions);
    assert!(
        Scopes::from(Account).is_within(account) && Scopes::from(SessionsRead).is_within(account)
    );
    assert!(Scopes::default().is_within(Scopes::default()));
    assert!(!Scopes::from(Admin).is_within(account));
    assert!(!account.with(Admin).is_within(account));
    assert!(!Scopes::from(Sessions).is_within(SessionsRead.into()));
    assert!(!Scopes::from(Account).is_within(Scopes::default()));
}
