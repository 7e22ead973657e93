//! Device grants: how something without a browser gets to act for a person who approves it in
//! theirs (RFC 8628; CONTRACT section 5).
//!
//! Owns: what was asked for, by whom and from where; the decision; the one exchange for tokens.
//! Does not: know HTTP; decide who the person is; count wrong codes (the desk's throttle does).
//!
//! A device grant goes `waiting → approved → exchanged`, or `waiting → denied`, and is over
//! [`LIFETIME`] seconds after it was asked for, wherever it stands.
//!
//! **Invariants:** only keyed hashes of the device code and the user code are stored; a grant is
//! decided once and exchanged once; it is approved only by a login that began after it was asked
//! for (THREATS A4); it outlives a restart; the number of them is bounded, a network gets
//! [`PER_MINUTE`] a minute, and none is ever dropped for another.

mod poll;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{throttle::network, ticket::Approval};
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    live::Live,
    secret::Secret,
    store::{KnownTable, Order, Read, Record, StoreError, Table, Tx},
    sweep::Page,
    token::hash::{self, Kind},
};

pub use poll::{Pace, Polled, poll};

/// Seconds a device grant waits for its person (`expires_in`).
pub const LIFETIME: u64 = 600;
/// Seconds between two polls (`interval`).
pub const INTERVAL: u64 = 5;
/// Device grants a network may ask for in a minute.
pub const PER_MINUTE: usize = 10;
/// The client of a request that names none.
pub const UNNAMED_CLIENT: &str = "device";

/// Device grants at a time. A network has at most 200 of them.
const AT_MOST: usize = 10_000;
/// Seconds after which it is forgotten: a late poll still hears that it has expired.
const REMEMBERED: u64 = 2 * LIFETIME;

/// Device grants by the keyed hash of the device code.
pub(super) const DEVICES: Table<[u8; 32], Device> = Table::new(40, "device-grants");
/// The device grant of each user code that waits for a decision.
pub(super) const CODES: Table<[u8; 32], [u8; 32]> = Table::new(41, "device-user-codes");
/// All device grants in the order they were asked for, decided ones too: what is counted and swept.
pub(super) const ASKED: Table<(Timestamp, [u8; 32]), Asked> = Table::new(42, "device-requests");

/// The tables of this module.
pub(super) fn tables() -> [KnownTable; 3] {
    [DEVICES.known(), CODES.known(), ASKED.known()]
}

/// Something that asked to act for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// When it asked.
    pub created_at: Timestamp,
    /// What it calls itself.
    pub client_id: Option<String>,
    /// From where.
    pub address: String,
    /// Its `User-Agent`.
    pub user_agent: String,
    pub(super) decision: Decision,
    code: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Decision {
    Waiting,
    Approved(Approval),
    Denied,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    network: u128,
}

impl Record for Device {
    const VERSION: u8 = 1;
}

impl Record for Asked {
    const VERSION: u8 = 1;
}

impl Device {
    /// The client's name, given or not.
    pub fn client(&self) -> &str {
        self.client_id.as_deref().unwrap_or(UNNAMED_CLIENT)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.created_at.plus_seconds(LIFETIME)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub user_agent: String,
    /// What it calls itself.
    pub client_id: Option<String>,
}

/// A device grant as its device gets it.
#[derive(Debug)]
pub struct Issued {
    /// What the device polls with.
    pub device_code: Secret<String>,
    /// What the person types or compares.
    pub user_code: String,
}

/// Too many were asked for: try again in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Whether another one may be asked for from `address`. Looked up without writing, so that a flood
/// does not reach the writer.
///
/// # Errors
/// Only of the store; [`TooMany`] is a value.
pub fn has_room(
    from: &impl Read,
    address: IpAddr,
    now: Timestamp,
) -> Result<Result<(), TooMany>, StoreError> {
    let network = network(address);
    let (mut all, mut own) = (0, 0);
    for entry in ASKED.scan(from, &[], None, Order::Descending) {
        let (key, asked) = entry?;
        let at = asked_at(&key)?;
        all += 1;
        own += usize::from(asked.network == network && now.is_near(at, 60_000));
        if own >= PER_MINUTE || all >= AT_MOST {
            return Ok(Err(TooMany));
        }
    }
    Ok(Ok(()))
}

/// Notes that something asks to act for whoever will approve it.
///
/// # Errors
/// Only of the store; [`TooMany`] is a value.
pub fn ask(
    live: &Live,
    tx: &mut Tx<'_>,
    applicant: Applicant,
    now: Timestamp,
) -> Result<Result<Issued, TooMany>, StoreError> {
    if has_room(tx, applicant.address, now)?.is_err() {
        return Ok(Err(TooMany));
    }
    let device_code = hash::generate();
    let key = device_key(live, device_code.expose());
    let (user_code, code) = loop {
        let user_code = hash::user_code();
        let code = code_key(live, &user_code);
        if !CODES.contains(tx, &code)? {
            break (user_code, code);
        }
    };
    let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(256).collect();
    let device = Device {
        created_at: now,
        client_id: applicant.client_id,
        address: applicant.address.to_string(),
        user_agent: cut(&applicant.user_agent),
        decision: Decision::Waiting,
        code,
    };
    let network = network(applicant.address);
    DEVICES.put(tx, &key, &device)?;
    CODES.put(tx, &code, &key)?;
    ASKED.put(tx, &(now, key), &Asked { network })?;
    Ok(Ok(Issued {
        device_code,
        user_code,
    }))
}

/// The device grant that waits under the code somebody typed.
///
/// # Errors
/// Only of the store.
pub fn waiting(
    live: &Live,
    from: &impl Read,
    typed: &str,
    now: Timestamp,
) -> Result<Option<Device>, StoreError> {
    Ok(find(live, from, typed, now)?.map(|(_, device)| device))
}

fn find(
    live: &Live,
    from: &impl Read,
    typed: &str,
    now: Timestamp,
) -> Result<Option<([u8; 32], Device)>, StoreError> {
    let Some(code) = normal(typed) else {
        return Ok(None);
    };
    let Some(key) = CODES.get(from, &code_key(live, &code))? else {
        return Ok(None);
    };
    let is_waiting = |device: &Device| device.decision == Decision::Waiting && !device.is_over(now);
    Ok(DEVICES
        .get(from, &key)?
        .filter(is_waiting)
        .map(|device| (key, device)))
}

/// What a decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It counts.
    Done,
    /// No device grant waits under this code.
    Unknown,
    /// The login that approves is older than the request: sign in again first.
    Stale,
}

/// Approves the device grant that waits under a code, for a login that began at `since`.
///
/// # Errors
/// Only of the store.
pub fn approve(
    live: &Live,
    tx: &mut Tx<'_>,
    typed: &str,
    approval: Approval,
    since: Timestamp,
    now: Timestamp,
) -> Result<Decided, StoreError> {
    let Some((key, device)) = find(live, tx, typed, now)? else {
        return Ok(Decided::Unknown);
    };
    if since < device.created_at {
        return Ok(Decided::Stale);
    }
    decide(live, tx, &key, device, Decision::Approved(approval))
}

/// Denies the device grant that waits under a code.
///
/// # Errors
/// Only of the store.
pub fn deny(
    live: &Live,
    tx: &mut Tx<'_>,
    typed: &str,
    now: Timestamp,
) -> Result<Decided, StoreError> {
    match find(live, tx, typed, now)? {
        Some((key, device)) => decide(live, tx, &key, device, Decision::Denied),
        None => Ok(Decided::Unknown),
    }
}

fn decide(
    live: &Live,
    tx: &mut Tx<'_>,
    key: &[u8; 32],
    mut device: Device,
    decision: Decision,
) -> Result<Decided, StoreError> {
    CODES.delete(tx, &device.code)?;
    let event = match decision {
        Decision::Approved(_) => Event::DeviceApproved,
        _ => Event::DeviceDenied,
    };
    let asked = format!("{}, asked for from {}", device.client(), device.address);
    live.note(tx, Entry::new(event).detail(asked))?;
    device.decision = decision;
    DEVICES.put(tx, key, &device)?;
    Ok(Decided::Done)
}

/// Those asked for so long ago that they are forgotten, oldest first, up to `budget`.
///
/// # Errors
/// Only of the store.
pub(crate) fn look(
    from: &impl Read,
    start: Option<&[u8]>,
    budget: usize,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let mut past = Vec::new();
    for entry in ASKED.scan(from, &[], start, Order::Ascending).take(budget) {
        let (key, _) = entry?;
        if now < asked_at(&key)?.plus_seconds(REMEMBERED) {
            return Ok(Page { past, next: None });
        }
        past.push(key);
    }
    let next = past.last().cloned().filter(|_| past.len() == budget);
    Ok(Page { past, next })
}

/// Forgets those of them that are long over.
///
/// # Errors
/// Only of the store.
pub(crate) fn forget(
    tx: &mut Tx<'_>,
    entries: &[Vec<u8>],
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for entry in entries {
        if now < asked_at(entry)?.plus_seconds(REMEMBERED) {
            continue;
        }
        let key = entry.last_chunk::<32>().copied();
        let key = key.ok_or_else(|| ASKED.corrupt(entry))?;
        if let Some(device) = DEVICES.get(tx, &key)? {
            CODES.delete(tx, &device.code)?;
            DEVICES.delete(tx, &key)?;
        }
        count += usize::from(ASKED.delete_at(tx, entry)?);
    }
    Ok(count)
}

fn asked_at(entry: &[u8]) -> Result<Timestamp, StoreError> {
    let millis = entry.first_chunk::<8>().copied().map(u64::from_be_bytes);
    millis
        .map(Timestamp::from_millis)
        .ok_or_else(|| ASKED.corrupt(entry))
}

fn device_key(live: &Live, device_code: &str) -> [u8; 32] {
    live.hasher.hash(Kind::DeviceCode, device_code.as_bytes())
}

fn code_key(live: &Live, user_code: &str) -> [u8; 32] {
    live.hasher.hash(Kind::UserCode, user_code.as_bytes())
}

/// A user code as it was shown, from how somebody typed it: any letter case, any spacing
/// (RFC 8628 section 6.1). Nothing when it cannot be one.
pub fn normal(typed: &str) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let letters: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = letters.len() == 8 && letters.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| format!("{}-{}", &letters[..4], &letters[4..]))
}

#[cfg(test)]
mod tests;
