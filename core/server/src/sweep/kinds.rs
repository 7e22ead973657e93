//! The kinds of records that age, each with its rule.

use super::{Kind, Page, is_past};
use crate::{
    account::{INVITES, Invite, MAGIC_LINKS, MagicLink},
    clock::Timestamp,
    login::{
        self, ISSUER_SESSIONS, LOGINS, Login, device,
        ticket::{self, Ticket},
    },
    store::{Key, Order, Reader, Record, StoreError, Table, Tx},
    token::{
        self, REVOCATIONS, Revocation,
        api::{API_TOKENS, ApiToken},
        grant::{self, GRANTS, Grant},
    },
};

/// Seconds an API token stays in its owner's list after it has expired: so that they see why
/// something stopped working.
const API_TOKENS_STAY: u64 = 30 * 24 * 3600;

/// A kind whose records are past by a rule that looks at the record alone: stated once, for the look
/// and for the second look before the deletion. With `and`, what goes with the record; with `ends`, when
/// the tokens end that could be ended by it alone.
macro_rules! kind {
    ($name:literal, $table:expr, $past:expr) => {
        kind!($name, $table, $past, and | _, _ | Ok(()))
    };
    ($name:literal, $table:expr, $past:expr, and $and:expr) => {
        Kind {
            name: $name,
            look: |from, start, budget, trusted| {
                look($table, from, start, budget, |_, record| {
                    Ok($past(record, trusted))
                })
            },
            forget: |tx, _, keys, trusted| {
                forget($table, tx, keys, |record| $past(record, trusted), $and)
            },
        }
    };
    ($name:literal, $table:expr, $past:expr, and $and:expr, ends $end:expr) => {
        Kind {
            forget: |tx, index, keys, trusted| {
                let mut latest = Timestamp::default();
                let and = |tx: &mut Tx<'_>, record: &_| {
                    latest = latest.max($end(record).unwrap_or_default());
                    $and(tx, record)
                };
                let count = forget($table, tx, keys, |record| $past(record, trusted), and)?;
                token::leave_behind(index, tx, latest)?;
                Ok(count)
            },
            ..kind!($name, $table, $past)
        }
    };
}

/// In this order. What refers to a login comes after logins.
pub(super) const KINDS: [Kind; 9] = [
    kind!(
        "logins",
        LOGINS,
        |login: &Login, trusted| is_past(login.expires_at, trusted),
        and | tx: &mut Tx<'_>,
        login: &Login
            | match login.grant {
                Some(grant) => grant::forget(tx, &grant).map(drop),
                None => Ok(()),
            },
        ends | login: &Login | Some(login.expires_at)
    ),
    kind!("grants", GRANTS, |grant: &Grant, trusted| is_past(
        grant.expires_at,
        trusted
    )),
    Kind {
        name: "sessions at issuers",
        look: |from, start, budget, _| {
            look(ISSUER_SESSIONS, from, start, budget, |key, uid| {
                Ok(!login::has_login(from, uid, key)?)
            })
        },
        forget: |tx, _, keys, _| {
            let mut count = 0;
            for key in keys {
                if let Some(uid) = ISSUER_SESSIONS.get_at(tx, key)?
                    && !login::has_login(tx, &uid, key)?
                {
                    count += usize::from(ISSUER_SESSIONS.delete_at(tx, key)?);
                }
            }
            Ok(count)
        },
    },
    kind!("invites", INVITES, |invite: &Invite, trusted| is_past(
        invite.expires_at,
        trusted
    )),
    kind!("magic links", MAGIC_LINKS, |link: &MagicLink, trusted| {
        is_past(link.expires_at, trusted)
    }),
    kind!(
        "tickets",
        ticket::TICKETS,
        |ticket: &Ticket, trusted| is_past(ticket.ends_at(), trusted),
        and ticket::forget_code
    ),
    Kind {
        name: "device grants",
        look: |from, start, budget, trusted| device::look(from, start, budget, trusted),
        forget: |tx, _, keys, trusted| device::forget(tx, keys, trusted),
    },
    kind!(
        "API tokens",
        API_TOKENS,
        has_gone_stale,
        and | _: &mut Tx<'_>, _: &ApiToken | Ok(()),
        ends | token: &ApiToken | token.expires_at
    ),
    kind!(
        "revocations",
        REVOCATIONS,
        token::is_past,
        and | _: &mut Tx<'_>, _: &Revocation | Ok(()),
        ends | revocation: &Revocation | revocation.expires_at
    ),
];

fn has_gone_stale(token: &ApiToken, trusted: Timestamp) -> bool {
    let end = token.expires_at;
    end.is_some_and(|end| is_past(end.plus_seconds(API_TOKENS_STAY), trusted))
}

/// Reads a page of the table and notes what is past.
fn look<K: Key + ?Sized, V: Record>(
    table: Table<K, V>,
    from: &Reader,
    start: Option<&[u8]>,
    budget: usize,
    is_past: impl Fn(&[u8], &V) -> Result<bool, StoreError>,
) -> Result<Page, StoreError> {
    let (mut past, mut seen, mut last) = (Vec::new(), 0, None);
    for entry in table.scan(from, &[], start, Order::Ascending).take(budget) {
        let (key, value) = entry?;
        seen += 1;
        if is_past(&key, &value)? {
            past.push(key.clone());
        }
        last = Some(key);
    }
    let next = last.filter(|_| seen == budget);
    Ok(Page { past, next })
}

/// Looks again, and deletes what is past, `and` what goes with it.
fn forget<K: Key + ?Sized, V: Record>(
    table: Table<K, V>,
    tx: &mut Tx<'_>,
    keys: &[Vec<u8>],
    is_past: impl Fn(&V) -> bool,
    mut and: impl FnMut(&mut Tx<'_>, &V) -> Result<(), StoreError>,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for key in keys {
        if let Some(value) = table.get_at(tx, key)?.filter(&is_past) {
            and(tx, &value)?;
            count += usize::from(table.delete_at(tx, key)?);
        }
    }
    Ok(count)
}
