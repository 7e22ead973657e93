//! How long a replaced key is still needed: until the last token it signed has ended.
//!
//! Logins leave no record of their tokens, but none lives longer than the configuration let it
//! while the key signed. The record of an API token names the key that signed it; records older
//! than that custom tell it by when the token was made.
//!
//! **Invariant:** a key is never said to be free of tokens while one that it signed may live. Where
//! an old record was made too near to a change of keys to tell, it counts for both.

use std::collections::HashSet;

use super::{
    api::{API_TOKENS, ApiToken},
    keyring::{KeyInfo, KeyState},
};
use crate::{
    clock::Timestamp,
    store::{Order, Read, StoreError},
};

/// How far, in seconds, the time a request goes by may be from the signing of its token.
const MARGIN: u64 = 300;

/// What still rests on a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// API tokens that have not ended: at most so many.
    pub api_tokens: u64,
    /// When the last token ends that it can have signed so far; absent when one never does by
    /// itself, when it still signs, or when nothing rests on it.
    pub until: Option<Timestamp>,
    /// Whether one of them ends only by being revoked.
    pub is_endless: bool,
}

impl Rest {
    /// Whether a token that the key signed may count at `now`.
    pub fn any(&self, now: Timestamp) -> bool {
        self.is_endless || self.api_tokens > 0 || self.until.is_some_and(|until| until > now)
    }
}

/// What rests on each of `keys`. Reads the records of all API tokens.
///
/// # Errors
/// Only of the store.
pub fn rests(from: &impl Read, keys: &[KeyInfo], now: Timestamp) -> Result<Vec<Rest>, StoreError> {
    let logins = |key: &KeyInfo| Rest {
        until: key.logins_until().filter(|until| *until > now),
        ..Rest::default()
    };
    let mut rests: Vec<_> = keys.iter().map(logins).collect();
    for entry in API_TOKENS.scan(from, &[], None, Order::Ascending) {
        let (_, token) = entry?;
        if has_ended(&token, now) {
            continue;
        }
        for (key, rest) in keys.iter().zip(&mut rests) {
            if key.may_have_signed(&token) {
                rest.api_tokens += 1;
                rest.is_endless |= token.expires_at.is_none();
                rest.until = rest.until.max(token.expires_at);
            }
        }
    }
    for (key, rest) in keys.iter().zip(&mut rests) {
        if rest.is_endless || key.state == KeyState::Signing {
            rest.until = None;
        }
    }
    Ok(rests)
}

fn has_ended(token: &ApiToken, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|end| end <= now)
}

impl KeyInfo {
    /// When the last token of a login ends that the key signed; nothing when that is not known.
    fn logins_until(&self) -> Option<Timestamp> {
        match self.state {
            KeyState::Verifying(Some(since)) if !self.is_configured => {
                Some(since.plus_seconds(self.longest.saturating_add(MARGIN)))
            }
            _ => None,
        }
    }

    fn may_have_signed(&self, token: &ApiToken) -> bool {
        if let Some(kid) = &token.kid {
            return *kid == self.kid;
        }
        // A configured secret's time is not known: it signed before the file's key, or since.
        let began = self.created.unwrap_or_default();
        let ended = match self.state {
            KeyState::Retired(_) => return false,
            KeyState::Verifying(Some(since)) => since.plus_seconds(MARGIN),
            KeyState::Signing | KeyState::Verifying(None) => Timestamp::from_millis(u64::MAX),
        };
        token.created_at.plus_seconds(MARGIN) >= began && token.created_at <= ended
    }
}

/// Finds keys that nothing rests on any more, a bounded step at a time.
#[derive(Debug, Default)]
pub struct Overlap {
    // Keys that no token read so far rests on, and where reading goes on.
    pass: Option<(HashSet<String>, Option<Vec<u8>>)>,
    next: Timestamp,
}

/// Seconds between two looks at all API tokens.
const PAUSE: u64 = 600;

impl Overlap {
    /// Reads on, at most `budget` records. The names of keys that have outlived their tokens, once
    /// all records were read.
    ///
    /// # Errors
    /// Only of the store.
    pub fn step(
        &mut self,
        from: &impl Read,
        keys: &[KeyInfo],
        budget: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let (mut free, start) = match self.pass.take() {
            Some(pass) => pass,
            None if now < self.next => return Ok(Vec::new()),
            None => {
                self.next = now.plus_seconds(PAUSE);
                let is_over = |key: &&KeyInfo| key.logins_until().is_some_and(|end| end <= now);
                let over = keys.iter().filter(is_over).map(|key| key.kid.clone());
                (over.collect(), None)
            }
        };
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let (mut read, mut last) = (0, None);
        let records = API_TOKENS.scan(from, &[], start.as_deref(), Order::Ascending);
        for entry in records.take(budget) {
            let (key, token) = entry?;
            if !has_ended(&token, now) {
                free.retain(|kid| {
                    let key = keys.iter().find(|key| key.kid == *kid);
                    key.is_some_and(|key| !key.may_have_signed(&token))
                });
            }
            (read, last) = (read + 1, Some(key));
        }
        if read == budget {
            self.pass = Some((free, last));
            return Ok(Vec::new());
        }
        // Others may have retired them in between, or let them sign again.
        let is_over = |kid: &String| {
            let key = keys.iter().find(|key| key.kid == *kid);
            key.is_some_and(|key| key.logins_until().is_some())
        };
        Ok(free.into_iter().filter(is_over).collect())
    }
}
