//! Accounts: our durable record of a person, and the identities that lead to it.
//!
//! Owns: accounts and their names, the linked identities and the rules that link them, invites,
//! magic links, who is an admin. Does not: verify passwords (a backend does), make tokens
//! (`token`), know HTTP.
//!
//! **Invariants:** a name leads to at most one account and a `uid` is never used twice; an
//! identity (backend, issuer, subject) leads to at most one account; as long as any admin exists,
//! at least one admin is enabled; the in-memory [`AccountIndex`](crate::token::AccountIndex) changes after the commit
//! and before the caller hears of it.

mod address;
mod admission;
mod claim;
mod error;
mod identity;
mod invite;
mod magic;
mod mandate;
mod name;
mod office;
mod removal;
mod roster;
mod standing;
pub mod swap;
pub mod tenure;
#[cfg(test)]
mod tests;
mod unnoted;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::Uid,
    store::{KnownTable, Record, Table},
};

pub use address::PROVEN;
pub use admission::{
    Asserted, EXPECTED, Expectation, Expected, Linking, Mark, Rules, admit, expect, expected_of,
    renew,
};
pub use claim::Claim;
pub use error::{AccountError, OfficeError};
pub use identity::{IdentityKey, LinkedIdentity, link, unlink, unlink_all};
pub use invite::{INVITES, Invite, issue_invite, redeem_invite, verify_invite};
pub use magic::{MAGIC_LINKS, MagicLink, issue_magic, redeem_magic};
pub use mandate::{settle as settle_admins, unsettled as unsettled_admins};
pub use name::{AccountName, InvalidName, MAX_LENGTH, is_reserved};
pub use office::{Chosen, Office};
pub use removal::{REMNANTS, Remnant};
pub use roster::{
    by_name, create, delete, list, load_index, record_login, set_admin, set_disabled,
};
pub use standing::{still_acts, still_admin};
pub use unnoted::{are_addresses_noted, note_addresses};

/// All accounts by their immutable id.
pub const ACCOUNTS: Table<Uid, Account> = Table::new(1, "accounts");
/// The account of each name.
pub const NAMES: Table<str, Uid> = Table::new(2, "account-names");
/// The account of each linked identity.
pub const IDENTITIES: Table<IdentityKey, LinkedIdentity> = Table::new(3, "identities");
/// The enabled admins: what "the last admin" is decided on, inside the transaction.
pub const ADMINS: Table<Uid, ()> = Table::new(13, "admins");

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![
        ACCOUNTS.known(),
        NAMES.known(),
        IDENTITIES.known(),
        INVITES.known(),
        MAGIC_LINKS.known(),
        tenure::TENANTS.known(),
        ADMINS.known(),
        EXPECTED.known(),
        PROVEN.known(),
        REMNANTS.known(),
        admission::WAIVED.known(),
        admission::BY_GROUP.known(),
        mandate::BY_LIST.known(),
        unnoted::NOTED.known(),
    ]
}

/// The durable record of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The immutable random id (`uid` claim).
    pub uid: Uid,
    /// What people see (`sub` claim).
    pub name: AccountName,
    /// May administer the server.
    pub is_admin: bool,
    /// May not act: tokens are refused while this holds.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When its person last signed in.
    pub last_login_at: Option<Timestamp>,
    /// The identities that lead here, oldest first.
    pub identities: Vec<IdentityKey>,
}

impl Record for Account {
    const VERSION: u8 = 1;
}

impl Record for Uid {
    const VERSION: u8 = 1;
}
