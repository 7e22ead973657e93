//! What a login leaves behind that begins other logins: links and approvals not used yet.
//!
//! **Invariant:** they end with everything that acts for their account, so that nobody who is thrown
//! out comes back by what they made before. What was ended makes no new ones: see `account::still_acts`.

use super::{
    device::{DEVICES, Decision},
    ticket,
};
use crate::{
    account::MAGIC_LINKS,
    id::Uid,
    store::{Order, StoreError, Tx},
};

/// Takes back what was made or approved for the account. Walks all that is open on the server:
/// little, and seldom.
pub(super) fn void(tx: &mut Tx<'_>, uid: &Uid) -> Result<(), StoreError> {
    let mut links = Vec::new();
    for entry in MAGIC_LINKS.scan(tx, &[], None, Order::Ascending) {
        let (key, link) = entry?;
        if link.uid == *uid {
            links.push(hash(&key, || MAGIC_LINKS.corrupt(&key))?);
        }
    }
    let (mut tickets, mut devices) = (Vec::new(), Vec::new());
    for entry in ticket::TICKETS.scan(tx, &[], None, Order::Ascending) {
        let (key, ticket) = entry?;
        if ticket.approved.is_some_and(|by| by.uid == *uid) {
            tickets.push(hash(&key, || ticket::TICKETS.corrupt(&key))?);
        }
    }
    for entry in DEVICES.scan(tx, &[], None, Order::Ascending) {
        let (key, mut device) = entry?;
        if matches!(&device.decision, Decision::Approved(by) if by.uid == *uid) {
            device.decision = Decision::Denied;
            devices.push((hash(&key, || DEVICES.corrupt(&key))?, device));
        }
    }
    for link in links {
        MAGIC_LINKS.delete(tx, &link)?;
    }
    for ticket in tickets {
        ticket::TICKETS.delete(tx, &ticket)?;
    }
    for (key, device) in devices {
        DEVICES.put(tx, &key, &device)?;
    }
    Ok(())
}

fn hash(key: &[u8], corrupt: impl Fn() -> StoreError) -> Result<[u8; 32], StoreError> {
    key.try_into().map_err(|_| corrupt())
}
