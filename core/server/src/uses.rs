//! When and from where API tokens were used: noted in memory, written a minute's worth at a time.
//!
//! **Invariant:** a use costs a request one uncontended lock and no disk write; at most
//! [`AT_MOST`] tokens are remembered between two writes.

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;

use crate::{
    clock::Timestamp,
    id::{IdHash, LoginId, Uid},
};

const AT_MOST: usize = 100_000;
const SHARDS: usize = 16;

/// One noted use.
pub(crate) type Use = (Uid, LoginId, Timestamp, IpAddr);

#[derive(Default)]
pub(crate) struct Uses([Mutex<Shard>; SHARDS]);

type Shard = HashMap<LoginId, (Uid, Timestamp, IpAddr), IdHash>;

impl Uses {
    pub(crate) fn note(&self, uid: Uid, sid: LoginId, now: Timestamp, address: IpAddr) {
        let mut shard = self.0[usize::from(sid.as_bytes()[15]) % SHARDS].lock();
        if shard.len() < AT_MOST / SHARDS || shard.contains_key(&sid) {
            shard.insert(sid, (uid, now, address));
        }
    }

    pub(crate) fn take(&self) -> Vec<Use> {
        let taken = self
            .0
            .iter()
            .flat_map(|shard| std::mem::take(&mut *shard.lock()));
        taken
            .map(|(sid, (uid, at, address))| (uid, sid, at, address))
            .collect()
    }
}
