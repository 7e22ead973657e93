//! What a restricted token may reach (RFC 6749 section 3.3; CONTRACT section 2).
//!
//! **Invariant:** fail closed. A path that no scope names is out of reach, an unknown scope is an
//! error and never ignored, and no scopes permit nothing.

use std::{fmt, str::FromStr};

/// One scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `sessions`: agents, hosts, sessions and runners, and the token's own refresh and revocation.
    Sessions,
    /// `sessions:read`: the same things, `GET` only.
    SessionsRead,
    /// `account`: the account's own data, API tokens and logins; never its password.
    Account,
    /// `admin`: other people's accounts and invites, the audit trail and what a token is, if the
    /// account is an admin.
    Admin,
}

impl Scope {
    const ALL: [Self; 4] = [
        Self::Sessions,
        Self::SessionsRead,
        Self::Account,
        Self::Admin,
    ];

    /// The scope's text in claims, requests and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::SessionsRead => "sessions:read",
            Self::Account => "account",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    // Every path here means itself and everything below it.
    fn permits(self, method: &str, path: &str) -> bool {
        let paths: &[&str] = match self {
            Self::Sessions => &[
                "/health",
                "/v1/agents",
                "/v1/hosts",
                "/v1/sessions",
                "/v1/runners",
                "/oauth/token",
                "/oauth/revoke",
            ],
            Self::SessionsRead if method == "GET" => &[
                "/health",
                "/v1/agents",
                "/v1/hosts",
                "/v1/sessions",
                "/v1/runners",
            ],
            Self::SessionsRead => &[],
            Self::Account => &[
                "/v1/me",
                "/auth/me",
                "/auth/tokens",
                "/auth/logins",
                "/auth/logout",
            ],
            // A token never changes a password, its own account's included (THREATS A1).
            Self::Admin if is_within(path, "/auth/users/me") => &[],
            Self::Admin => &[
                "/auth/users",
                "/auth/invite",
                "/auth/audit",
                "/oauth/introspect",
            ],
        };
        paths.iter().any(|prefix| is_within(path, prefix))
    }
}

/// A set of scopes. The default is the empty set, which permits nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// This set and `scope`.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether `scope` is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `other` permits everything this set permits: a token cannot make a stronger one.
    pub const fn is_within(self, other: Self) -> bool {
        let other = if other.contains(Scope::Sessions) {
            other.with(Scope::SessionsRead)
        } else {
            other
        };
        self.0 & !other.0 == 0
    }

    /// Whether a token of these scopes may send `method` to `path` (the path as it came, without
    /// the query). Says nothing about what its account may do there.
    pub fn permits(self, method: &str, path: &str) -> bool {
        is_plain(path)
            && Scope::ALL
                .into_iter()
                .any(|scope| self.contains(scope) && scope.permits(method, path))
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self::default().with(scope)
    }
}

/// The text names a scope this server does not have, or none, or is not single-spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope; there are: sessions, sessions:read, account, admin")]
pub struct UnknownScope;

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split(' ').try_fold(Self::default(), |scopes, word| {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            scope.map(|scope| scopes.with(scope)).ok_or(UnknownScope)
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Scope::ALL
            .into_iter()
            .filter(|scope| self.contains(*scope))
            .map(Scope::as_str);
        if let Some(first) = words.next() {
            f.write_str(first)?;
        }
        words.try_for_each(|word| write!(f, " {word}"))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether everybody who reads this path reads the same one: no dot segments, empty segments or
/// backslashes, and nothing encoded but what routes decode (`@` and `+`), in case something behind
/// us normalises: `/auth/users/%6de` is `me` to it.
fn is_plain(path: &str) -> bool {
    let is_known = |rest: &str| {
        let code = rest.get(..2).map(str::to_ascii_lowercase);
        code.is_some_and(|code| matches!(code.as_str(), "40" | "2b"))
    };
    path.starts_with('/')
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#' | b';'))
        && !path.contains("//")
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && path.split('%').skip(1).all(is_known)
}
