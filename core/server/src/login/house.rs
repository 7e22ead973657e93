//! Where the tests of logins live: a store with one account, and what is true of it right now.

#![allow(clippy::unwrap_used)]

use crate::{
    account::{self, AccountName, IdentityKey},
    clock::Timestamp,
    id::Uid,
    live::Live,
    store::{Options, Store},
    token::hash::Hasher,
};

pub(super) const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A store in a folder of its own, with the account of somebody called so.
pub(super) fn with_account(
    name: &str,
    identity: Option<IdentityKey>,
) -> (tempfile::TempDir, Store, Live, Uid) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    let live = Live::load(&store, Hasher::new(&[7; 32]), T0).unwrap();
    let (made, name) = (live.clone(), AccountName::parse(name).unwrap());
    let account = store
        .write_blocking(move |tx| account::create(&made, tx, name, false, identity, T0))
        .unwrap();
    (dir, store, live, account.uid)
}
