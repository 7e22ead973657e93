//! What an entry says: the event, whom it concerns, and what else is to be known.
//!
//! **Invariant:** every text is bounded, and none is a secret: callers hand in names of accounts
//! and backends, ids, and words of our own; what somebody typed goes through [`Entry::typed`].

use std::borrow::Cow;

use serde::Serialize;

use super::{Event, Scene, Who};
use crate::id::{LoginId, Uid};

/// Longest text of an entry, in characters.
const LONGEST: usize = 254;

/// An entry on its way into the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) event: Event,
    pub(super) account: Option<(Uid, String)>,
    pub(super) typed: Option<String>,
    pub(super) target: Option<String>,
    pub(super) backend: Option<String>,
    pub(super) reason: Option<Cow<'static, str>>,
    pub(super) detail: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) is_of_newcomer: bool,
}

impl Entry {
    /// That this happened.
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            account: None,
            typed: None,
            target: None,
            backend: None,
            reason: None,
            detail: None,
            count: None,
            is_of_newcomer: false,
        }
    }

    /// The account it concerns.
    #[must_use]
    pub fn account(mut self, uid: Uid, name: &str) -> Self {
        self.account = Some((uid, name.to_owned()));
        self
    }

    /// The name somebody typed, if any: kept only when an account is called that, for people type their
    /// password there.
    #[must_use]
    pub fn typed(mut self, name: &str) -> Self {
        self.typed = match name {
            "" => None,
            name => Some(name.chars().take(LONGEST).collect()),
        };
        self
    }

    /// The account it concerns is also who does it, if that is not known otherwise: somebody who
    /// signs in shows who they are by it.
    #[must_use]
    pub const fn by_themselves(mut self) -> Self {
        self.is_of_newcomer = true;
        self
    }

    /// The login or API token it concerns.
    #[must_use]
    pub fn login(mut self, id: &LoginId) -> Self {
        self.target = Some(id.to_string());
        self
    }

    /// The signing key it concerns.
    #[must_use]
    pub fn key(mut self, kid: &str) -> Self {
        self.target = Some(kid.to_owned());
        self
    }

    /// The backend that vouched, or did not.
    #[must_use]
    pub fn backend(mut self, name: &str) -> Self {
        self.backend = Some(name.to_owned());
        self
    }

    /// Why, in a word of ours.
    #[must_use]
    pub fn reason(mut self, word: &'static str) -> Self {
        self.reason = Some(Cow::Borrowed(word));
        self
    }

    /// What else is to be known. Never what somebody typed, and never what a backend says.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    /// How often, when more than once.
    #[must_use]
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }
}

/// An entry as it is written: one line of JSON, members in this order.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    seq: u64,
    at: &'a str,
    event: &'static str,
    result: &'static str,
    actor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_uid: Option<Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_login: Option<LoginId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_uid: Option<Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<crate::id::RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    prev: &'a str,
}

impl<'a> Written<'a> {
    pub(super) fn new(
        seq: u64,
        at: &'a str,
        scene: &'a Scene,
        entry: &'a Entry,
        prev: &'a str,
    ) -> Self {
        let (mut actor, mut by, mut by_uid, mut by_login) =
            (scene.who.kind(), None, scene.who.uid(), None);
        match &scene.who {
            Who::Account { name, login, .. } => (by, by_login) = (Some(name.as_str()), *login),
            Who::Backend(name) => by = Some(name.as_str()),
            Who::Nobody if entry.is_of_newcomer => {
                if let Some((uid, name)) = &entry.account {
                    (actor, by, by_uid) = ("account", Some(name.as_str()), Some(*uid));
                }
            }
            _ => {}
        }
        // Somebody typed a name, and nobody is called that.
        let unknown = entry.typed.as_ref().map(|_| "unknown");
        let account = entry.account.as_ref().map(|(_, name)| name.as_str());
        Self {
            seq,
            at,
            event: entry.event.name(),
            result: entry.event.result(),
            actor,
            by: by.map(bounded),
            by_uid,
            by_login,
            account: account.or(unknown).map(bounded),
            account_uid: entry.account.as_ref().map(|(uid, _)| *uid),
            target: entry.target.as_deref().map(bounded),
            backend: entry.backend.as_deref().map(bounded),
            address: scene.address,
            agent: scene.agent.as_deref().map(bounded),
            request_id: scene.request,
            reason: entry.reason.as_deref().map(bounded),
            detail: entry.detail.as_deref().map(bounded),
            count: entry.count,
            prev,
        }
    }
}

/// Not too long, and without what would steer a terminal.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.chars().nth(LONGEST).is_none() && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    Cow::Owned(text.chars().take(LONGEST).map(visible).collect())
}
