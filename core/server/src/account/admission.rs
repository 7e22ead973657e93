//! Who comes in by an identity: which account it leads to, and whether a backend's rules admit it
//! (DESIGN section 5).
//!
//! **Invariants:** an identity that is linked leads to its account and to no other; an unknown one
//! joins an existing account only on the operator's word ([`expect`]) or by an e-mail address that
//! both sides have from an issuer the operator calls authoritative for its domain, and that issuer
//! knows the account's person by no other subject; nothing is ever linked by an address that is not
//! verified, and nobody is merged by having a name.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{
    ACCOUNTS, Account, AccountError, AccountName, IDENTITIES, IdentityKey, PROVEN, REMNANTS,
    address, link,
    mandate::{self, Group},
    redeem_invite, roster, unlink_all,
};
use crate::{
    clock::Timestamp,
    id::Uid,
    live::Live,
    store::{Key, Order, Read, Record, StoreError, Table, Tx},
};

/// Identities the operator expects: what `omnigent account migrate` prepares.
pub const EXPECTED: Table<Expected, Expectation> = Table::new(16, "expected-identities");
/// Identities that came in by an invite: their backend's domain and group rules are waived for as long
/// as they lead to an account.
pub(super) const WAIVED: Table<IdentityKey, ()> = Table::new(18, "waived-identities");
/// Accounts that are admins because of a group, and cease to be when they leave it.
pub(super) const BY_GROUP: Table<Uid, ()> = Table::new(19, "admins-by-group");

/// What becomes of an identity that is not linked yet: the backend's `accounts` key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Linking {
    /// A new account named after it; refused, never merged, when the name is taken.
    #[default]
    Create,
    /// It joins the account of its proven e-mail address, else gets a new one.
    Link,
    /// Refused: it must have been linked, expected or invited before.
    Existing,
}

/// A backend's rules: who may come in and as what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of unknown identities.
    pub linking: Linking,
    /// Domains whose e-mail addresses the backend is authoritative for.
    pub link_domains: Vec<String>,
    /// Domains an e-mail address must be of; empty for any.
    pub allowed_domains: Vec<String>,
    /// Groups to be in one of; empty for any.
    pub allowed_groups: Vec<String>,
    /// Groups that make an admin.
    pub admin_groups: Vec<String>,
    /// Whether an invite waives `allowed_domains` and `allowed_groups`.
    pub allow_invites: bool,
}

/// An identity as a backend asserted it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asserted {
    /// Who, at which backend.
    pub key: IdentityKey,
    /// The name a new account would get: the username, or the verified e-mail address.
    pub name: String,
    /// The username, if the backend gave one.
    pub username: Option<String>,
    /// The e-mail address in lower case.
    pub email: Option<String>,
    /// Whether the issuer has verified it.
    pub email_verified: bool,
    /// The person's groups.
    pub groups: Vec<String>,
}

impl Asserted {
    /// Of the address, if it is verified or the very name the backend knows the person by; of the name
    /// where there is no address.
    fn domain(&self) -> Option<&str> {
        let is_name = |email: &str| {
            let name = self.username.as_deref();
            name.is_some_and(|name| name.eq_ignore_ascii_case(email))
        };
        let address = match self.email.as_deref() {
            Some(email) if self.email_verified || is_name(email) => email,
            Some(_) => return None,
            None => &self.name,
        };
        address.rsplit_once('@').map(|(_, domain)| domain)
    }

    /// The address that people are recognised by. In ASCII: other letters only look like those of another.
    pub(super) fn verified_email(&self) -> Option<&str> {
        let email = self.email.as_deref();
        email.filter(|email| self.email_verified && email.is_ascii())
    }

    fn is_in_any(&self, groups: &[String]) -> bool {
        self.groups.iter().any(|group| groups.contains(group))
    }
}

/// By what an identity is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The configured backend that will assert it.
    pub backend: String,
    /// What of it is known.
    pub by: Mark,
}

/// A mark an identity is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Its subject.
    Subject(String),
    /// Its verified e-mail address.
    Email(String),
    /// Its username.
    Username(String),
}

impl Mark {
    /// As it is compared: the ASCII letters of names and addresses in lower case. Others stay as they are,
    /// so that no name becomes another.
    #[must_use]
    pub fn normal(self) -> Self {
        match self {
            Self::Subject(subject) => Self::Subject(subject),
            Self::Email(email) => Self::Email(email.trim().to_ascii_lowercase()),
            Self::Username(name) => Self::Username(name.trim().to_ascii_lowercase()),
        }
    }
}

impl Key for Expected {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, value) = match &self.by {
            Mark::Subject(value) => ("subject", value),
            Mark::Email(value) => ("email", value),
            Mark::Username(value) => ("username", value),
        };
        IdentityKey {
            backend: self.backend.clone(),
            issuer: kind.to_owned(),
            subject: value.clone(),
        }
        .encode(out);
    }
}

/// What is expected of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The account.
    pub uid: Uid,
    /// The backend that will assert the identity.
    pub backend: String,
    /// What it will be recognised by.
    pub by: Mark,
    /// Whether the account gives up its other identities at the backend for it.
    pub replaces: bool,
}

impl Record for Expectation {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        if version != 1 {
            return None;
        }
        let (uid, backend, by) = postcard::from_bytes(payload).ok()?;
        Some(Self {
            uid,
            backend,
            by,
            replaces: false,
        })
    }
}

/// Everything expected of the account.
///
/// # Errors
/// Only of the store.
pub fn expected_of(from: &impl Read, uid: &Uid) -> Result<Vec<Expectation>, StoreError> {
    let all = EXPECTED.scan(from, &[], None, Order::Ascending);
    let mut own = Vec::new();
    for entry in all {
        let (_, expectation) = entry?;
        if expectation.uid == *uid {
            own.push(expectation);
        }
    }
    Ok(own)
}

/// Lets the identity that will bear the mark lead to the account, beside others at its backend or, when it
/// `replaces` them, instead: the operator's word.
///
/// # Errors
/// [`AccountError::IdentityTaken`] when another account is expected by the same mark.
pub fn expect(
    tx: &mut Tx<'_>,
    expected: &Expected,
    uid: &Uid,
    replaces: bool,
) -> Result<(), AccountError> {
    match EXPECTED.get(tx, expected)? {
        Some(other) if other.uid != *uid && ACCOUNTS.contains(tx, &other.uid)? => {
            Err(AccountError::IdentityTaken)
        }
        _ => {
            let expectation = Expectation {
                uid: *uid,
                backend: expected.backend.clone(),
                by: expected.by.clone(),
                replaces,
            };
            Ok(EXPECTED.put(tx, expected, &expectation)?)
        }
    }
}

/// The account `asserted` leads to, by the backend's rules.
///
/// # Errors
/// Why it leads to none: [`AccountError::Domain`], [`AccountError::Group`],
/// [`AccountError::NotAdmitted`], [`AccountError::NameTaken`], [`AccountError::Name`],
/// [`AccountError::AnotherSubject`], [`AccountError::Invite`].
pub fn admit(
    live: &Live,
    tx: &mut Tx<'_>,
    rules: &Rules,
    asserted: &Asserted,
    invite: Option<&str>,
    now: Timestamp,
) -> Result<Account, AccountError> {
    // Somebody who was deleted: what their backend still keeps has not been removed yet.
    if REMNANTS.contains(tx, &asserted.key)? {
        return Err(AccountError::NotAdmitted);
    }
    let known = match IDENTITIES.get(tx, &asserted.key)? {
        Some(linked) => ACCOUNTS.get(tx, &linked.uid)?,
        None => None,
    };
    let account = match known {
        Some(account) => {
            check(live, tx, rules, asserted, Some(&account))?;
            use_up(tx, asserted, &account.uid)?;
            account
        }
        None => newcomer(live, tx, rules, asserted, invite, now)?,
    };
    address::prove(tx, rules, asserted, &account)?;
    map_admin(live, tx, rules, asserted, account)
}

fn newcomer(
    live: &Live,
    tx: &mut Tx<'_>,
    rules: &Rules,
    asserted: &Asserted,
    invite: Option<&str>,
    now: Timestamp,
) -> Result<Account, AccountError> {
    // Whoever leads nowhere has nothing waived: not even from a time when it did.
    WAIVED.delete(tx, &asserted.key)?;
    if let Some(Expectation { uid, replaces, .. }) = expected(tx, asserted)? {
        check(live, tx, rules, asserted, None)?;
        if replaces {
            unlink_all(live, tx, &uid, &asserted.key.backend)?;
        }
        return join(live, tx, &uid, asserted, now);
    }
    if rules.linking == Linking::Link
        && is_authoritative(rules, asserted)
        && let Some(email) = asserted.verified_email()
        && let Some(uid) = PROVEN.get(tx, email)?
        && let Some(account) = ACCOUNTS.get(tx, &uid)?
    {
        check(live, tx, rules, asserted, None)?;
        // The address has another owner now: one person has one subject at an issuer.
        if account
            .identities
            .iter()
            .any(|own| asserted.key.is_another_of(own))
        {
            return Err(AccountError::AnotherSubject);
        }
        return join(live, tx, &uid, asserted, now);
    }
    let name = AccountName::asserted(&asserted.name)?;
    let is_listed = live.is_listed_admin(&name);
    let mut is_admin = false;
    match invite.filter(|_| rules.allow_invites) {
        Some(token) => {
            is_admin = redeem_invite(live, tx, token, now)?.is_admin;
            WAIVED.put(tx, &asserted.key, &())?;
        }
        None => {
            check(live, tx, rules, asserted, None)?;
            if rules.linking == Linking::Existing {
                return Err(AccountError::NotAdmitted);
            }
        }
    }
    let (by_either, key) = (is_admin || is_listed, asserted.key.clone());
    let account = roster::create(live, tx, name, by_either, Some(key), now)?;
    if is_listed && !is_admin {
        mandate::BY_LIST.put(tx, &account.uid, &())?;
    }
    Ok(account)
}

fn join(
    live: &Live,
    tx: &mut Tx<'_>,
    uid: &Uid,
    asserted: &Asserted,
    now: Timestamp,
) -> Result<Account, AccountError> {
    link(live, tx, uid, asserted.key.clone(), now)?;
    ACCOUNTS.get(tx, uid)?.ok_or(AccountError::NotFound)
}

/// What the operator may expect this identity by.
fn marks(asserted: &Asserted) -> impl Iterator<Item = Expected> {
    let subject = Mark::Subject(asserted.key.subject.clone());
    let email = asserted.verified_email().map(str::to_owned);
    let username = asserted.username.as_deref().map(str::to_ascii_lowercase);
    let marks = [
        Some(subject),
        email.map(Mark::Email),
        username.map(Mark::Username),
    ];
    let backend = asserted.key.backend.clone();
    marks.into_iter().flatten().map(move |by| Expected {
        backend: backend.clone(),
        by,
    })
}

/// What the operator expects this identity for. What it was expected by is used up.
fn expected(tx: &mut Tx<'_>, asserted: &Asserted) -> Result<Option<Expectation>, AccountError> {
    for expected in marks(asserted) {
        if let Some(expectation) = EXPECTED.get(tx, &expected)? {
            EXPECTED.delete(tx, &expected)?;
            if ACCOUNTS.contains(tx, &expectation.uid)? {
                return Ok(Some(expectation));
            }
        }
    }
    Ok(None)
}

/// Uses up what the account was expected by and its identity bears: nobody else is to come in by it.
fn use_up(tx: &mut Tx<'_>, asserted: &Asserted, uid: &Uid) -> Result<(), StoreError> {
    for expected in marks(asserted) {
        if EXPECTED
            .get(tx, &expected)?
            .is_some_and(|own| own.uid == *uid)
        {
            EXPECTED.delete(tx, &expected)?;
        }
    }
    Ok(())
}

/// Holds the identity against the backend's domains and groups.
///
/// # Errors
/// [`AccountError::Domain`], [`AccountError::Group`].
fn check(
    live: &Live,
    from: &impl Read,
    rules: &Rules,
    asserted: &Asserted,
    account: Option<&Account>,
) -> Result<(), AccountError> {
    if rules.allowed_domains.is_empty() && rules.allowed_groups.is_empty() {
        return Ok(());
    }
    let is_listed = match account {
        Some(account) => live.is_listed_admin(&account.name),
        None => AccountName::asserted(&asserted.name).is_ok_and(|name| live.is_listed_admin(&name)),
    };
    if is_listed || (rules.allow_invites && WAIVED.contains(from, &asserted.key)?) {
        return Ok(());
    }
    let domain = asserted.domain().unwrap_or_default();
    if !rules.allowed_domains.is_empty() && !rules.allowed_domains.iter().any(|own| own == domain) {
        return Err(AccountError::Domain(domain.to_owned()));
    }
    if !rules.allowed_groups.is_empty() && !asserted.is_in_any(&rules.allowed_groups) {
        return Err(AccountError::Group);
    }
    Ok(())
}

/// Whether the operator lets this backend speak for the address's domain.
pub(super) fn is_authoritative(rules: &Rules, asserted: &Asserted) -> bool {
    let domain = asserted
        .verified_email()
        .and_then(|email| email.rsplit_once('@'));
    domain.is_some_and(|(_, domain)| rules.link_domains.iter().any(|own| own == domain))
}

/// Holds new facts of an identity that is signed in to the account against the backend's rules, and
/// takes them over.
///
/// # Errors
/// [`AccountError::Domain`], [`AccountError::Group`].
pub fn renew(
    live: &Live,
    tx: &mut Tx<'_>,
    rules: &Rules,
    asserted: &Asserted,
    account: Account,
) -> Result<Account, AccountError> {
    check(live, tx, rules, asserted, Some(&account))?;
    address::prove(tx, rules, asserted, &account)?;
    map_admin(live, tx, rules, asserted, account)
}

/// Makes an admin of whoever is in an admin group, and takes back what a group gave.
fn map_admin(
    live: &Live,
    tx: &mut Tx<'_>,
    rules: &Rules,
    asserted: &Asserted,
    account: Account,
) -> Result<Account, AccountError> {
    let group = match asserted.is_in_any(&rules.admin_groups) {
        true => Group::In,
        false if rules.admin_groups.is_empty() => Group::Unsaid,
        false => Group::Out,
    };
    let (account, is_settled) = mandate::follow(live, tx, account, group)?;
    if !is_settled {
        tracing::warn!(
            account = account.name.as_str(),
            "left the admin group, and stays an admin: there is no other"
        );
    }
    Ok(account)
}
