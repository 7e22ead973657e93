//! Changing how people sign in without losing anybody: what a new set of backends would mean for
//! each account, and carrying accounts over (DESIGN section 5).
//!
//! **Invariant:** planning changes nothing; carrying over links nothing by itself: it notes what the
//! operator expects, and the identity is linked when its person first signs in with it.

use serde::{Deserialize, Serialize};

use super::{
    ACCOUNTS, Account, AccountError, EXPECTED, Expected, Mark, NAMES, PROVEN, expect,
    tenure::Tenancy,
};
use crate::{
    config::{AccountRule, Backend},
    id::Uid,
    store::{Order, Read, StoreError, Tx},
};

/// What matters of a backend for who gets in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// Its issuer, if it has one: identities of another are not its own.
    pub issuer: Option<String>,
    /// Whether unknown identities join the account of their proven address.
    pub joins_by_address: bool,
    /// The domains it may do so for.
    pub link_domains: Vec<String>,
}

impl Target {
    /// The name, to be given to the plugin.
    pub fn tenancy(&self) -> Tenancy {
        Tenancy {
            backend: self.name.clone(),
            plugin: self.plugin.clone(),
        }
    }

    /// Of a configured backend.
    pub fn of(backend: &Backend) -> Self {
        let issuer = backend.config.expose().get("issuer");
        Self {
            name: backend.name.clone(),
            plugin: backend.plugin.clone(),
            issuer: issuer.and_then(|issuer| issuer.as_str()).map(str::to_owned),
            joins_by_address: backend.accounts == AccountRule::Link,
            link_domains: backend.link_domains.clone(),
        }
    }
}

/// How an account gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// An identity is linked.
    Linked,
    /// One is expected, on the operator's word.
    Expected,
    /// One joins by its proven e-mail address.
    Address,
}

/// An account in a plan: by which backends it gets in now, and then.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The account.
    pub id: String,
    /// May not act either way.
    pub disabled: bool,
    /// Now.
    pub now: Vec<(String, Way)>,
    /// Then.
    pub then: Vec<(String, Way)>,
}

/// What the backends of `then` instead of those of `now` mean for up to `limit` accounts after
/// `after`.
///
/// # Errors
/// Only of the store.
pub fn plan(
    from: &impl Read,
    now: &[Target],
    then: &[Target],
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let expected: Vec<_> = EXPECTED
        .scan(from, &[], None, Order::Ascending)
        .map(|entry| entry.map(|(_, expectation)| expectation))
        .collect::<Result<_, _>>()?;
    let mut expected_by_uid: std::collections::HashMap<Uid, Vec<String>> = Default::default();
    for expectation in expected {
        expected_by_uid
            .entry(expectation.uid)
            .or_default()
            .push(expectation.backend);
    }
    let mut rows = Vec::new();
    for account in super::list(from, after, limit)? {
        let expected = expected_by_uid
            .get(&account.uid)
            .map_or(&[] as &[_], Vec::as_slice);
        let proven = PROVEN.get(from, account.name.as_str())? == Some(account.uid);
        let ways = |targets: &[Target]| {
            let ways = targets.iter();
            ways.filter_map(|target| {
                way(&account, target, expected, proven).map(|way| (target.name.clone(), way))
            })
            .collect()
        };
        rows.push(Row {
            id: account.name.as_str().to_owned(),
            disabled: account.disabled,
            now: ways(now),
            then: ways(then),
        });
    }
    Ok(rows)
}

fn way(account: &Account, target: &Target, expected: &[String], proven: bool) -> Option<Way> {
    let plain = |issuer: &str| issuer.trim_end_matches('/').to_owned();
    let is_linked = account.identities.iter().any(|key| {
        key.backend == target.name
            && target
                .issuer
                .as_ref()
                .is_none_or(|issuer| key.issuer.is_empty() || plain(issuer) == plain(&key.issuer))
    });
    if is_linked {
        return Some(Way::Linked);
    }
    if expected.contains(&target.name) {
        return Some(Way::Expected);
    }
    let domain = account
        .name
        .as_str()
        .rsplit_once('@')
        .map(|(_, domain)| domain);
    let joins = target.joins_by_address
        && proven
        && domain.is_some_and(|domain| target.link_domains.iter().any(|own| own == domain));
    joins.then_some(Way::Address)
}

/// By what accounts are recognised at their new backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The account's name is the verified e-mail address.
    Email,
    /// The account's name is the username.
    Username,
    /// Account by account, as the operator says.
    Map(Vec<(String, Mark)>),
}

/// Carrying accounts over.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Only accounts with an identity at this backend. When it is the same as `to`, that identity is given
    /// up for the new one: its backend calls people otherwise now.
    pub from: Option<String>,
    /// The backend they will sign in with.
    pub to: String,
    /// What they will be recognised by.
    pub by: By,
}

/// What became of one account.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// The account.
    pub id: String,
    /// What it will be recognised by.
    pub by: Option<Mark>,
    /// `expected`, `linked already`, or why not.
    pub outcome: &'static str,
}

impl Moved {
    /// Whether an identity is expected of it from now on.
    pub fn is_expected(&self) -> bool {
        self.outcome == EXPECTED_NOW
    }
}

/// The outcome of an account that was carried over.
const EXPECTED_NOW: &str = "expected";

/// What became of a page of accounts.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Account by account.
    pub accounts: Vec<Moved>,
    /// Where to go on from; nothing at the end.
    pub next: Option<String>,
}

/// Carries up to `limit` accounts after `after` over.
///
/// # Errors
/// Only of the store.
pub fn migrate(
    tx: &mut Tx<'_>,
    work: &Migration,
    after: Option<&str>,
    limit: usize,
    dry_run: bool,
) -> Result<Page, StoreError> {
    let mut moved = Vec::new();
    if let By::Map(pairs) = &work.by {
        for (name, mark) in pairs {
            let account = match NAMES.get(tx, &name.to_lowercase())? {
                Some(uid) => ACCOUNTS.get(tx, &uid)?,
                None => None,
            };
            moved.push(match account {
                Some(account) => carry(tx, work, &account, Some(mark.clone().normal()), dry_run)?,
                None => Moved {
                    id: name.clone(),
                    by: None,
                    outcome: "no such account",
                },
            });
        }
        return Ok(Page {
            accounts: moved,
            next: None,
        });
    }
    let page = super::list(tx, after, limit)?;
    let next = page
        .last()
        .filter(|_| page.len() == limit)
        .map(|last| last.name.as_str().to_owned());
    for account in page {
        let is_of = |from: &String| account.identities.iter().any(|key| key.backend == *from);
        if !work.from.as_ref().is_none_or(is_of) {
            continue;
        }
        let name = account.name.as_str().to_owned();
        let mark = match &work.by {
            By::Email => name.contains('@').then_some(Mark::Email(name)),
            By::Username => Some(Mark::Username(name)),
            By::Map(_) => None,
        };
        moved.push(carry(tx, work, &account, mark, dry_run)?);
    }
    Ok(Page {
        accounts: moved,
        next,
    })
}

fn carry(
    tx: &mut Tx<'_>,
    work: &Migration,
    account: &Account,
    mark: Option<Mark>,
    dry_run: bool,
) -> Result<Moved, StoreError> {
    let replaces = work.from.as_ref() == Some(&work.to);
    let is_linked = account.identities.iter().any(|key| key.backend == work.to);
    let outcome = match &mark {
        _ if is_linked && !replaces => "linked already",
        None => "its name is no e-mail address",
        Some(by) => {
            let expected = Expected {
                backend: work.to.clone(),
                by: by.clone(),
            };
            let is_free = EXPECTED
                .get(tx, &expected)?
                .is_none_or(|other| other.uid == account.uid);
            match is_free {
                true if dry_run => "would be expected",
                true => match expect(tx, &expected, &account.uid, replaces) {
                    Ok(()) => EXPECTED_NOW,
                    Err(AccountError::Store(error)) => return Err(error),
                    Err(_) => "another account is expected by the same",
                },
                false => "another account is expected by the same",
            }
        }
    };
    Ok(Moved {
        id: account.name.as_str().to_owned(),
        by: mark,
        outcome,
    })
}

/// Expects nothing of the account at this backend any more. Says how much was.
///
/// # Errors
/// Only of the store.
pub fn unexpect(tx: &mut Tx<'_>, uid: &Uid, backend: &str) -> Result<usize, StoreError> {
    let own: Vec<_> = super::expected_of(tx, uid)?
        .into_iter()
        .filter(|expectation| expectation.backend == backend)
        .collect();
    for expectation in &own {
        let expected = Expected {
            backend: expectation.backend.clone(),
            by: expectation.by.clone(),
        };
        EXPECTED.delete(tx, &expected)?;
    }
    Ok(own.len())
}
