//! The chain itself: entries by number, each with the hash of the one before, and its two ends
//! under a seal.
//!
//! ```text
//! {"seq":7,…,"prev":"<hash of 6>"}        what is hashed, to the letter: SHA-256
//! {"seq":7,…,"prev":"…","hash":"<of 7>"}  what is exported: anybody can check it without a key
//! ```
//!
//! The ends (first and next number, the hash before the first, the hash of the last) are sealed with
//! HMAC-SHA256 under the key of the stored hashes: who can write the store and has no key can
//! neither cut the end off nor write a chain of their own. Who has both can; for them there is the
//! hash one noted elsewhere (`omnigent audit verify --expect`, the webhook, the log).
//!
//! **Invariants:** numbers rise by one and are never used twice; an entry and the ends that take it
//! in are one transaction with what it tells of; a seal that was wrong is noted and stays noted.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Entry, Event, Scene, entry::Written};
use crate::{
    clock::Timestamp,
    store::{Key, Read, Record, StoreError, Table, Tx},
    token::hash::{Hasher, Kind},
};

/// The entries by number.
pub(super) const ENTRIES: Table<Seq, Link> = Table::new(60, "audit");
/// The chain's ends.
pub(super) const ENDS: Table<(), Ends> = Table::new(61, "audit-ends");

/// The number of an entry, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seq(pub(super) u64);

/// Entries in a row that the store proves together.
const RUN: u32 = 12;

impl Key for Seq {
    fn encode(&self, out: &mut Vec<u8>) {
        // The store proves what begins with the same byte as one: that is not to be all of it.
        out.push((self.0 >> RUN).to_le_bytes()[0]);
        self.0.encode(out);
    }
}

/// An entry as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) at: Timestamp,
    /// What is hashed.
    pub(super) body: String,
    pub(super) hash: [u8; 32],
}

impl Record for Link {
    const VERSION: u8 = 1;
}

/// Where the chain begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The number of the oldest entry that is kept.
    pub first: u64,
    /// The hash of the entry before it, which is not kept any more; zeros when there was none.
    pub anchor: [u8; 32],
    /// The number the next entry gets.
    pub next: u64,
    /// The hash of the newest entry.
    pub head: [u8; 32],
    /// From which number on the seal can be relied on again, if it once was wrong.
    pub doubt: Option<u64>,
    pub(super) seal: [u8; 32],
}

impl Record for Ends {
    const VERSION: u8 = 1;
}

impl Ends {
    const fn new() -> Self {
        Self {
            first: 1,
            anchor: [0; 32],
            next: 1,
            head: [0; 32],
            doubt: None,
            seal: [0; 32],
        }
    }

    /// Entries that are kept.
    pub const fn count(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }

    /// The number and the hash of the newest entry, as people note them: `7:<hash>`.
    pub fn newest(&self) -> String {
        format!("{}:{}", self.next.saturating_sub(1), hex::encode(self.head))
    }

    pub(super) fn is_sealed(&self, hasher: &Hasher) -> bool {
        hasher.matches(Kind::Audit, &self.sealed(), &self.seal)
    }

    fn sealed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&self.anchor);
        bytes.extend_from_slice(&self.next.to_be_bytes());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&self.doubt.unwrap_or(0).to_be_bytes());
        bytes
    }

    /// Seals the ends and writes them.
    pub(super) fn put(mut self, hasher: &Hasher, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.seal = hasher.hash(Kind::Audit, &self.sealed());
        ENDS.put(tx, &(), &self)
    }
}

/// The chain's ends; nothing before the first entry.
///
/// # Errors
/// Only of the store.
pub fn ends(from: &impl Read) -> Result<Option<Ends>, StoreError> {
    ENDS.get(from, &())
}

/// The ends to go on from. What somebody did to them is noted, and does not stop anybody.
pub(super) fn open(hasher: &Hasher, tx: &mut Tx<'_>, scene: &Scene) -> Result<Ends, StoreError> {
    let Some(mut ends) = ends(tx)? else {
        let mut ends = Ends::new();
        let began = Entry::new(Event::AuditBegan);
        let began = match tx.initialised() {
            // Or else somebody took the old trail away.
            true => began.detail("on data that is older than it"),
            false => began,
        };
        let by_itself = Scene::system(scene.at);
        add(tx, &mut ends, &by_itself, &began)?;
        return Ok(ends);
    };
    if !ends.is_sealed(hasher) && ends.doubt.is_none() {
        ends.doubt = Some(ends.next);
    }
    Ok(ends)
}

/// Writes an entry and says its number.
pub(super) fn append(
    hasher: &Hasher,
    tx: &mut Tx<'_>,
    scene: &Scene,
    entry: Entry,
) -> Result<u64, StoreError> {
    let mut ends = open(hasher, tx, scene)?;
    let seq = add(tx, &mut ends, scene, &entry)?;
    ends.put(hasher, tx)?;
    Ok(seq)
}

fn add(tx: &mut Tx<'_>, ends: &mut Ends, scene: &Scene, entry: &Entry) -> Result<u64, StoreError> {
    let (seq, at) = (ends.next, rfc3339(scene.at));
    let prev = hex::encode(ends.head);
    let written = Written::new(seq, &at, scene, entry, &prev);
    let unserialisable = |_| StoreError::Unserialisable { table: "audit" };
    let body = serde_json::to_string(&written).map_err(unserialisable)?;
    let hash = hash(&body);
    ENTRIES.put(
        tx,
        &Seq(seq),
        &Link {
            at: scene.at,
            body,
            hash,
        },
    )?;
    ends.next = seq.saturating_add(1);
    ends.head = hash;
    Ok(seq)
}

/// The hash of an entry's text.
pub(super) fn hash(body: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, body.as_bytes()).as_ref());
    hash
}

/// The last moment RFC 3339 has a way to write.
const LAST: u64 = 253_402_300_799_999;

/// A moment as entries say it: in UTC, to the millisecond.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let since = Duration::from_millis(at.millis().min(LAST));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

/// An entry as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The entry as a JSON object on one line, with its hash as the last member.
    pub text: String,
    /// Its hash: with the number it names an entry, also when a backup from before it was restored
    /// and the number is another entry's since.
    pub hash: [u8; 32],
}

impl Line {
    pub(super) fn new(seq: u64, link: &Link) -> Self {
        let body = link.body.strip_suffix('}').unwrap_or(&link.body);
        Self {
            seq,
            at: link.at,
            text: format!("{body},\"hash\":\"{}\"}}", hex::encode(link.hash)),
            hash: link.hash,
        }
    }
}

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Older than this one, newest first. With neither this nor `after`: the newest.
    pub before: Option<u64>,
    /// Newer than this one, oldest first.
    pub after: Option<u64>,
    /// Only of this event.
    pub event: Option<Event>,
    /// Only those that concern this account, or that it did.
    pub account: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub lines: Vec<Line>,
    /// The number to go on from, by the same query; nothing when all have been looked at.
    pub next: Option<u64>,
}

/// Entries looked at for one page: a filter that nothing passes costs no more than that.
const LOOKED_AT: u64 = 50_000;

/// The entries that a query is for.
///
/// # Errors
/// Only of the store.
pub fn page(from: &impl Read, query: &Query) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let Some(ends) = ends(from)? else {
        return Ok(page);
    };
    let is_rising = query.after.is_some();
    let (low, high) = match (query.after, query.before) {
        (Some(after), _) => (ends.first.max(after.saturating_add(1)), ends.next),
        (None, Some(before)) => (ends.first, ends.next.min(before)),
        (None, None) => (ends.first, ends.next),
    };
    let number = |i: u64| if is_rising { low + i } else { high - 1 - i };
    for i in 0..high.saturating_sub(low) {
        let seq = number(i);
        if page.lines.len() == query.limit || i == LOOKED_AT {
            page.next = Some(if is_rising { seq - 1 } else { seq + 1 });
            break;
        }
        // Pruned a moment ago, perhaps.
        let Some(link) = ENTRIES.get(from, &Seq(seq))? else {
            continue;
        };
        if query.matches(&link) {
            page.lines.push(Line::new(seq, &link));
        }
    }
    Ok(page)
}

/// What of an entry is filtered by.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    event: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    account: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    by: Option<std::borrow::Cow<'a, str>>,
}

impl Query {
    fn matches(&self, link: &Link) -> bool {
        let is_in_time = self.since.is_none_or(|since| since <= link.at)
            && self.until.is_none_or(|until| link.at < until);
        if !is_in_time || (self.event.is_none() && self.account.is_none()) {
            return is_in_time;
        }
        let Ok(seen) = serde_json::from_str::<Seen<'_>>(&link.body) else {
            return false;
        };
        let is_of = |account: &String| {
            [seen.account.as_deref(), seen.by.as_deref()].contains(&Some(account.as_str()))
        };
        self.event.is_none_or(|event| seen.event == event.name())
            && self.account.as_ref().is_none_or(is_of)
    }
}
