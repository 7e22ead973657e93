//! The kinds of records that age, each with its rule.

use std::sync::Arc;

use super::{Kind, Page, is_past};
use crate::{
    account::{INVITES, MAGIC_LINKS},
    clock::Timestamp,
    login::{self, ISSUER_SESSIONS, LOGINS, device, ticket},
    store::{Key, Order, Reader, Record, StoreError, Table, Tx},
    token::{self, REVOCATIONS, RevocationIndex, api::API_TOKENS, grant, grant::GRANTS},
};

/// Seconds an API token stays in its owner's list after it has expired: so that they see why
/// something stopped working.
const API_TOKENS_STAY: u64 = 30 * 24 * 3600;

/// In this order. What refers to a login comes after logins.
pub(super) const KINDS: [Kind; 9] = [
    Kind {
        name: "logins",
        look: |from, start, budget, trusted| {
            look(LOGINS, from, start, budget, |_, login| {
                Ok(is_past(login.expires_at, trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(LOGINS, tx, keys, |tx, login| {
                if let Some(grant) = login.grant.filter(|_| is_past(login.expires_at, trusted)) {
                    grant::forget(tx, &grant)?;
                }
                Ok(is_past(login.expires_at, trusted))
            })
        },
    },
    Kind {
        name: "grants",
        look: |from, start, budget, trusted| {
            look(GRANTS, from, start, budget, |_, grant| {
                Ok(is_past(grant.expires_at, trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(GRANTS, tx, keys, |_, grant| {
                Ok(is_past(grant.expires_at, trusted))
            })
        },
    },
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
    Kind {
        name: "invites",
        look: |from, start, budget, trusted| {
            look(INVITES, from, start, budget, |_, invite| {
                Ok(is_past(invite.expires_at, trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(INVITES, tx, keys, |_, invite| {
                Ok(is_past(invite.expires_at, trusted))
            })
        },
    },
    Kind {
        name: "magic links",
        look: |from, start, budget, trusted| {
            look(MAGIC_LINKS, from, start, budget, |_, link| {
                Ok(is_past(link.expires_at, trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(MAGIC_LINKS, tx, keys, |_, link| {
                Ok(is_past(link.expires_at, trusted))
            })
        },
    },
    Kind {
        name: "tickets",
        look: |from, start, budget, trusted| {
            look(ticket::TICKETS, from, start, budget, |_, ticket| {
                Ok(is_past(ticket.ends_at(), trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(ticket::TICKETS, tx, keys, |tx, ticket| {
                if is_past(ticket.ends_at(), trusted) {
                    ticket::forget_code(tx, ticket)?;
                }
                Ok(is_past(ticket.ends_at(), trusted))
            })
        },
    },
    Kind {
        name: "device grants",
        look: |from, start, budget, trusted| device::look(from, start, budget, trusted),
        forget: |tx, _, keys, trusted| device::forget(tx, keys, trusted),
    },
    Kind {
        name: "API tokens",
        look: |from, start, budget, trusted| {
            look(API_TOKENS, from, start, budget, |_, token| {
                Ok(has_gone_stale(token, trusted))
            })
        },
        forget: |tx, _, keys, trusted| {
            forget(API_TOKENS, tx, keys, |_, token| {
                Ok(has_gone_stale(token, trusted))
            })
        },
    },
    Kind {
        name: "revocations",
        look: |from, start, budget, trusted| {
            look(REVOCATIONS, from, start, budget, |_, revocation| {
                Ok(token::is_past(revocation, trusted))
            })
        },
        forget: |tx, index: &Arc<RevocationIndex>, keys, _| token::sweep(index, tx, keys),
    },
];

fn has_gone_stale(token: &token::api::ApiToken, trusted: Timestamp) -> bool {
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

/// Looks again, and deletes what is past.
fn forget<K: Key + ?Sized, V: Record>(
    table: Table<K, V>,
    tx: &mut Tx<'_>,
    keys: &[Vec<u8>],
    is_past: impl Fn(&mut Tx<'_>, &V) -> Result<bool, StoreError>,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for key in keys {
        let Some(value) = table.get_at(tx, key)? else {
            continue;
        };
        if is_past(tx, &value)? {
            count += usize::from(table.delete_at(tx, key)?);
        }
    }
    Ok(count)
}
