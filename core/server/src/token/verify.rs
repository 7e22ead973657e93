//! The decision whether a bearer token counts.
//!
//! Owns: the order of checks, and what a refusal is called in the log. Does not: look at scopes
//! (`scope` says what a path needs) or tell callers why (they all get the same 401).
//!
//! **Invariant:** a [`VerifiedToken`] handed out was, at that moment: signed by a key we hold,
//! of this issuer and audience, within its time, of an account that is known under its `sub` and
//! may act, and not revoked. The cache saves the first two, never the rest.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use super::{
    cache::Cache,
    claims::{Claims, TokenUse},
    index::{AccountIndex, AccountState},
    keyring::Keyring,
    parse,
    revocation::RevocationIndex,
};
use crate::{clock::Timestamp, metrics::Counter, secret::Secret};

/// How far ahead of ours a clock that stamped a token may be, in seconds.
const LEEWAY: u64 = 60;

/// Why a token does not count. For the log; callers learn only that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not three segments of base64url, too long, or not a header of ours.
    #[error("malformed")]
    Malformed,
    /// Not the algorithm of the key.
    #[error("algorithm")]
    Algorithm,
    /// No such key, or forgotten.
    #[error("unknown-key")]
    UnknownKey,
    /// Missing, malformed or wrong.
    #[error("signature")]
    Signature,
    /// Past its `exp`.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("not-yet-valid")]
    NotYetValid,
    /// Not this server's.
    #[error("issuer")]
    Issuer,
    /// For somebody else.
    #[error("audience")]
    Audience,
    /// Claims missing, mistyped, unknown, out of bounds or reserved.
    #[error("claims")]
    Claims,
    /// Its login, API token, grant or itself has been revoked.
    #[error("revoked")]
    Revoked,
    /// No account of this `uid`, or it is not called `sub`.
    #[error("no-account")]
    NoAccount,
    /// The account may not act.
    #[error("disabled")]
    Disabled,
}

/// What the verifier has decided so far.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Tokens found in the cache that still count.
    pub(crate) hits: Counter,
    /// Tokens looked at from the beginning.
    pub(crate) misses: Counter,
    refused: [AtomicU64; REFUSALS.len()],
}

/// Every reason, in the order of its declaration.
const REFUSALS: [Refusal; 12] = [
    Refusal::Malformed,
    Refusal::Algorithm,
    Refusal::UnknownKey,
    Refusal::Signature,
    Refusal::Expired,
    Refusal::NotYetValid,
    Refusal::Issuer,
    Refusal::Audience,
    Refusal::Claims,
    Refusal::Revoked,
    Refusal::NoAccount,
    Refusal::Disabled,
];

impl Meter {
    /// How many tokens were refused for each reason that there was.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self
            .refused
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let reasons = REFUSALS.iter().map(ToString::to_string);
        reasons.zip(counts).filter(|(_, count)| *count > 0)
    }
}

/// A token that counted when it was handed out. Only [`Verifier::verify`] makes one.
// In this order: what every look at it reads is together, at its beginning.
#[repr(C)]
pub struct VerifiedToken {
    account: Arc<AccountState>,
    // Of the keyring that checked the signature.
    epoch: u64,
    // Of the revocation index when the ids were last looked up.
    generation: AtomicU64,
    claims: Claims,
    text: Text,
}

/// A token's text, in the place of what it says: to compare it is to have fetched that too.
type Text = SmallVec<[u8; 512]>;

impl VerifiedToken {
    /// The account it acts for, as it is now.
    pub fn account(&self) -> &Arc<AccountState> {
        &self.account
    }

    /// The whole token.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// What it takes in memory, in bytes. What it says is in its text too.
    pub(super) fn size(&self) -> usize {
        let beside = if self.text.spilled() { 2 } else { 1 };
        size_of::<Self>() + beside * self.text.len()
    }
}

impl Deref for VerifiedToken {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claims.fmt(f)
    }
}

/// Signs and verifies tokens. One for the whole server, shared by reference.
pub struct Verifier {
    keyring: ArcSwap<Keyring>,
    epoch: AtomicU64,
    issuer: Box<str>,
    audience: Box<str>,
    allows_endless: bool,
    accounts: Arc<AccountIndex>,
    revocations: Arc<RevocationIndex>,
    cache: Cache,
    meter: Meter,
}

impl Verifier {
    /// A verifier of tokens with exactly this `aud`, and exactly this `iss` or one of those that
    /// the keyring says this server has had.
    pub fn new(
        keyring: Keyring,
        issuer: impl Into<Box<str>>,
        audience: impl Into<Box<str>>,
        accounts: Arc<AccountIndex>,
        revocations: Arc<RevocationIndex>,
    ) -> Self {
        Self {
            keyring: ArcSwap::from_pointee(keyring),
            epoch: AtomicU64::new(0),
            issuer: issuer.into(),
            audience: audience.into(),
            allows_endless: false,
            accounts,
            revocations,
            cache: Cache::new(),
            meter: Meter::default(),
        }
    }

    /// Whether API tokens may come without `exp`. No other token ever may.
    #[must_use]
    pub fn allow_endless_api_tokens(self, allows_endless: bool) -> Self {
        Self {
            allows_endless,
            ..self
        }
    }

    /// The token of `claims`, signed by the active key. Does not check them.
    pub fn sign(&self, claims: &Claims) -> Secret<String> {
        self.keyring.load().sign(claims)
    }

    /// Decides about `token`, the bytes after `Bearer ` or of the cookie. Blocks for nothing.
    ///
    /// # Errors
    /// Why it does not count: for the log and never for the caller.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Arc<VerifiedToken>, Refusal> {
        let cached = self.cache.get(token);
        if let Some(verified) = &cached
            && self.still_counts(verified, now)
        {
            self.meter.hits.add_one();
            return cached.ok_or(Refusal::Malformed);
        }
        // Whatever changed about a cached one, the whole decision is made anew.
        let decided = self.verify_anew(token, now);
        self.meter.misses.add_one();
        if let Err(refusal) = &decided
            && let Some(count) = self.meter.refused.get(*refusal as usize)
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        match &decided {
            Ok(verified) if cached.is_some() => self.cache.insert(verified),
            Ok(verified) => self.cache.offer(verified),
            Err(_) if cached.is_some() => self.cache.remove(token),
            Err(_) => {}
        }
        decided
    }

    /// What it has decided so far.
    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The keyring in use.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Signs and verifies with `keyring` from now on. Tokens of keys it lacks end at once.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
        // After the keys: a signature checked under this number was checked with them.
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.clear();
    }

    fn still_counts(&self, verified: &VerifiedToken, now: Timestamp) -> bool {
        verified.epoch == self.epoch.load(Ordering::SeqCst)
            && verified.account.is_active()
            && !self.is_revoked(verified)
            && self.check_time(&verified.claims, now).is_ok()
    }

    fn verify_anew(&self, token: &[u8], now: Timestamp) -> Result<Arc<VerifiedToken>, Refusal> {
        let segments = parse::split(token)?;
        let epoch = self.epoch.load(Ordering::SeqCst);
        let keyring = self.keyring.load();
        keyring.check(&segments)?;
        let claims = parse::decoded(segments.payload, Claims::parse)?;
        self.check_claims(&claims, &keyring)?;
        let account = self.accounts.get(&claims.uid).ok_or(Refusal::NoAccount)?;
        if account.is_deleted() || account.id != claims.subject {
            return Err(Refusal::NoAccount);
        }
        if account.is_disabled() {
            return Err(Refusal::Disabled);
        }
        let verified = VerifiedToken {
            claims,
            account,
            epoch,
            generation: AtomicU64::new(0), // no index is at 0: the ids are looked up
            text: Text::from_slice(token),
        };
        if self.is_revoked(&verified) {
            return Err(Refusal::Revoked);
        }
        // After the look-up: an id forgotten in between has raised the floor by now.
        self.check_time(&verified.claims, now)?;
        Ok(Arc::new(verified))
    }

    fn check_claims(&self, claims: &Claims, keyring: &Keyring) -> Result<(), Refusal> {
        if claims.issuer != self.issuer && !keyring.is_issuer(&claims.issuer) {
            return Err(Refusal::Issuer);
        }
        if claims.audience != self.audience {
            return Err(Refusal::Audience);
        }
        let is_endless = claims.expires_at.is_none();
        let may_be_endless = self.allows_endless && claims.token_use == TokenUse::Api;
        let is_unrestricted_or_some = claims.scope.is_none_or(|scopes| !scopes.is_empty());
        if (is_endless && !may_be_endless)
            || is_reserved(&claims.subject)
            || claims.provider.is_empty()
            || !is_unrestricted_or_some
        {
            return Err(Refusal::Claims);
        }
        Ok(())
    }

    fn check_time(&self, claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
        // The floor: what was refused for its age stays refused when the clock is set back.
        let latest = now.max(self.revocations.floor());
        if claims.expires_at.is_some_and(|exp| exp <= latest) {
            return Err(Refusal::Expired);
        }
        if claims.issued_at.max(claims.not_before) > now.plus_seconds(LEEWAY) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }

    fn is_revoked(&self, verified: &VerifiedToken) -> bool {
        // Read before the ids are looked up: what comes in between is looked up next time.
        let generation = self.revocations.generation();
        if verified.generation.load(Ordering::Acquire) == generation {
            return false;
        }
        let claims = &verified.claims;
        let ids = [claims.sid.as_bytes(), claims.jti.as_bytes()];
        let is_revoked = self.revocations.contains_either(ids)
            || claims
                .grant
                .is_some_and(|grant| self.revocations.contains(grant.as_bytes()));
        if !is_revoked {
            verified.generation.store(generation, Ordering::Release);
        }
        is_revoked
    }

    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cache.len()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("keyring", &self.keyring())
            .finish_non_exhaustive()
    }
}

/// Identities of the no-auth mode and of public sharing: no token is ever theirs.
fn is_reserved(subject: &str) -> bool {
    let subject = subject.trim();
    subject.is_empty()
        || subject.eq_ignore_ascii_case("local")
        || subject.eq_ignore_ascii_case("__public__")
}
