//! Account names: the grammar and the reserved ones (CONTRACT section 4, THREATS P7).

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};

/// The longest account name, in characters.
pub const MAX_LENGTH: usize = 64;

/// Names nobody can ever have: the no-auth identity, "everybody", and literal route segments.
const RESERVED: [&str; 3] = ["local", "__public__", "me"];

/// Why a text is not the name of an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Outside the grammar: the person must choose another.
    #[error(
        "a username is 1 to 64 of a-z, 0-9, '.', '_' and '-', starts with a letter or digit, and may be an e-mail address"
    )]
    Grammar,
    /// Inside the grammar, but not to be had.
    #[error("username '{0}' is reserved")]
    Reserved(String),
}

/// The public id of an account (`sub` in tokens): a lower-case username or e-mail address.
///
/// **Invariant:** matches `^[a-z0-9][a-z0-9._-]{0,63}(@[a-z0-9.-]+\.[a-z]{2,})?$`, has at most 64
/// characters, and is not reserved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountName(String);

impl AccountName {
    /// Trims and lower-cases `text`, then holds it against the grammar. What is not ASCII is refused
    /// *before* lower-casing: the Kelvin sign would become a plain `k`.
    ///
    /// # Errors
    /// [`InvalidName`] says what the person must change.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if !text.is_ascii() {
            return Err(InvalidName::Grammar);
        }
        let text = text.to_ascii_lowercase();
        if is_reserved(&text) {
            return Err(InvalidName::Reserved(text));
        }
        if text.len() > MAX_LENGTH || !matches_grammar(&text) {
            return Err(InvalidName::Grammar);
        }
        Ok(Self(text))
    }

    /// As [`AccountName::parse`], for a name an issuer asserts: an e-mail address may have up to 254
    /// characters and a `+` in its first part.
    ///
    /// # Errors
    /// As [`AccountName::parse`].
    pub fn asserted(text: &str) -> Result<Self, InvalidName> {
        let Some((user, domain)) = text.split_once('@') else {
            return Self::parse(text);
        };
        let text = text.to_ascii_lowercase();
        let plain = user.replace('+', "-").to_ascii_lowercase();
        let fits = text.is_ascii()
            && text.len() <= 254
            && matches_grammar(&format!("{plain}@{}", domain.to_ascii_lowercase()));
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidName::Grammar)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is a reserved identity, in any letter case.
pub fn is_reserved(text: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| text.eq_ignore_ascii_case(reserved))
}

fn matches_grammar(text: &str) -> bool {
    let (user, domain) = match text.split_once('@') {
        Some((user, domain)) => (user, Some(domain)),
        None => (text, None),
    };
    let mut bytes = user.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    starts_well
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && domain.is_none_or(is_domain)
}

fn is_domain(domain: &str) -> bool {
    let Some((host, top)) = domain.rsplit_once('.') else {
        return false;
    };
    let in_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    !host.is_empty()
        && host.bytes().all(in_host)
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_lowercase())
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_trimmed_and_lower_cased() {
        assert_eq!(
            AccountName::parse("  Alice.B-c_9 ").unwrap().as_str(),
            "alice.b-c_9"
        );
        assert_eq!(
            AccountName::parse("Ann@Example.ORG").unwrap().as_str(),
            "ann@example.org"
        );
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        let long = "a".repeat(65);
        for text in [
            "",
            " ",
            ".a",
            "-a",
            "_a",
            "a b",
            "a/b",
            "..",
            "a@b",
            "a@b.c",
            "a@b.c1",
            "a@@b.co",
            "@b.co",
            "a@.co",
            "\u{212A}evin",
            "аlice",
            "alice\0",
            "a\nb",
            "a%2fb",
            "ａlice",
            &long,
        ] {
            assert_eq!(
                AccountName::parse(text),
                Err(InvalidName::Grammar),
                "{text:?}"
            );
        }
    }

    #[test]
    fn reserved_names_are_refused_in_any_letter_case() {
        for text in [
            "local",
            "LOCAL",
            " Local ",
            "__public__",
            "__PUBLIC__",
            "me",
            "ME",
        ] {
            assert!(
                matches!(AccountName::parse(text), Err(InvalidName::Reserved(_))),
                "{text:?}"
            );
        }
    }
}
