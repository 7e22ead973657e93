//! Claims as this server writes them, read by heart: quicker than by a general reader.
//!
//! **Invariant:** what is read here the general reader reads alike; everything that is not letter
//! for letter in our own form (order, spelling, escapes) is left to it.

use std::{borrow::Cow, str::FromStr};

use super::claims::{Claims, MAX_SECONDS};
use crate::{
    clock::Timestamp,
    id::{GrantId, LoginId, TokenId, Uid},
};

/// The claims, if the text is in our own form.
pub(super) fn read(json: &[u8]) -> Option<Claims<'_>> {
    let mut text = Text(std::str::from_utf8(json).ok()?);
    let issuer = text.after("{\"iss\":\"")?.words()?;
    let audience = text.after(",\"aud\":\"")?.words()?;
    let subject = text.after(",\"sub\":\"")?.words()?;
    let uid: Uid = text.after(",\"uid\":\"")?.id()?;
    let sid: LoginId = text.after(",\"sid\":\"")?.id()?;
    let jti: TokenId = text.after(",\"jti\":\"")?.id()?;
    let issued_at = text.after(",\"iat\":")?.time()?;
    let not_before = text.after(",\"nbf\":")?.time()?;
    let expires_at = match text.after(",\"exp\":") {
        Some(text) => Some(text.time()?),
        None => None,
    };
    let provider = text.after(",\"provider\":\"")?.words()?;
    let token_use = text.after(",\"token_use\":\"")?.value()?;
    let scope = match text.after(",\"scope\":\"") {
        Some(text) => Some(text.value()?),
        None => None,
    };
    let grant = match text.after(",\"grant_id\":\"") {
        Some(text) => Some(text.id::<GrantId>()?),
        None => None,
    };
    let client_id = match text.after(",\"act\":{\"client_id\":\"") {
        Some(text) => {
            let client_id = text.words()?;
            text.after("}")?;
            Some(Cow::Borrowed(client_id))
        }
        None => None,
    };
    (text.0 == "}").then_some(Claims {
        issuer: Cow::Borrowed(issuer),
        audience: Cow::Borrowed(audience),
        subject: Cow::Borrowed(subject),
        uid,
        sid,
        jti,
        issued_at,
        not_before,
        expires_at,
        provider: Cow::Borrowed(provider),
        token_use,
        scope,
        grant,
        client_id,
    })
}

/// What is not read yet.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Steps over exactly this.
    fn after(&mut self, start: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(start)?;
        Some(self)
    }

    /// Up to the quote that ends it. Nothing that JSON would escape.
    fn words(&mut self) -> Option<&'a str> {
        let is_special = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
        let end = self.0.bytes().position(is_special)?;
        let (words, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(words)
    }

    fn value<T: FromStr>(&mut self) -> Option<T> {
        self.words()?.parse().ok()
    }

    fn id<T: FromStr>(&mut self) -> Option<T> {
        let (digits, rest) = self.0.split_at_checked(32)?;
        self.0 = rest.strip_prefix('"')?;
        digits.parse().ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        // Of the latest time there is.
        const DIGITS: usize = 12;
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        let is_plain = digits == "0" || !digits.starts_with('0');
        if !(1..=DIGITS).contains(&end) || !is_plain {
            return None;
        }
        let digits = digits.bytes().map(|digit| u64::from(digit - b'0'));
        let seconds = digits.fold(0, |seconds, digit| seconds * 10 + digit);
        // A fraction or an exponent is no whole number, whatever it comes to.
        if seconds > MAX_SECONDS || rest.starts_with(['.', 'e', 'E']) {
            return None;
        }
        self.0 = rest;
        Some(Timestamp::from_seconds(seconds))
    }
}
