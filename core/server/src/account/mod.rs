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

mod admission;
mod identity;
mod invite;
mod magic;
mod name;
mod office;
mod roster;
pub mod swap;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::Uid,
    store::{Record, StoreError, Table},
};

pub use admission::{
    Asserted, EXPECTED, Expectation, Expected, Linking, Mark, PROVEN, Rules, admit, check, expect,
    expected_of, map_admin,
};
pub use identity::{IdentityKey, LinkedIdentity, link, unlink};
pub use invite::{INVITES, Invite, issue_invite, redeem_invite, verify_invite};
pub use magic::{MAGIC_LINKS, MagicLink, issue_magic, redeem_magic};
pub use name::{AccountName, InvalidName, MAX_LENGTH, is_reserved};
pub use office::{Chosen, Office, OfficeError};
pub use roster::{
    by_name, create, delete, list, load_index, record_login, set_admin, set_disabled,
};

/// All accounts by their immutable id.
pub const ACCOUNTS: Table<Uid, Account> = Table::new(1, "accounts");
/// The account of each name.
pub const NAMES: Table<str, Uid> = Table::new(2, "account-names");
/// The account of each linked identity.
pub const IDENTITIES: Table<IdentityKey, LinkedIdentity> = Table::new(3, "identities");
/// The enabled admins: what "the last admin" is decided on, inside the transaction.
pub const ADMINS: Table<Uid, ()> = Table::new(13, "admins");

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

/// Why an account could not be made, changed or reached.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The text is no account name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Another account has the name: choose another.
    #[error("username already taken")]
    NameTaken,
    /// Another account has the identity.
    #[error("this identity belongs to another account")]
    IdentityTaken,
    /// No such account.
    #[error("not found")]
    NotFound,
    /// The account is disabled.
    #[error("this account is disabled")]
    Disabled,
    /// Would leave no enabled admin: promote somebody else first.
    #[error("cannot delete the last admin; make somebody else an admin first")]
    LastAdmin,
    /// Unknown, used or past its time.
    #[error("invite invalid or expired")]
    Invite,
    /// Unknown, used or past its time.
    #[error("magic link invalid or expired")]
    Magic,
    /// The server has been claimed already.
    #[error("setup already completed")]
    AlreadySetUp,
    /// The backend's rule does not admit an identity that is not linked yet.
    #[error("this identity has no account on this server; ask an administrator for an invite")]
    NotAdmitted,
    /// The backend asserted a name nobody can have.
    #[error("Reserved user name '{0}'")]
    Reserved(String),
    /// The e-mail address is of a domain the backend's rules do not admit.
    #[error("Email domain '{0}' is not permitted on this server")]
    Domain(String),
    /// The person is in none of the groups the backend's rules admit.
    #[error("your groups do not permit signing in to this server")]
    Group,
    /// The plugin's own data changed meanwhile.
    #[error("the change collided with another one; try again")]
    Collision,
    /// The store could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}
