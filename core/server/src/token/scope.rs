//! What a restricted token may reach (RFC 6749 section 3.3, CONTRACT section 2).

use std::{fmt, str::FromStr};

/// One thing a token may be restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The API being protected.
    Sessions,
    /// The same, reading only.
    SessionsRead,
    /// One's own tokens and logins.
    Account,
    /// People and invites, if the account is an admin.
    Admin,
}

const ALL: [(Scope, &str); 4] = [
    (Scope::Sessions, "sessions"),
    (Scope::SessionsRead, "sessions:read"),
    (Scope::Account, "account"),
    (Scope::Admin, "admin"),
];

/// The paths, with everything below them, that `sessions` covers.
const SESSIONS: [&str; 7] = [
    "/health",
    "/v1/agents",
    "/v1/hosts",
    "/v1/sessions",
    "/v1/runners",
    "/oauth/token",
    "/oauth/revoke",
];
const ACCOUNT: [&str; 3] = ["/auth/me", "/auth/tokens", "/auth/logins"];
const ADMIN: [&str; 2] = ["/auth/users", "/auth/invite"];

/// A set of scopes. The empty set permits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// The text names a scope this server does not have, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope; there are: sessions, sessions:read, account, admin")]
pub struct UnknownScope;

impl Scopes {
    /// Whether the set holds this scope.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether everything this set permits is permitted by `other` too.
    pub const fn within(self, other: Self) -> bool {
        (self.0 & !other.0) == 0
            || (self.0 & !other.0 == 1 << Scope::SessionsRead as u8 && other.has(Scope::Sessions))
    }

    /// Whether the set permits this request. What it does not name is not permitted.
    pub fn permits(self, method: &str, path: &str) -> bool {
        let below = |roots: &[&str]| {
            roots.iter().any(|root| {
                path.strip_prefix(root)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        (self.has(Scope::Sessions) && below(&SESSIONS))
            || (self.has(Scope::SessionsRead) && method == "GET" && below(&SESSIONS))
            || (self.has(Scope::Account) && below(&ACCOUNT))
            || (self.has(Scope::Admin) && below(&ADMIN))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let mut scopes = Self::default();
        for word in text.split(' ') {
            let (scope, _) = ALL
                .iter()
                .find(|(_, name)| *name == word)
                .ok_or(UnknownScope)?;
            scopes.0 |= 1 << *scope as u8;
        }
        Ok(scopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = ALL
            .iter()
            .filter(|(scope, _)| self.has(*scope))
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_reaches_what_it_names_and_what_is_below() {
        for path in [
            "/health",
            "/v1/agents",
            "/v1/sessions",
            "/v1/sessions/x/items",
            "/oauth/token",
        ] {
            assert!(scopes("sessions").permits("POST", path), "{path}");
            assert!(scopes("sessions:read").permits("GET", path), "{path}");
            assert!(!scopes("sessions:read").permits("POST", path), "{path}");
        }
    }

    #[test]
    fn a_scope_reaches_nothing_else() {
        for path in [
            "/",
            "/v1",
            "/v1/me",
            "/v1/sessionsx",
            "/v1/projects",
            "/auth/me",
            "/auth/users",
            "/healthz/ready",
        ] {
            assert!(!scopes("sessions").permits("GET", path), "{path}");
        }
        for path in [
            "/auth/users",
            "/auth/invite",
            "/auth/magic",
            "/auth/users/me/password",
        ] {
            assert!(!scopes("account").permits("GET", path), "{path}");
        }
        assert!(!scopes("admin").permits("GET", "/auth/tokens"));
        assert!(!Scopes::default().permits("GET", "/health"));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in [
            "",
            " ",
            "everything",
            "sessions ",
            "sessions  account",
            "Sessions",
            "sessions,account",
        ] {
            assert_eq!(text.parse::<Scopes>(), Err(UnknownScope), "{text:?}");
        }
    }

    #[test]
    fn a_narrower_set_lies_within_a_wider_one() {
        assert!(scopes("sessions:read").within(scopes("sessions account")));
        assert!(!scopes("sessions").within(scopes("sessions:read")));
        assert!(!scopes("admin").within(scopes("sessions account")));
    }
}
