//! Tokens: the claim format, signing keys, issuing, verifying, revoking, API tokens, grants.
//!
//! Owns: everything about a token but who may have one. Does not: know HTTP, decide on accounts.
//!
//! **Invariants:** a request is decided without a disk read; a revocation is in the index before
//! it is acknowledged and beats the cache at once; the revocation table is what the index is
//! rebuilt from, and it holds only what is revoked and unexpired.

pub mod api;
mod claims;
pub mod grant;
pub mod hash;
mod index;
mod keyring;
mod parse;
mod scope;
#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    store::{Order, Read, Record, StoreError, Table, Tx},
};

pub use claims::{Claims, TokenUse};
pub use index::{AccountIndex, AccountState, RevocationIndex};
pub use keyring::{Keyring, KeyringError, SigningKey};
pub use scope::{Scope, Scopes, UnknownScope};
pub use verify::{Refusal, VerifiedToken, Verifier};

/// What is revoked and not expired: the ids of logins, API tokens and grants.
pub const REVOCATIONS: Table<[u8; 16], Revocation> = Table::new(5, "revocations");

/// Until when an id is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// After this, tokens are refused for their age. Nothing: for ever.
    pub expires_at: Option<Timestamp>,
}

impl Record for Revocation {
    const VERSION: u8 = 1;
}

/// Stores a revocation. Use [`Live::revoke`](crate::live::Live::revoke), which keeps memory in step.
///
/// # Errors
/// Only of the store.
pub fn revoke(
    tx: &mut Tx<'_>,
    id: [u8; 16],
    expires_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    REVOCATIONS.put(tx, &id, &Revocation { expires_at })
}

/// Removes stored revocations the index has forgotten.
///
/// # Errors
/// Only of the store.
pub fn forget(tx: &mut Tx<'_>, ids: &[[u8; 16]]) -> Result<(), StoreError> {
    for id in ids {
        REVOCATIONS.delete(tx, id)?;
    }
    Ok(())
}

/// The index of everything stored as revoked.
///
/// # Errors
/// Only of the store.
pub fn load_revocations(from: &impl Read) -> Result<RevocationIndex, StoreError> {
    let index = RevocationIndex::default();
    for entry in REVOCATIONS.scan(from, &[], None, Order::Ascending) {
        let (key, revocation) = entry?;
        let id = <[u8; 16]>::try_from(&key[..]).map_err(|_| REVOCATIONS.corrupt(&key))?;
        index.insert(id, revocation.expires_at);
    }
    Ok(index)
}
