//! Signing in: logins, the conversations that lead to them, and what slows an attacker down.
//!
//! Owns: login records (a signed-in stay on one device), conversations with backends and their
//! state between steps, the throttle. Does not: know HTTP, hash or check passwords, decide which
//! account an identity leads to (`account`).
//!
//! **Invariants:** every login has a new id; a login that ended is in the revocation index before
//! its end is acknowledged; an attempt is counted before a backend is asked.

pub mod conversation;
mod desk;
pub mod device;
mod ending;
mod entry;
mod gone;
mod guesses;
#[cfg(test)]
mod house;
mod issuer;
mod outcome;
mod pending;
mod record;
mod tally;
pub mod throttle;
pub mod ticket;

use crate::{
    account::{self, Account, AccountError},
    audit::{Entry, Event},
    backend::Instance,
    clock::Timestamp,
    id::{LoginId, TokenId, Uid},
    live::Live,
    secret::Secret,
    store::{KnownTable, Order, Read, StoreError, Table, Tx},
    token::{
        Claims, Scopes, TokenUse,
        grant::{self, NewGrant},
    },
};

pub(crate) use desk::Waiting;
pub use desk::{Away, Desk};
pub use ending::{EndedAll, end_everything};
pub(crate) use entry::origin;
#[cfg(any(test, fuzzing))]
pub(crate) use entry::taken_over;
pub use gone::{end_gone, end_resting_on};
pub(crate) use issuer::has_login;
pub use issuer::{ISSUER_SESSIONS, end_by_issuer};
pub use outcome::{Guest, Progress, ReturnError, SignInError, SignedIn, Visit};
pub use record::Login;
pub use throttle::familiar;

/// Logins by account and id.
pub const LOGINS: Table<(Uid, LoginId), Login> = Table::new(4, "logins");

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    let mut all = vec![LOGINS.known(), ISSUER_SESSIONS.known()];
    all.extend(ticket::tables());
    all.extend(device::tables());
    all.push(throttle::SAVED.known());
    all
}

/// Where a login comes from and who vouched.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The configured backend.
    pub backend: String,
    /// The plugin it is an instance of (`provider` claim).
    pub provider: String,
    /// Issuer and subject of the identity.
    pub identity: (String, String),
    /// The issuer's own id of the session it was vouched for in.
    pub session: Option<String>,
    /// The client's address.
    pub address: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// A client that wants to refresh names itself.
    pub client_id: Option<String>,
    /// The turn at which what vouches was still good ([`Guest::turn`]).
    pub turn: u64,
}

/// What stands in place of a backend where a magic link signed in.
pub const MAGIC_LINK: &str = "magic-link";

impl Origin {
    /// A login through a magic link, on a server of this mode.
    pub fn magic_link(guest: Guest, mode: String) -> Self {
        Self {
            backend: MAGIC_LINK.to_owned(),
            provider: mode,
            identity: (String::new(), String::new()),
            session: None,
            address: guest.address.to_string(),
            user_agent: guest.user_agent,
            client_id: None,
            turn: guest.turn,
        }
    }
}

/// How long things last and who issues them.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    /// Seconds a login's own access token lasts.
    pub access: u64,
    /// Seconds an access token of a refresh lasts.
    pub refreshed: u64,
    /// Seconds after which a grant ends whatever happens.
    pub grant: u64,
    /// The `iss` claim.
    pub issuer: Box<str>,
    /// The `aud` claim.
    pub audience: Box<str>,
}

impl Lifetimes {
    /// The same for logins by `backend`, which may have a lifetime of their own.
    pub(crate) fn of(&self, backend: &Instance) -> Self {
        Self {
            access: backend.session_ttl().unwrap_or(self.access),
            ..self.clone()
        }
    }
}

/// A login that began: what the caller signs and hands out after the commit.
#[derive(Debug)]
pub struct Established {
    /// Who.
    pub account: Account,
    /// The claims of its access token.
    pub claims: Claims<'static>,
    /// Its refresh token, when a client asked for one.
    pub refresh_token: Option<Secret<String>>,
}

/// Begins a login of the account.
///
/// # Errors
/// [`AccountError::Disabled`] and [`AccountError::NotFound`].
pub fn establish(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    origin: Origin,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Result<Established, AccountError> {
    begin(live, tx, uid, origin, None, lifetimes, now)
}

/// Begins a login by which a client acts for the account, within `scope`. Its tokens name the client,
/// and last as long as those of a refresh.
///
/// # Errors
/// As [`establish`].
pub fn delegate(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    origin: Origin,
    scope: Scopes,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Result<Established, AccountError> {
    begin(live, tx, uid, origin, Some(scope), lifetimes, now)
}

fn begin(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    origin: Origin,
    scope: Option<Scopes>,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Result<Established, AccountError> {
    let client_id = origin.client_id.clone();
    let access = match scope {
        None => lifetimes.access,
        Some(_) => lifetimes.refreshed.min(lifetimes.grant),
    };
    let actor = origin.client_id.clone().filter(|_| scope.is_some());
    // The password that was shown is another one now.
    if live.accounts.has_turned_since(uid, origin.turn) {
        return Err(AccountError::Disabled);
    }
    let account = account::record_login(live, tx, uid, now)?;
    let sid = LoginId::random();
    if let Some(session) = &origin.session {
        issuer::note(tx, &origin, session, uid, &sid)?;
    }
    let (expires_at, grant, refresh_token) = match origin.client_id {
        None => (now.plus_seconds(access), None, None),
        Some(client_id) => {
            let expires_at = now.plus_seconds(lifetimes.grant);
            let new = NewGrant {
                uid: *uid,
                sid,
                client_id,
                scope,
                expires_at,
            };
            let (id, token) = grant::issue(live, tx, new, now)?;
            (expires_at, Some(id), Some(token))
        }
    };
    let claims = Claims {
        issuer: lifetimes.issuer.to_string().into(),
        audience: lifetimes.audience.to_string().into(),
        subject: account.name.as_str().to_owned().into(),
        uid: *uid,
        sid,
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: Some(now.plus_seconds(access)),
        provider: origin.provider.into(),
        token_use: TokenUse::Access,
        scope,
        grant,
        client_id: actor.map(Into::into),
    };
    let login = Login {
        created_at: now,
        expires_at: expires_at.max(now.plus_seconds(access)),
        backend: origin.backend,
        identity: origin.identity,
        address: origin.address,
        user_agent: origin
            .user_agent
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect(),
        grant,
        client_id,
    };
    LOGINS.put(tx, &(*uid, sid), &login)?;
    let accepted = Entry::new(Event::LoginAccepted)
        .account(*uid, account.name.as_str())
        .login(&sid)
        .backend(&login.backend)
        .by_themselves();
    live.note(tx, accepted)?;
    Ok(Established {
        account,
        claims,
        refresh_token,
    })
}

/// Ends one login: its tokens are refused from the commit on. True when there was one.
///
/// # Errors
/// Only of the store.
pub fn end(live: &Live, tx: &mut Tx<'_>, uid: &Uid, sid: &LoginId) -> Result<bool, StoreError> {
    let Some(login) = LOGINS.get(tx, &(*uid, *sid))? else {
        return Ok(false);
    };
    finish(live, tx, uid, sid, &login)?;
    let ended = Entry::new(Event::LoginEnded).login(sid);
    live.note_of(tx, uid, ended.backend(&login.backend))?;
    Ok(true)
}

fn finish(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    sid: &LoginId,
    login: &Login,
) -> Result<(), StoreError> {
    LOGINS.delete(tx, &(*uid, *sid))?;
    live.revoke(tx, *sid.as_bytes(), Some(login.expires_at))?;
    if let Some(grant) = login.grant {
        grant::forget(tx, &grant)?;
    }
    Ok(())
}

/// Ends all logins of the account but `keep`, and what they have left to begin others with. Says how
/// many there were.
///
/// # Errors
/// Only of the store.
pub fn end_all(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    keep: Option<&LoginId>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    pending::void(tx, uid)?;
    let mut ended = 0;
    for (sid, login) in list(tx, uid)? {
        if keep != Some(&sid) {
            finish(live, tx, uid, &sid, &login)?;
            ended += usize::from(now < login.expires_at);
        }
    }
    if ended > 0 {
        let all = Entry::new(Event::LoginEnded).count(ended as u64);
        live.note_of(tx, uid, all)?;
    }
    Ok(ended)
}

/// The logins of the account, expired ones not yet swept included.
///
/// # Errors
/// Only of the store.
pub fn list(from: &impl Read, uid: &Uid) -> Result<Vec<(LoginId, Login)>, StoreError> {
    LOGINS
        .scan(from, uid.as_bytes(), None, Order::Ascending)
        .map(|entry| {
            let (key, login) = entry?;
            Ok((login_id(&key)?, login))
        })
        .collect()
}

fn login_id(key: &[u8]) -> Result<LoginId, StoreError> {
    let half = key
        .get(16..32)
        .and_then(|half| <[u8; 16]>::try_from(half).ok());
    half.map(LoginId::from_bytes)
        .ok_or_else(|| LOGINS.corrupt(key))
}
