//! Tickets: how a command line gets a login that its person begins in a browser (CONTRACT
//! section 6).
//!
//! A ticket is two secrets: the one the command line polls with, and the code in the link it
//! opens. Whoever is sent the link of somebody else's ticket sees where it was asked for and has
//! to approve it; the link alone yields nothing (THREATS O13).
//!
//! **Invariants:** only keyed hashes are stored; a ticket is approved by one account and redeemed
//! once; it outlives a restart and nothing else; their number is bounded, and a flood from one
//! network stops only that network.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Desk, Established, Lifetimes, Origin, SignedIn, establish, throttle::network};
use crate::{
    account::AccountError,
    audit::{Entry, Event, Scene},
    clock::Timestamp,
    id::Uid,
    live::Live,
    secret::Secret,
    store::{KnownTable, Order, Read, Record, StoreError, Table, Tx},
    token::{
        grant::CLI_CLIENT,
        hash::{self, Kind},
    },
};

/// Seconds a ticket lasts.
pub const LIFETIME: u64 = 600;

/// Tickets of one network at a time, and of all.
const PER_NETWORK: usize = 32;
const AT_MOST: usize = 4096;

/// Open tickets by the keyed hash of the secret they are polled with.
pub const TICKETS: Table<[u8; 32], Ticket> = Table::new(26, "tickets");
/// The ticket of each link code.
pub(super) const CODES: Table<[u8; 32], [u8; 32]> = Table::new(27, "ticket-codes");

/// The tables of this module.
pub(super) fn tables() -> [KnownTable; 2] {
    [TICKETS.known(), CODES.known()]
}

/// A command line that waits for its person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// When it was asked for.
    pub created_at: Timestamp,
    /// From where.
    pub address: String,
    /// What the client called itself.
    pub user_agent: String,
    /// What the terminal and the page both show.
    pub user_code: String,
    /// Who approved it.
    pub approved: Option<Approval>,
    code: [u8; 32],
    network: u128,
}

/// Who approved a ticket, and what vouched for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The account.
    pub uid: Uid,
    /// The backend of the login that approved.
    pub backend: String,
    /// Its plugin.
    pub provider: String,
    /// Its identity: issuer and subject.
    pub identity: (String, String),
}

impl Record for Ticket {
    const VERSION: u8 = 1;
}

impl Record for [u8; 32] {
    const VERSION: u8 = 1;
}

impl Ticket {
    /// Whether it is worth nothing any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at()
    }

    /// From when on it is worth nothing.
    pub fn ends_at(&self) -> Timestamp {
        self.created_at.plus_seconds(LIFETIME)
    }

    /// Where a login by it comes from.
    fn origin(self, approval: Approval) -> Origin {
        Origin {
            backend: approval.backend,
            provider: approval.provider,
            identity: approval.identity,
            session: None,
            address: self.address,
            user_agent: self.user_agent,
            client_id: Some(CLI_CLIENT.to_owned()),
            // An approval that was ended is no approval any more: see `pending`.
            turn: u64::MAX,
        }
    }
}

/// A ticket as its command line gets it.
#[derive(Debug)]
pub struct Issued {
    /// What to poll with.
    pub secret: Secret<String>,
    /// What goes into the link.
    pub code: Secret<String>,
    /// What both sides show.
    pub user_code: String,
}

/// Too many are open: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Opens a ticket.
///
/// # Errors
/// Only of the store; [`TooMany`] is a value, so that what was swept is committed.
pub fn issue(
    live: &Live,
    tx: &mut Tx<'_>,
    address: IpAddr,
    user_agent: &str,
    now: Timestamp,
) -> Result<Result<Issued, TooMany>, StoreError> {
    let network = network(address);
    let open: Vec<_> = TICKETS
        .scan(tx, &[], None, Order::Ascending)
        .collect::<Result<_, _>>()?;
    let (mut all, mut own) = (0, 0);
    for (key, ticket) in open {
        if ticket.is_over(now) {
            TICKETS.delete_at(tx, &key)?;
            CODES.delete(tx, &ticket.code)?;
        } else {
            all += 1;
            own += usize::from(ticket.network == network);
        }
    }
    if own >= PER_NETWORK || all >= AT_MOST {
        return Ok(Err(TooMany));
    }
    let (secret, code) = (hash::generate(), hash::generate());
    let user_code = hash::user_code();
    let key = live.hasher.hash(Kind::Ticket, secret.expose().as_bytes());
    let code_hash = live.hasher.hash(Kind::TicketCode, code.expose().as_bytes());
    let ticket = Ticket {
        created_at: now,
        address: address.to_string(),
        user_agent: user_agent
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect(),
        user_code: user_code.clone(),
        approved: None,
        code: code_hash,
        network,
    };
    TICKETS.put(tx, &key, &ticket)?;
    CODES.put(tx, &code_hash, &key)?;
    Ok(Ok(Issued {
        secret,
        code,
        user_code,
    }))
}

/// The open ticket a link leads to.
///
/// # Errors
/// Only of the store.
pub fn by_code(
    live: &Live,
    from: &impl Read,
    code: &str,
    now: Timestamp,
) -> Result<Option<Ticket>, StoreError> {
    Ok(find(live, from, code, now)?.map(|(_, ticket)| ticket))
}

fn find(
    live: &Live,
    from: &impl Read,
    code: &str,
    now: Timestamp,
) -> Result<Option<([u8; 32], Ticket)>, StoreError> {
    let code = live.hasher.hash(Kind::TicketCode, code.as_bytes());
    let Some(key) = CODES.get(from, &code)? else {
        return Ok(None);
    };
    let ticket = TICKETS.get(from, &key)?;
    let is_open = |ticket: &Ticket| !ticket.is_over(now) && ticket.approved.is_none();
    Ok(ticket.filter(is_open).map(|ticket| (key, ticket)))
}

/// Approves or, without an approval, refuses the ticket a link leads to. False when there is none.
///
/// # Errors
/// Only of the store.
pub fn decide(
    live: &Live,
    tx: &mut Tx<'_>,
    code: &str,
    approval: Option<Approval>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some((key, mut ticket)) = find(live, tx, code, now)? else {
        return Ok(false);
    };
    CODES.delete(tx, &ticket.code)?;
    let event = match approval {
        Some(_) => Event::CliApproved,
        None => Event::CliDenied,
    };
    let asked = format!("asked for from {}", ticket.address);
    live.note(tx, Entry::new(event).detail(asked))?;
    if approval.is_some() {
        ticket.approved = approval;
        TICKETS.put(tx, &key, &ticket)?;
    } else {
        TICKETS.delete(tx, &key)?;
    }
    Ok(true)
}

/// Deletes what leads from a ticket's link to it.
///
/// # Errors
/// Only of the store.
pub(crate) fn forget_code(tx: &mut Tx<'_>, ticket: &Ticket) -> Result<(), StoreError> {
    CODES.delete(tx, &ticket.code).map(drop)
}

/// What a poll finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nobody has decided yet.
    Pending,
    /// Approved: to be redeemed.
    Approved,
    /// Past its time.
    Expired,
    /// Unknown, refused, taken back or used up.
    Unknown,
}

/// Where the ticket of a polling secret stands. Changes nothing, so that a flood of polls holds no
/// writer up.
///
/// # Errors
/// Only of the store.
pub fn poll(
    live: &Live,
    from: &impl Read,
    secret: &str,
    now: Timestamp,
) -> Result<Polled, StoreError> {
    let ticket = TICKETS.get(from, &key(live, secret))?;
    Ok(ticket.map_or(Polled::Unknown, |ticket| standing(&ticket, now)))
}

fn key(live: &Live, secret: &str) -> [u8; 32] {
    live.hasher.hash(Kind::Ticket, secret.as_bytes())
}

fn standing(ticket: &Ticket, now: Timestamp) -> Polled {
    match ticket.approved {
        _ if ticket.is_over(now) => Polled::Expired,
        None => Polled::Pending,
        Some(_) => Polled::Approved,
    }
}

/// Redeems an approved ticket for a login: the ticket goes in the transaction that begins the login,
/// so of any number of polls at once one is answered, and a failure loses neither. `lasting` says how
/// long a login by a backend lasts.
///
/// # Errors
/// Only of the store; where the ticket stands otherwise is a value.
fn redeem(
    live: &Live,
    tx: &mut Tx<'_>,
    secret: &str,
    lasting: impl FnOnce(&str) -> Lifetimes,
    now: Timestamp,
) -> Result<Result<Established, Polled>, StoreError> {
    let key = key(live, secret);
    let Some(mut ticket) = TICKETS.get(tx, &key)? else {
        return Ok(Err(Polled::Unknown));
    };
    let standing = standing(&ticket, now);
    let Some(approval) = ticket.approved.take() else {
        return Ok(Err(standing));
    };
    if standing != Polled::Approved {
        return Ok(Err(standing));
    }
    TICKETS.delete(tx, &key)?;
    let (uid, lifetimes) = (approval.uid, lasting(&approval.backend));
    match establish(live, tx, &uid, ticket.origin(approval), &lifetimes, now) {
        Ok(established) => Ok(Ok(established)),
        Err(AccountError::Store(error)) => Err(error),
        // Whoever approved may not act any more.
        Err(_) => Ok(Err(Polled::Unknown)),
    }
}

impl Desk {
    /// Redeems an approved ticket, once.
    ///
    /// # Errors
    /// Only of the store; where the ticket stands otherwise is a value.
    pub async fn redeem_ticket(
        &self,
        secret: String,
        scene: Scene,
    ) -> Result<Result<SignedIn, Polled>, StoreError> {
        let (now, live) = (scene.at, self.live.by(scene));
        let (backends, lifetimes) = (Arc::clone(&self.backends), self.lifetimes.clone());
        let lasting = move |name: &str| match backends.get(name) {
            Some(backend) => lifetimes.of(backend),
            None => lifetimes,
        };
        let redeemed = self
            .store
            .write(move |tx| redeem(&live, tx, &secret, lasting, now))
            .await?;
        Ok(redeemed.map(|established| self.hand_out(established)))
    }
}

#[cfg(test)]
mod tests;
