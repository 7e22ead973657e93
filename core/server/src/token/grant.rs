//! Grants: what lets a client get new access tokens without its person (RFC 6749 section 6).
//!
//! A refresh token is `base64url(grant id ‖ generation ‖ HMAC(both))`. Nothing of it is stored: the
//! grant's record holds the generation that counts, so a rotation is a compare-and-swap on one
//! number, an older generation is a proof of reuse, and a forged token is refused unread.
//!
//! **Invariants:** one generation counts at any time; a reused one ends the whole family
//! (RFC 9700 section 4.14.2), except that the last one, repeated within [`REPEAT_MILLIS`], is
//! answered with the same successor, because clients lose answers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    Scopes,
    hash::{Hasher, Kind},
};
use crate::{
    audit::{Entry, Event},
    clock::Timestamp,
    id::{GrantId, LoginId, Uid},
    live::Live,
    login::{self, device::UNNAMED_CLIENT},
    secret::Secret,
    store::{Read, Record, StoreError, Table, Tx},
};

/// Live grants.
pub const GRANTS: Table<GrantId, Grant> = Table::new(6, "grants");

/// The client whose grants keep their refresh token: the stock command line, which runs in
/// parallel with itself and would otherwise lose its login.
pub const CLI_CLIENT: &str = "omnigent-cli";

/// For how long a rotated-away token is answered with its successor again.
pub const REPEAT_MILLIS: u64 = 30_000;

const LENGTH: usize = 16 + 4 + 32;

/// A client's right to refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whom it acts for.
    pub uid: Uid,
    /// The login it refreshes.
    pub sid: LoginId,
    /// The client that holds it.
    pub client_id: String,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// The generation of refresh tokens that counts.
    pub generation: u32,
    /// When the generation before was replaced.
    pub rotated_at: Timestamp,
    /// What its tokens are restricted to (RFC 6749 section 3.3), if anything.
    pub scope: Option<String>,
}

impl Record for Grant {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        /// Before there were restricted grants.
        #[derive(Deserialize)]
        struct First {
            uid: Uid,
            sid: LoginId,
            client_id: String,
            expires_at: Timestamp,
            generation: u32,
            rotated_at: Timestamp,
        }
        if version != 1 {
            return None;
        }
        let first: First = postcard::from_bytes(payload).ok()?;
        Some(Self {
            uid: first.uid,
            sid: first.sid,
            client_id: first.client_id,
            expires_at: first.expires_at,
            generation: first.generation,
            rotated_at: first.rotated_at,
            scope: None,
        })
    }
}

impl Grant {
    /// The scopes, when restricted. A scope this server does not know permits nothing.
    pub fn scopes(&self) -> Option<Scopes> {
        self.scope
            .as_ref()
            .map(|text| text.parse().unwrap_or_default())
    }

    /// What a token is restricted to that this client asks for: all that was granted, or less of it.
    /// A grant whose client never had a name is any client's.
    ///
    /// # Errors
    /// [`Refused::Invalid`] for another client, [`Refused::Scope`].
    pub fn narrowed(&self, said: &Said) -> Result<Option<Scopes>, Refused> {
        let is_own = |id: &String| *id == self.client_id || self.client_id == UNNAMED_CLIENT;
        if !said.client_id.iter().all(is_own) {
            return Err(Refused::Invalid);
        }
        match (said.scope, self.scopes()) {
            (Some(asked), Some(granted)) if !asked.is_within(granted) => Err(Refused::Scope),
            (asked, granted) => Ok(asked.or(granted)),
        }
    }

    /// Whether this generation is the last one, and replaced so lately that it is answered again.
    fn is_repeat(&self, generation: u32, now: Timestamp) -> bool {
        generation.checked_add(1) == Some(self.generation)
            && now.is_near(self.rotated_at, REPEAT_MILLIS)
    }
}

/// What a new grant is for.
#[derive(Debug)]
pub struct NewGrant {
    /// Whom it acts for.
    pub uid: Uid,
    /// The login it refreshes.
    pub sid: LoginId,
    /// The client that holds it.
    pub client_id: String,
    /// What its tokens are restricted to, if anything.
    pub scope: Option<Scopes>,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
}

/// What a client may say besides its refresh token (RFC 6749 section 6).
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Which client it is.
    pub client_id: Option<String>,
    /// What the access token is to be restricted to.
    pub scope: Option<Scopes>,
}

/// Why no token comes of a refresh.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not a token of ours, or of a grant that ended, or another client's (`invalid_grant`).
    Invalid,
    /// More was asked for than was granted (`invalid_scope`).
    Scope,
    /// Rotated away before: the family has been ended (`invalid_grant`).
    Reused,
    /// Past the grant's absolute life (`expired_token`).
    Expired,
}

/// A redeemed grant, what the access token is restricted to, and the refresh token that counts from
/// now on.
pub type Redeemed = (GrantId, Grant, Option<Scopes>, Secret<String>);

/// Begins a grant and returns its first refresh token.
///
/// # Errors
/// Only of the store.
pub fn issue(
    live: &Live,
    tx: &mut Tx<'_>,
    new: NewGrant,
    now: Timestamp,
) -> Result<(GrantId, Secret<String>), StoreError> {
    let id = GrantId::random();
    let NewGrant {
        uid,
        sid,
        client_id,
        scope,
        expires_at,
    } = new;
    GRANTS.put(
        tx,
        &id,
        &Grant {
            uid,
            sid,
            client_id,
            expires_at,
            generation: 0,
            rotated_at: now,
            scope: scope.map(|scope| scope.to_string()),
        },
    )?;
    Ok((id, render(&live.hasher, &id, 0)))
}

/// The grant a refresh token belongs to. Changes nothing: for asking the backend before [`redeem`].
///
/// # Errors
/// Only of the store; `None` when it is not a token of a live grant.
pub fn find(
    live: &Live,
    from: &impl Read,
    token: &str,
) -> Result<Option<(GrantId, Grant)>, StoreError> {
    let Some((id, _)) = parse(&live.hasher, token) else {
        return Ok(None);
    };
    Ok(GRANTS.get(from, &id)?.map(|grant| (id, grant)))
}

/// As [`find`], if the token would be redeemed at `now`. Changes nothing, whatever is asked about.
///
/// # Errors
/// Only of the store.
pub fn find_current(
    live: &Live,
    from: &impl Read,
    token: &str,
    now: Timestamp,
) -> Result<Option<(GrantId, Grant)>, StoreError> {
    let Some((id, generation)) = parse(&live.hasher, token) else {
        return Ok(None);
    };
    let counts = |grant: &Grant| {
        let is_current = generation == grant.generation;
        now < grant.expires_at && (is_current || grant.is_repeat(generation, now))
    };
    let grant = GRANTS.get(from, &id)?.filter(counts);
    Ok(grant.map(|grant| (id, grant)))
}

/// Redeems a refresh token: the grant, and the refresh token that counts from now on. What a client
/// may not have changes nothing.
///
/// A refusal is a value and not an error, because ending a reused family must be committed.
///
/// # Errors
/// Only of the store.
pub fn redeem(
    live: &Live,
    tx: &mut Tx<'_>,
    token: &str,
    said: &Said,
    now: Timestamp,
) -> Result<Result<Redeemed, Refused>, StoreError> {
    let Some((id, generation)) = parse(&live.hasher, token) else {
        return Ok(Err(Refused::Invalid));
    };
    let Some(mut grant) = GRANTS.get(tx, &id)? else {
        return Ok(Err(Refused::Invalid));
    };
    if grant.expires_at <= now {
        return Ok(Err(Refused::Expired));
    }
    let is_current = generation == grant.generation;
    if !is_current && !grant.is_repeat(generation, now) {
        let reused = Entry::new(Event::GrantReused).login(&grant.sid);
        live.note_of(tx, &grant.uid, reused)?;
        login::end(live, tx, &grant.uid, &grant.sid)?;
        return Ok(Err(Refused::Reused));
    }
    let scope = match grant.narrowed(said) {
        Ok(scope) => scope,
        Err(refused) => return Ok(Err(refused)),
    };
    if is_current && grant.client_id != CLI_CLIENT {
        grant.generation = grant.generation.saturating_add(1);
        grant.rotated_at = now;
        GRANTS.put(tx, &id, &grant)?;
    }
    let token = render(&live.hasher, &id, grant.generation);
    Ok(Ok((id, grant, scope, token)))
}

/// Drops the grant. Whoever does so also ends its login, which is what tokens are checked against.
///
/// # Errors
/// Only of the store.
pub fn forget(tx: &mut Tx<'_>, id: &GrantId) -> Result<bool, StoreError> {
    GRANTS.delete(tx, id)
}

fn render(hasher: &Hasher, id: &GrantId, generation: u32) -> Secret<String> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    let tag = hasher.hash(Kind::Refresh, &bytes);
    bytes.extend_from_slice(&tag);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn parse(hasher: &Hasher, token: &str) -> Option<(GrantId, u32)> {
    if token.len() > 2 * LENGTH {
        return None;
    }
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (said, tag) = bytes.split_first_chunk::<20>()?;
    if !hasher.matches(Kind::Refresh, said, tag) {
        return None;
    }
    let id = GrantId::from_bytes(*said.first_chunk::<16>()?);
    let generation = u32::from_be_bytes(*said.last_chunk::<4>()?);
    Some((id, generation))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        login::LOGINS,
        token::house::{House, T0},
    };

    impl House {
        fn redeem(&self, token: &str, now: Timestamp) -> Result<String, Refused> {
            self.redeem_as(token, Said::default(), now)
        }

        fn redeem_as(&self, token: &str, said: Said, now: Timestamp) -> Result<String, Refused> {
            let (live, token) = (self.live.clone(), token.to_owned());
            let redeemed = self
                .store
                .write_blocking(move |tx| redeem(&live, tx, &token, &said, now))
                .unwrap();
            redeemed.map(|(_, _, _, token)| token.expose().clone())
        }
    }

    #[test]
    fn a_grant_of_the_first_layout_is_read_as_unrestricted() {
        let (uid, sid) = (Uid::from_bytes([1; 16]), LoginId::from_bytes([2; 16]));
        let old = (uid, sid, "app", T0, 3_u32, T0);
        let payload = postcard::to_stdvec(&old).unwrap();
        let grant = Grant::upgrade(1, &payload).unwrap();
        assert_eq!((grant.uid, grant.sid, grant.generation), (uid, sid, 3));
        assert_eq!((grant.client_id.as_str(), grant.scopes()), ("app", None));
        assert_eq!(Grant::upgrade(3, &payload), None);
    }

    #[test]
    fn a_rotated_away_token_gets_the_same_successor_for_a_while() {
        let house = House::new();
        let (_, first) = house.grant("app");
        let second = house.redeem(&first, T0).unwrap();
        assert_ne!(first, second);
        assert_eq!(house.redeem(&first, T0.plus_seconds(29)).unwrap(), second);
        assert!(house.redeem(&second, T0.plus_seconds(31)).is_ok());
    }

    fn said(client_id: Option<&str>, scope: Option<&str>) -> Said {
        Said {
            client_id: client_id.map(str::to_owned),
            scope: scope.map(|scope| scope.parse().unwrap()),
        }
    }

    #[test]
    fn a_grant_is_narrowed_and_never_widened() {
        let house = House::new();
        let (_, token) = house.grant("tv");
        let (_, mut grant) = find(&house.live, &house.store.reader(), &token)
            .unwrap()
            .unwrap();
        grant.scope = Some("sessions".into());
        let sessions: Scopes = "sessions".parse().unwrap();
        let read: Scopes = "sessions:read".parse().unwrap();
        for (asked, given) in [
            (None, Ok(Some(sessions))),
            (Some("sessions"), Ok(Some(sessions))),
            (Some("sessions:read"), Ok(Some(read))),
            (Some("admin"), Err(Refused::Scope)),
            (Some("sessions account"), Err(Refused::Scope)),
        ] {
            assert_eq!(grant.narrowed(&said(None, asked)), given, "{asked:?}");
        }
        // What this server does not know any more permits nothing.
        grant.scope = Some("everything".into());
        let none = Ok(Some(Scopes::default()));
        assert_eq!(grant.narrowed(&said(None, None)), none);
        assert_eq!(
            grant.narrowed(&said(None, Some("sessions"))),
            Err(Refused::Scope)
        );
        grant.scope = None;
        assert_eq!(grant.narrowed(&said(None, None)), Ok(None));
        let narrow = grant.narrowed(&said(None, Some("sessions:read")));
        assert_eq!(narrow, Ok(Some(read)));
        for (own, said_id, is_own) in [
            ("tv", "tv", true),
            ("tv", "TV", false),
            ("tv", "fridge", false),
            (UNNAMED_CLIENT, "fridge", true),
        ] {
            grant.client_id = own.into();
            let narrowed = grant.narrowed(&said(Some(said_id), None));
            assert_eq!(narrowed.is_ok(), is_own, "{own} {said_id}");
        }
    }

    #[test]
    fn what_another_client_asks_changes_nothing() {
        let house = House::new();
        let (_, first) = house.grant("app");
        let other = said(Some("other"), None);
        let refused = house.redeem_as(&first, other.clone(), T0);
        assert_eq!(refused, Err(Refused::Invalid));
        let second = house.redeem(&first, T0).unwrap();
        assert_eq!(
            house.redeem_as(&first, other.clone(), T0),
            Err(Refused::Invalid)
        );
        assert_eq!(house.redeem(&first, T0).unwrap(), second, "it is repeated");
        let late = T0.plus_seconds(30);
        assert_eq!(house.redeem_as(&first, other, late), Err(Refused::Reused));
    }

    #[test]
    fn reuse_ends_the_family_and_its_login() {
        let house = House::new();
        let (sid, first) = house.grant("app");
        let second = house.redeem(&first, T0).unwrap();
        assert_eq!(
            house.redeem(&first, T0.plus_seconds(30)),
            Err(Refused::Reused)
        );
        assert_eq!(
            house.redeem(&second, T0.plus_seconds(30)),
            Err(Refused::Invalid)
        );
        assert!(house.live.revocations.contains(sid.as_bytes()));
        assert!(
            !LOGINS
                .contains(&house.store.reader(), &(house.uid, sid))
                .unwrap()
        );
    }

    #[test]
    fn what_is_current_is_what_would_be_redeemed_and_asking_ends_nothing() {
        let house = House::new();
        let (_, first) = house.grant("app");
        let is_current = |token: &str, now| {
            let found = find_current(&house.live, &house.store.reader(), token, now);
            found.unwrap().is_some()
        };
        assert!(is_current(&first, T0));
        let second = house.redeem(&first, T0).unwrap();
        assert!(is_current(&first, T0.plus_seconds(29)), "it is repeated");
        assert!(!is_current(&first, T0.plus_seconds(30)));
        assert!(!is_current("guess", T0));
        assert!(!is_current(&second, T0.plus_seconds(3600)), "its life ends");
        assert!(is_current(&second, T0.plus_seconds(30)));
        assert!(house.redeem(&second, T0.plus_seconds(30)).is_ok());
    }

    #[test]
    fn a_token_two_generations_old_is_reuse_even_within_the_repeat_window() {
        let house = House::new();
        let (_, first) = house.grant("app");
        let second = house.redeem(&first, T0).unwrap();
        house.redeem(&second, T0).unwrap();
        assert_eq!(house.redeem(&first, T0), Err(Refused::Reused));
    }

    #[test]
    fn the_command_line_keeps_its_token_until_the_grant_ends() {
        let house = House::new();
        let (_, token) = house.grant(CLI_CLIENT);
        for i in 0..3 {
            assert_eq!(
                house.redeem(&token, T0.plus_seconds(i * 60)).unwrap(),
                token
            );
        }
        assert_eq!(
            house.redeem(&token, T0.plus_seconds(3600)),
            Err(Refused::Expired)
        );
    }

    #[test]
    fn a_forged_or_altered_token_is_refused_and_ends_nothing() {
        let house = House::new();
        let (_, token) = house.grant("app");
        let elsewhere = render(&Hasher::new(&[8; 32]), &GrantId::random(), 0);
        for forged in [
            "",
            "x",
            &token[1..],
            &format!("{token}A"),
            &format!("{token}="),
            elsewhere.expose(),
        ] {
            assert_eq!(house.redeem(forged, T0), Err(Refused::Invalid), "{forged}");
        }
        for i in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[i] = if altered[i] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                house.redeem(std::str::from_utf8(&altered).unwrap(), T0),
                Err(Refused::Invalid)
            );
        }
        assert!(house.redeem(&token, T0).is_ok());
    }
}
