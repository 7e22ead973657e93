//! Who may make which API token, and for how long it is good (CONTRACT section 4, THREATS A1).
//!
//! Does not: know HTTP, or store anything.
//!
//! **Invariant:** a token reaches no further than its maker, and one made by a token does not
//! outlive it.

use crate::{
    clock::Timestamp,
    token::{Scope, Scopes},
};

const DAY: u64 = 86_400;

/// The default life where the operator names none.
const DEFAULT: u64 = 90 * DAY;

/// What the operator decides.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Seconds a token lasts whose maker names no time.
    pub default: Option<u64>,
    /// Seconds a token lasts at most.
    pub longest: u64,
    /// Whether a token may last for ever.
    pub allows_endless: bool,
    /// Seconds after signing in during which a login makes tokens.
    pub login_age: u64,
    /// Seconds before its end from which on a token is announced to end.
    pub notice: u64,
}

/// By what a token is made.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// What it is restricted to itself.
    pub scope: Option<Scopes>,
    /// Whether its account is an admin's.
    pub is_admin: bool,
    /// Which of the two it is.
    pub kind: MakerKind,
}

/// Logins make tokens while they are young, tokens while they last.
#[derive(Clone, Copy, Debug)]
pub enum MakerKind {
    /// A login, and since when it lasts: not since when its newest access token does.
    Login(Timestamp),
    /// An API token, and when it ends.
    Token(Option<Timestamp>),
}

/// The life that is wanted of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// None named.
    Default,
    /// For ever, in so many words.
    Endless,
    /// So many seconds.
    Seconds(u64),
}

/// Why a token is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The login is too old.
    #[error("sign in again to make a token")]
    OldLogin,
    /// Its maker reaches less far.
    #[error("a token cannot reach further than its maker")]
    Scope,
    /// It would last too long.
    #[error("this server's tokens last at most {0} days")]
    TooLong(u64),
}

impl Policy {
    /// Whether this maker makes tokens now.
    ///
    /// # Errors
    /// [`Refused::OldLogin`].
    pub fn admit(&self, maker: &Maker, now: Timestamp) -> Result<(), Refused> {
        match maker.kind {
            MakerKind::Login(since) if !now.is_near(since, self.login_age * 1000 + 1) => {
                Err(Refused::OldLogin)
            }
            MakerKind::Login(_) | MakerKind::Token(_) => Ok(()),
        }
    }

    /// When a token made now ends; nothing: never.
    ///
    /// # Errors
    /// [`Refused::TooLong`].
    pub fn end(
        &self,
        wanted: Wanted,
        maker: &Maker,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Refused> {
        let lifetime = match (wanted, self.default) {
            (Wanted::Seconds(seconds), _) => Some(seconds),
            (Wanted::Endless, _) | (Wanted::Default, None) if self.allows_endless => None,
            (Wanted::Endless, _) => return Err(Refused::TooLong(self.longest / DAY)),
            (Wanted::Default, default) => Some(default.unwrap_or(DEFAULT).min(self.longest)),
        };
        if lifetime.is_some_and(|seconds| seconds > self.longest) {
            return Err(Refused::TooLong(self.longest / DAY));
        }
        Ok(within(
            lifetime.map(|seconds| now.plus_seconds(seconds)),
            maker,
        ))
    }

    /// When the successor of a token of such a lifetime ends: the policy may have changed since.
    pub fn renewed(
        &self,
        lifetime: Option<u64>,
        maker: Option<&Maker>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let lifetime = match lifetime {
            Some(seconds) => Some(seconds.min(self.longest)),
            None if self.allows_endless => None,
            None => Some(self.default.unwrap_or(DEFAULT).min(self.longest)),
        };
        let end = lifetime.map(|seconds| now.plus_seconds(seconds));
        maker.map_or(end, |maker| within(end, maker))
    }

    /// Whether a token that ends then is announced to end.
    pub fn announces(&self, expires_at: Timestamp, now: Timestamp) -> bool {
        expires_at <= now.plus_seconds(self.notice)
    }
}

/// The earlier end of both, for a maker that is a token.
fn within(end: Option<Timestamp>, maker: &Maker) -> Option<Timestamp> {
    match (end, maker.kind) {
        (Some(end), MakerKind::Token(Some(own))) => Some(end.min(own)),
        (None, MakerKind::Token(own)) => own,
        (end, _) => end,
    }
}

/// What a token made by `maker` is restricted to.
///
/// # Errors
/// [`Refused::Scope`].
pub fn scope(wanted: Option<Scopes>, maker: &Maker) -> Result<Option<Scopes>, Refused> {
    if wanted.is_some_and(|scopes| scopes.contains(Scope::Admin)) && !maker.is_admin {
        return Err(Refused::Scope);
    }
    match (wanted, maker.scope) {
        (Some(wanted), Some(own)) if !wanted.is_within(own) => Err(Refused::Scope),
        (None, own) => Ok(own),
        (wanted, _) => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const POLICY: Policy = Policy {
        default: None,
        longest: 100 * DAY,
        allows_endless: false,
        login_age: 3600,
        notice: 14 * DAY,
    };
    const LOGIN: Maker = Maker {
        scope: None,
        is_admin: true,
        kind: MakerKind::Login(T0),
    };

    fn token(ends: Option<u64>) -> Maker {
        Maker {
            scope: Some(Scope::Account.into()),
            is_admin: true,
            kind: MakerKind::Token(ends.map(|seconds| T0.plus_seconds(seconds))),
        }
    }

    #[test]
    fn an_old_login_makes_no_tokens_and_a_token_has_no_age() {
        assert!(POLICY.admit(&LOGIN, T0.plus_seconds(3600)).is_ok());
        let late = T0.plus_seconds(3601);
        assert_eq!(POLICY.admit(&LOGIN, late), Err(Refused::OldLogin));
        assert!(POLICY.admit(&token(None), late).is_ok());
    }

    #[test]
    fn a_life_is_the_default_or_what_is_wanted_up_to_the_longest() {
        let end = |policy: &Policy, wanted| policy.end(wanted, &LOGIN, T0);
        let days = |days| Ok(Some(T0.plus_seconds(days * DAY)));
        assert_eq!(end(&POLICY, Wanted::Default), days(90));
        assert_eq!(end(&POLICY, Wanted::Seconds(100 * DAY)), days(100));
        let too_long = Err(Refused::TooLong(100));
        assert_eq!(end(&POLICY, Wanted::Seconds(101 * DAY)), too_long);
        assert_eq!(end(&POLICY, Wanted::Endless), too_long);
        let short = Policy {
            longest: 30 * DAY,
            ..POLICY
        };
        assert_eq!(end(&short, Wanted::Default), days(30));
        let endless = Policy {
            allows_endless: true,
            ..POLICY
        };
        assert_eq!(end(&endless, Wanted::Default), Ok(None));
        assert_eq!(end(&endless, Wanted::Endless), Ok(None));
        let both = Policy {
            default: Some(7 * DAY),
            ..endless
        };
        assert_eq!(end(&both, Wanted::Default), days(7));
        assert_eq!(end(&both, Wanted::Endless), Ok(None));
    }

    #[test]
    fn what_a_token_makes_does_not_outlive_it() {
        let endless = Policy {
            allows_endless: true,
            ..POLICY
        };
        let own = Some(T0.plus_seconds(DAY));
        for wanted in [Wanted::Default, Wanted::Endless, Wanted::Seconds(9 * DAY)] {
            assert_eq!(endless.end(wanted, &token(Some(DAY)), T0), Ok(own));
        }
        let maker = token(Some(DAY));
        assert_eq!(endless.renewed(None, Some(&maker), T0), own);
        assert_eq!(endless.renewed(Some(9 * DAY), Some(&maker), T0), own);
        assert_eq!(endless.renewed(None, None, T0), None);
    }

    #[test]
    fn a_successor_keeps_to_the_policy_of_today() {
        let end = |days| Some(T0.plus_seconds(days * DAY));
        assert_eq!(POLICY.renewed(None, None, T0), end(90));
        assert_eq!(POLICY.renewed(Some(366 * DAY), None, T0), end(100));
        assert_eq!(POLICY.renewed(Some(DAY), None, T0), end(1));
    }

    #[test]
    fn a_scope_is_no_wider_than_its_makers() {
        let parse = |text: &str| Some(text.parse::<Scopes>().unwrap());
        let maker = token(None);
        assert_eq!(scope(None, &maker), Ok(parse("account")));
        assert_eq!(scope(parse("sessions"), &maker), Err(Refused::Scope));
        assert_eq!(scope(parse("account admin"), &maker), Err(Refused::Scope));
        assert_eq!(scope(parse("admin"), &LOGIN), Ok(parse("admin")));
        assert_eq!(scope(None, &LOGIN), Ok(None));
        let nobody = Maker {
            is_admin: false,
            ..LOGIN
        };
        assert_eq!(scope(parse("sessions admin"), &nobody), Err(Refused::Scope));
    }
}
