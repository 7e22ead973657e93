//! The decision whether a bearer token counts.
//!
//! Owns: the order of checks. Does not: look at scopes (`scope` says what a path needs) or tell
//! callers why (they all get the same 401).
//!
//! **Invariant:** a [`VerifiedToken`] handed out was, at that moment: signed by a key we hold,
//! of this issuer and audience, within its time, of an account that is known under its `sub` and
//! may act, and not revoked. The cache saves the first two, never the rest.

use std::{
    borrow::Cow,
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use smol_str::SmolStr;

use super::{
    cache::Cache,
    claims::{Claims, TokenUse},
    index::{AccountIndex, AccountState},
    keyring::Keyring,
    parse,
    refusal::{Meter, Refusal},
    revocation::RevocationIndex,
    scope::Scopes,
};
use crate::{
    clock::Timestamp,
    id::{GrantId, LoginId, TokenId},
    secret::Secret,
};

/// How far ahead of ours a clock that stamped a token may be, in seconds.
const LEEWAY: u64 = 60;

/// A token that counted when it was handed out. Only [`Verifier::verify`] makes one.
#[derive(Clone)]
pub struct VerifiedToken {
    account: Arc<AccountState>,
    /// Of the keyring that checked the signature.
    epoch: u64,
    /// Of the revocation index when the ids were last looked up.
    generation: u64,
    terms: Terms,
}

/// What a token says, without what its account and its verifier know as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// `iat`.
    pub issued_at: Timestamp,
    /// `nbf`.
    pub not_before: Timestamp,
    /// `exp`.
    pub expires_at: Option<Timestamp>,
    /// `token_use`.
    pub token_use: TokenUse,
    /// `scope`.
    pub scope: Option<Scopes>,
    /// `sid`.
    pub sid: LoginId,
    /// `jti`.
    pub jti: TokenId,
    /// `grant_id`.
    pub grant: Option<GrantId>,
    /// `provider`.
    pub provider: SmolStr,
    /// `act.client_id`.
    pub client_id: Option<SmolStr>,
    /// `iss`, where that is not what the server calls itself now.
    former_issuer: Option<SmolStr>,
}

impl VerifiedToken {
    /// The account it acts for, as it is now.
    pub fn account(&self) -> &Arc<AccountState> {
        &self.account
    }

    /// What it takes in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let Terms {
            provider,
            client_id,
            former_issuer,
            ..
        } = &self.terms;
        let optional = [client_id, former_issuer].into_iter().flatten();
        let texts = optional.chain([provider]);
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }
}

impl Deref for VerifiedToken {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifiedToken")
            .field(&self.account)
            .field(&self.terms)
            .finish()
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
    pub fn sign(&self, claims: &Claims<'_>) -> Secret<String> {
        self.keyring.load().sign(claims)
    }

    /// Decides about `token`, the bytes after `Bearer ` or of the cookie. Blocks for nothing.
    ///
    /// # Errors
    /// Why it does not count: for the log and never for the caller.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<VerifiedToken, Refusal> {
        let cached = self.cache.get(token);
        let was_cached = cached.is_some();
        if let Some(mut verified) = cached {
            let looked_up_at = verified.generation;
            if self.still_counts(&mut verified, now) {
                if verified.generation != looked_up_at {
                    self.cache.insert(token, &verified);
                }
                self.meter.hits.add_one();
                return Ok(verified);
            }
        }
        // Whatever changed about a cached one, the whole decision is made anew.
        let decided = self.verify_anew(token, now);
        self.meter.misses.add_one();
        if let Err(refusal) = &decided {
            self.meter.refuse(*refusal);
        }
        match &decided {
            Ok(verified) if was_cached => self.cache.insert(token, verified),
            Ok(verified) => self.cache.offer(token, verified),
            Err(_) if was_cached => self.cache.remove(token),
            Err(_) => {}
        }
        decided
    }

    /// All that a token says.
    pub fn claims<'a>(&'a self, token: &'a VerifiedToken) -> Claims<'a> {
        let Terms {
            issued_at,
            not_before,
            expires_at,
            token_use,
            scope,
            sid,
            jti,
            grant,
            provider,
            client_id,
            former_issuer,
        } = &token.terms;
        let issuer = former_issuer.as_deref().unwrap_or(&self.issuer);
        Claims {
            issuer: Cow::Borrowed(issuer),
            audience: Cow::Borrowed(&self.audience),
            subject: Cow::Borrowed(&token.account.id),
            uid: token.account.uid,
            sid: *sid,
            jti: *jti,
            issued_at: *issued_at,
            not_before: *not_before,
            expires_at: *expires_at,
            provider: Cow::Borrowed(provider),
            token_use: *token_use,
            scope: *scope,
            grant: *grant,
            client_id: client_id.as_deref().map(Cow::Borrowed),
        }
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

    fn still_counts(&self, verified: &mut VerifiedToken, now: Timestamp) -> bool {
        verified.epoch == self.epoch.load(Ordering::SeqCst)
            && verified.account.is_active()
            && !self.is_revoked(verified)
            && self.check_time(&verified.terms, now).is_ok()
    }

    fn verify_anew(&self, token: &[u8], now: Timestamp) -> Result<VerifiedToken, Refusal> {
        let segments = parse::split(token)?;
        let epoch = self.epoch.load(Ordering::SeqCst);
        let keyring = self.keyring.load();
        keyring.check(&segments)?;
        parse::decoded(segments.payload, |json| {
            let claims = Claims::parse(json)?;
            let former_issuer = self.check_claims(&claims, &keyring)?;
            let account = self.accounts.get(&claims.uid).ok_or(Refusal::NoAccount)?;
            if account.is_deleted() || *account.id != *claims.subject {
                return Err(Refusal::NoAccount);
            }
            if account.is_disabled() {
                return Err(Refusal::Disabled);
            }
            let mut verified = VerifiedToken {
                account,
                epoch,
                generation: 0, // no index is at 0: the ids are looked up
                terms: Terms {
                    issued_at: claims.issued_at,
                    not_before: claims.not_before,
                    expires_at: claims.expires_at,
                    token_use: claims.token_use,
                    scope: claims.scope,
                    sid: claims.sid,
                    jti: claims.jti,
                    grant: claims.grant,
                    provider: claims.provider.into(),
                    client_id: claims.client_id.map(Into::into),
                    former_issuer,
                },
            };
            if self.is_revoked(&mut verified) {
                return Err(Refusal::Revoked);
            }
            // After the look-up: an id forgotten in between has raised the floor by now.
            self.check_time(&verified.terms, now)?;
            Ok(verified)
        })
    }

    /// Returns the issuer if it is a former one.
    fn check_claims(
        &self,
        claims: &Claims<'_>,
        keyring: &Keyring,
    ) -> Result<Option<SmolStr>, Refusal> {
        let former = (*claims.issuer != *self.issuer).then(|| SmolStr::from(&*claims.issuer));
        if former
            .as_ref()
            .is_some_and(|issuer| !keyring.is_issuer(issuer))
        {
            return Err(Refusal::Issuer);
        }
        if *claims.audience != *self.audience {
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
        Ok(former)
    }

    fn check_time(&self, terms: &Terms, now: Timestamp) -> Result<(), Refusal> {
        // The floor: what was refused for its age stays refused when the clock is set back.
        let latest = now.max(self.revocations.floor());
        if terms.expires_at.is_some_and(|exp| exp <= latest) {
            return Err(Refusal::Expired);
        }
        if terms.issued_at.max(terms.not_before) > now.plus_seconds(LEEWAY) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }

    fn is_revoked(&self, verified: &mut VerifiedToken) -> bool {
        // Read before the ids are looked up: what comes in between is looked up next time.
        let generation = self.revocations.generation();
        if verified.generation == generation {
            return false;
        }
        let Terms { sid, grant, .. } = &verified.terms;
        let is_revoked = match grant {
            Some(grant) => {
                let ids = [sid.as_bytes(), grant.as_bytes()];
                self.revocations.contains_either(ids)
            }
            None => self.revocations.contains(sid.as_bytes()),
        };
        verified.generation = generation;
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
