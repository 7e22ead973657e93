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

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Desk, Established, Lifetimes, Origin, SignedIn, delegate, throttle::network, ticket::Approval,
};
use crate::{
    account::AccountError,
    clock::Timestamp,
    live::Live,
    secret::Secret,
    store::{Order, Read, Record, StoreError, Table, Tx},
    token::{
        Scope,
        hash::{self, Kind},
    },
};

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
/// How much sooner than the interval a poll may come: networks are not punctual.
const LEEWAY_MILLIS: u64 = 500;

/// Device grants by the keyed hash of the device code.
const DEVICES: Table<[u8; 32], Device> = Table::new(40, "device-grants");
/// The device grant of each user code that waits for a decision.
const CODES: Table<[u8; 32], [u8; 32]> = Table::new(41, "device-user-codes");
/// All device grants in the order they were asked for, decided ones too: what is counted and swept.
const ASKED: Table<(Timestamp, [u8; 32]), Asked> = Table::new(42, "device-requests");

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
    decision: Decision,
    code: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Decision {
    Waiting,
    Approved(Approval),
    Denied,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
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
        own += usize::from(asked.network == network && now.millis_since(at) < 60_000);
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
    decide(tx, &key, device, Decision::Approved(approval))
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
        Some((key, device)) => decide(tx, &key, device, Decision::Denied),
        None => Ok(Decided::Unknown),
    }
}

fn decide(
    tx: &mut Tx<'_>,
    key: &[u8; 32],
    mut device: Device,
    decision: Decision,
) -> Result<Decided, StoreError> {
    CODES.delete(tx, &device.code)?;
    device.decision = decision;
    DEVICES.put(tx, key, &device)?;
    Ok(Decided::Done)
}

/// What a poll finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nobody has decided yet; by what to remember the poll.
    Pending([u8; 32]),
    /// Approved: to be exchanged.
    Approved,
    /// Denied, or approved by somebody who may not act any more.
    Denied,
    /// Past its time.
    Expired,
    /// Unknown, another client's, or exchanged.
    Unknown,
}

/// Where the device grant of a device code stands. Changes nothing.
///
/// # Errors
/// Only of the store.
pub fn poll(
    live: &Live,
    from: &impl Read,
    device_code: &str,
    client_id: Option<&str>,
    now: Timestamp,
) -> Result<Polled, StoreError> {
    let key = device_key(live, device_code);
    let device = DEVICES.get(from, &key)?;
    Ok(device.map_or(Polled::Unknown, |device| {
        standing(&key, &device, client_id, now)
    }))
}

fn standing(key: &[u8; 32], device: &Device, client_id: Option<&str>, now: Timestamp) -> Polled {
    let is_anothers = match (&device.client_id, client_id) {
        (Some(own), Some(said)) => own != said,
        _ => false,
    };
    if is_anothers {
        return Polled::Unknown;
    }
    match device.decision {
        _ if device.is_over(now) => Polled::Expired,
        Decision::Waiting => Polled::Pending(*key),
        Decision::Approved(_) => Polled::Approved,
        Decision::Denied => Polled::Denied,
    }
}

/// Exchanges an approved device grant for a delegated login: its record and the login's are one
/// transaction, so of any number of polls at once one is answered.
///
/// # Errors
/// Only of the store; where the grant stands otherwise is a value.
fn exchange(
    live: &Live,
    tx: &mut Tx<'_>,
    device_code: &str,
    client_id: Option<&str>,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Result<Result<Established, Polled>, StoreError> {
    let key = device_key(live, device_code);
    let Some(mut device) = DEVICES.get(tx, &key)? else {
        return Ok(Err(Polled::Unknown));
    };
    let standing = standing(&key, &device, client_id, now);
    let Decision::Approved(approval) = device.decision.clone() else {
        return Ok(Err(standing));
    };
    if standing != Polled::Approved {
        return Ok(Err(standing));
    }
    let (uid, origin) = (approval.uid, origin(&device, approval));
    match delegate(
        live,
        tx,
        &uid,
        origin,
        Scope::Sessions.into(),
        lifetimes,
        now,
    ) {
        Ok(established) => {
            DEVICES.delete(tx, &key)?;
            Ok(Ok(established))
        }
        Err(AccountError::Store(error)) => Err(error),
        Err(_) => {
            device.decision = Decision::Denied;
            DEVICES.put(tx, &key, &device)?;
            Ok(Err(Polled::Denied))
        }
    }
}

fn origin(device: &Device, approval: Approval) -> Origin {
    Origin {
        backend: approval.backend,
        provider: approval.provider,
        identity: approval.identity,
        session: None,
        address: device.address.clone(),
        user_agent: device.user_agent.clone(),
        client_id: Some(device.client().to_owned()),
    }
}

impl Desk {
    /// Exchanges an approved device grant for tokens, once.
    ///
    /// # Errors
    /// Only of the store; where the grant stands otherwise is a value.
    pub async fn exchange_device(
        &self,
        device_code: String,
        client_id: Option<String>,
        now: Timestamp,
    ) -> Result<Result<SignedIn, Polled>, StoreError> {
        let (live, lifetimes) = (self.live.clone(), self.lifetimes.clone());
        let exchanged = self
            .store
            .write(move |tx| {
                let client_id = client_id.as_deref();
                exchange(&live, tx, &device_code, client_id, &lifetimes, now)
            })
            .await?;
        Ok(exchanged.map(|established| self.hand_out(established)))
    }
}

/// Forgets up to `budget` device grants that are long over.
///
/// # Errors
/// Only of the store.
pub(crate) fn sweep(tx: &mut Tx<'_>, budget: usize, now: Timestamp) -> Result<(), StoreError> {
    let oldest: Vec<_> = ASKED
        .scan(tx, &[], None, Order::Ascending)
        .take(budget)
        .collect::<Result<_, _>>()?;
    for (entry, _) in oldest {
        if now < asked_at(&entry)?.plus_seconds(REMEMBERED) {
            break;
        }
        let key = entry.last_chunk::<32>().copied();
        let key = key.ok_or_else(|| ASKED.corrupt(&entry))?;
        if let Some(device) = DEVICES.get(tx, &key)? {
            CODES.delete(tx, &device.code)?;
            DEVICES.delete(tx, &key)?;
        }
        ASKED.delete_at(tx, &entry)?;
    }
    Ok(())
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

/// When each device grant that waits was last polled for. In memory: a restart forgives.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Pace {
    /// Notes a poll, and says whether it comes too soon after the last one.
    pub fn is_too_soon(&self, key: [u8; 32], now: Timestamp) -> bool {
        let is_recent = |last: Timestamp| now.millis_since(last) + LEEWAY_MILLIS < INTERVAL * 1000;
        let mut polls = self.0.lock();
        if polls.len() >= AT_MOST && !polls.contains_key(&key) {
            polls.retain(|_, last| is_recent(*last));
        }
        polls.insert(key, now).is_some_and(is_recent)
    }
}

#[cfg(test)]
mod tests;
