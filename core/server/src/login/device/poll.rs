//! The device's side of a device grant: polling, and the one exchange for tokens.
//!
//! **Invariant:** the grant's record goes in the transaction that begins the login: of any number of
//! polls at once, one is answered.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{AT_MOST, DEVICES, Decision, Device, INTERVAL, device_key};
use crate::{
    account::AccountError,
    audit::Scene,
    clock::Timestamp,
    live::Live,
    login::{Desk, Established, Lifetimes, Origin, SignedIn, delegate, ticket::Approval},
    store::{Read, StoreError, Tx},
    token::Scope,
};

/// How much sooner than the interval a poll may come: networks are not punctual.
const LEEWAY_MILLIS: u64 = 500;

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
pub(super) fn exchange(
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
        // An approval that was ended is no approval any more: see `pending`.
        turn: u64::MAX,
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
        scene: Scene,
    ) -> Result<Result<SignedIn, Polled>, StoreError> {
        let now = scene.at;
        let (live, lifetimes) = (self.live.by(scene), self.lifetimes.clone());
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

/// When each device grant that waits was last polled for. In memory: a restart forgives.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Pace {
    /// Notes a poll, and says whether it comes too soon after the last one.
    pub fn is_too_soon(&self, key: [u8; 32], now: Timestamp) -> bool {
        let is_recent = |last| now.is_near(last, INTERVAL * 1000 - LEEWAY_MILLIS);
        let mut polls = self.0.lock();
        if polls.len() >= AT_MOST && !polls.contains_key(&key) {
            polls.retain(|_, last| is_recent(*last));
        }
        polls.insert(key, now).is_some_and(is_recent)
    }
}
