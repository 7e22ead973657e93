//! A data directory as after years of use, written with the server's own tables.

use std::path::Path;

use omnigent_server::{
    account::{self, AccountName},
    clock::{Clock, Timestamp},
    id::{LoginId, Uid, random_bytes},
    live::Live,
    login::{LOGINS, Login},
    session,
    store::{Options, Store, StoreError},
    token,
};

use crate::server::Outcome;

const BATCH: usize = 5_000;

/// How much there is of everything.
#[derive(Clone, Copy, Default)]
pub struct Scale {
    /// Accounts without a password.
    pub accounts: usize,
    /// Sessions, all of one account.
    pub sessions: usize,
    /// Logins, one issued token each.
    pub logins: usize,
    /// Revoked ids.
    pub revoked: usize,
}

/// Adds `scale` to the store in `data`; sessions go to the account called `owner`.
pub fn fill(data: &Path, scale: Scale, owner: &str) -> Outcome<()> {
    let store = Store::open(&data.join("store"), &Options::default())?;
    let live = Live::open(&store, &data.to_owned())?;
    let now = Clock::system().now();
    let owner = account::by_name(&store.reader(), owner).map_err(|e| e.to_string())?.uid;
    in_batches(scale.accounts, |range| {
        let live = live.clone();
        store.write_blocking(move |tx| {
            for i in range {
                let name = AccountName::parse(&format!("user{i:07}@example.com"))?;
                account::create(&live, tx, name, false, None, now)?;
            }
            Ok::<_, account::AccountError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.revoked, |range| {
        store.write_blocking(move |tx| {
            for _ in range {
                token::revoke(tx, random_bytes(), Some(now.plus_seconds(30 * 86_400)))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.logins, |range| {
        store.write_blocking(move |tx| {
            for _ in range {
                LOGINS.put(tx, &(Uid::random(), LoginId::random()), &login(now))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.sessions, |range| {
        store.write_blocking(move |tx| {
            for i in range {
                let at = Timestamp::from_millis(now.millis() - i as u64);
                session::create_plain(tx, owner, "reviewer", &format!("session {i}"), at)?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    store.close();
    Ok(())
}

fn in_batches(count: usize, mut write: impl FnMut(std::ops::Range<usize>) -> Outcome<()>) -> Outcome<()> {
    for start in (0..count).step_by(BATCH) {
        write(start..count.min(start + BATCH))?;
    }
    Ok(())
}

fn login(now: Timestamp) -> Login {
    Login {
        created_at: now,
        expires_at: now.plus_seconds(8 * 3600),
        backend: "local".into(),
        identity: (String::new(), "somebody".into()),
        address: "192.0.2.1".into(),
        user_agent: "bench".into(),
        grant: None,
    }
}
