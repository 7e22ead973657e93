//! Familiar devices: browsers that signed in to an account before (OWASP's device cookies).
//!
//! A browser keeps, in a cookie, a mark for each account that was signed in to with it:
//! `base64url(uid ‖ device ‖ issued ‖ MAC(all, backend, name))`. It lets nobody in; it says that what is
//! counted against strangers is not counted against this browser, which has a count of its own.
//!
//! **Invariants:** a mark is good for one account, by its `uid`, so an account of the same name made
//! later does not inherit it; for the very name at the very backend it was signed in to with, for
//! another spelling, or the same name elsewhere, may be somebody else's; and for [`LASTS_SECONDS`].

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::Timestamp,
    id::{Uid, random_bytes},
    token::hash::{Hasher, Kind, constant_time_eq},
};

/// How long a mark is good for.
pub const LASTS_SECONDS: u64 = 180 * 24 * 3600;

/// A mark older than this is renewed when its owner signs in.
const RENEWED_SECONDS: u64 = 30 * 24 * 3600;

/// Accounts a browser is remembered at.
const ACCOUNTS: usize = 4;

const BODY: usize = 16 + 16 + 4;
const LENGTH: usize = BODY + 16;

/// A mark that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Familiar {
    /// The account.
    pub uid: Uid,
    /// The browser.
    pub device: [u8; 16],
    issued: u64,
}

impl Familiar {
    /// Whether it is to be replaced by a younger one.
    pub fn is_old(&self, now: Timestamp) -> bool {
        now.seconds() > self.issued.saturating_add(RENEWED_SECONDS)
    }
}

/// A new mark for `uid`, signed in to as `whose`, a name at a backend, of `device` or a new one.
pub fn mark(
    hasher: &Hasher,
    uid: &Uid,
    whose: (&str, &str),
    device: Option<[u8; 16]>,
    now: Timestamp,
) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend(uid.as_bytes());
    bytes.extend(device.unwrap_or_else(random_bytes));
    let issued = u32::try_from(now.seconds()).unwrap_or(u32::MAX);
    bytes.extend(issued.to_be_bytes());
    bytes.extend(mac(hasher, &bytes, whose));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The mark among those a browser sent that is good for `whose`, a name at a backend.
pub fn find(
    hasher: &Hasher,
    cookie: &str,
    whose: (&str, &str),
    now: Timestamp,
) -> Option<Familiar> {
    let read = |mark: &str| {
        let bytes = bytes(mark)?;
        let (body, said) = bytes.split_at(BODY);
        let (uid, rest) = body.split_first_chunk::<16>()?;
        let (device, issued) = rest.split_first_chunk::<16>()?;
        let issued = u64::from(u32::from_be_bytes(*issued.first_chunk::<4>()?));
        let is_young =
            issued <= now.seconds() + 60 && now.seconds() < issued.saturating_add(LASTS_SECONDS);
        let is_good = is_young && constant_time_eq(&mac(hasher, body, whose), said);
        is_good.then(|| Familiar {
            uid: Uid::from_bytes(*uid),
            device: *device,
            issued,
        })
    };
    cookie.split('.').take(ACCOUNTS).find_map(read)
}

/// The cookie with one more mark: the latest first, none of its account besides.
pub fn add(cookie: Option<&str>, mark: &str) -> String {
    let uid = bytes(mark).map(|bytes| bytes[..16].to_vec());
    let others = cookie
        .unwrap_or_default()
        .split('.')
        .filter(|other| bytes(other).is_some_and(|bytes| uid.as_deref() != Some(&bytes[..16])));
    let all: Vec<&str> = std::iter::once(mark)
        .chain(others.take(ACCOUNTS - 1))
        .collect();
    all.join(".")
}

fn bytes(mark: &str) -> Option<Vec<u8>> {
    if mark.len() != LENGTH.div_ceil(3) * 4 - 2 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(mark).ok()?;
    (bytes.len() == LENGTH).then_some(bytes)
}

fn mac(hasher: &Hasher, body: &[u8], (backend, name): (&str, &str)) -> [u8; 16] {
    // No name of a backend holds a zero byte.
    let text = [body, backend.as_bytes(), &[0], name.as_bytes()].concat();
    let hash = hasher.hash(Kind::Familiar, &text);
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn hasher() -> Hasher {
        Hasher::new(&[7; 32])
    }

    fn uid(byte: u8) -> Uid {
        Uid::from_bytes([byte; 16])
    }

    #[test]
    fn a_mark_is_good_for_its_account_under_its_name_and_for_its_time() {
        let hasher = hasher();
        let alice = ("local", "alice");
        let cookie = mark(&hasher, &uid(1), alice, None, T0);
        let found = find(&hasher, &cookie, alice, T0).unwrap();
        assert_eq!(found.uid, uid(1));
        for other in [
            ("local", "bob"),
            ("local", "álice"),
            ("local", "Alice"),
            ("file", "alice"),
            ("", "alice"),
            ("loca", "lalice"),
        ] {
            assert!(find(&hasher, &cookie, other, T0).is_none(), "{other:?}");
        }
        assert!(find(&Hasher::new(&[8; 32]), &cookie, alice, T0).is_none());
        let late = T0.plus_seconds(LASTS_SECONDS);
        assert!(find(&hasher, &cookie, alice, late).is_none());
        assert!(!found.is_old(T0) && found.is_old(late));
        let early = Timestamp::from_seconds(T0.seconds() - 61);
        assert!(find(&hasher, &cookie, alice, early).is_none());
    }

    #[test]
    fn a_changed_mark_is_none() {
        let hasher = hasher();
        let cookie = mark(&hasher, &uid(1), ("local", "alice"), None, T0);
        for at in 0..cookie.len() {
            let other = if &cookie[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &cookie[..at], &cookie[at + 1..]);
            assert!(
                find(&hasher, &changed, ("local", "alice"), T0).is_none(),
                "{at}"
            );
        }
        for text in ["", ".", "...", "a.b.c", &cookie[1..]] {
            assert!(
                find(&hasher, text, ("local", "alice"), T0).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_browser_is_remembered_at_its_latest_accounts() {
        let hasher = hasher();
        let name = |i: u8| format!("user{i}");
        let mut cookie = None;
        for i in 0..6 {
            let mark = mark(&hasher, &uid(i), ("local", &name(i)), None, T0);
            cookie = Some(add(cookie.as_deref(), &mark));
        }
        let cookie = cookie.unwrap();
        let known: Vec<bool> = (0..6)
            .map(|i| find(&hasher, &cookie, ("local", &name(i)), T0).is_some())
            .collect();
        assert_eq!(known, [false, false, true, true, true, true]);
        let again = add(
            Some(&cookie),
            &mark(&hasher, &uid(3), ("local", &name(3)), None, T0),
        );
        assert_eq!(again.split('.').count(), 4);
        assert_eq!(add(Some("junk.x"), "y"), "y");
    }
}
