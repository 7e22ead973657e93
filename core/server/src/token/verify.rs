//! Verifying tokens: the path of every bearer request.
//!
//! **Invariants:** the algorithm is the key's and never the token's; a token seen before is still
//! held against the time, the revocation index and its account on every request; a
//! [`VerifiedToken`] exists only for a token that passed all of it.

use std::{ops::Deref, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

use super::{
    AccountIndex, AccountState, Claims, Keyring, RevocationIndex, TokenUse,
    claims::Wire,
    keyring::HS256,
    parse::{self, decode, split},
};
use crate::{account::is_reserved, clock::Timestamp, secret::Secret};

/// How far clocks may differ, in milliseconds.
const LEEWAY_MILLIS: u64 = 60_000;

/// What the cache of verified tokens may hold, in bytes of tokens and claims.
const CACHE_BYTES: u64 = 16 << 20;
const CACHE_ITEMS: usize = 16 * 1024;

/// Why a token is refused: for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not three canonical segments of strict JSON.
    #[error("malformed")]
    Malformed,
    /// Another algorithm than its key's.
    #[error("wrong algorithm")]
    Algorithm,
    /// Signed with no key of ours.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not its key's.
    #[error("bad signature")]
    Signature,
    /// Past its time.
    #[error("expired")]
    Expired,
    /// Before its time.
    #[error("not valid yet")]
    NotYetValid,
    /// Issued by somebody else.
    #[error("wrong issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("wrong audience")]
    Audience,
    /// A claim is missing, of a wrong type, or out of bounds.
    #[error("bad claims")]
    Claims,
    /// Its login, API token or grant was revoked.
    #[error("revoked")]
    Revoked,
    /// Its account does not exist (any more).
    #[error("no such account")]
    NoAccount,
    /// Its account is disabled.
    #[error("account disabled")]
    Disabled,
}

/// A token that passed. Only the [`Verifier`] makes one.
#[derive(Debug)]
pub struct VerifiedToken {
    claims: Claims,
    account: Arc<AccountState>,
}

impl VerifiedToken {
    /// The account it acts for.
    pub fn account(&self) -> &Arc<AccountState> {
        &self.account
    }
}

impl Deref for VerifiedToken {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<VerifiedToken>> for Weight {
    fn weight(&self, token: &Box<[u8]>, _: &Arc<VerifiedToken>) -> u64 {
        // The token, its claims as text once more, and the bookkeeping.
        2 * token.len() as u64 + 512
    }
}

/// Signs and verifies tokens.
pub struct Verifier {
    keyring: Keyring,
    issuer: Box<str>,
    audience: Box<str>,
    allow_unlimited: bool,
    accounts: Arc<AccountIndex>,
    revocations: Arc<RevocationIndex>,
    seen: Cache<Box<[u8]>, Arc<VerifiedToken>, Weight>,
}

impl Verifier {
    /// A verifier of tokens that `issuer` issues for `audience`. With `allow_unlimited`, API tokens
    /// may lack `exp`.
    pub fn new(
        keyring: Keyring,
        issuer: &str,
        audience: &str,
        allow_unlimited: bool,
        accounts: Arc<AccountIndex>,
        revocations: Arc<RevocationIndex>,
    ) -> Self {
        let seen = Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight);
        Self {
            keyring,
            issuer: issuer.into(),
            audience: audience.into(),
            allow_unlimited,
            accounts,
            revocations,
            seen,
        }
    }

    /// Decides on a token.
    ///
    /// # Errors
    /// [`Refusal`] says why, for the log.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Arc<VerifiedToken>, Refusal> {
        if let Some(seen) = self.seen.get(token) {
            self.check_now(&seen, now)?;
            return Ok(seen);
        }
        let verified = Arc::new(self.verify_unseen(token, now)?);
        self.check_now(&verified, now)?;
        self.seen.insert(token.into(), Arc::clone(&verified));
        Ok(verified)
    }

    /// Signs a token that says `claims`.
    ///
    /// # Panics
    /// Never: an HMAC over serialisable claims cannot fail.
    #[allow(
        clippy::expect_used,
        reason = "an HMAC over serialisable claims cannot fail"
    )]
    pub fn sign(&self, claims: &Claims) -> Secret<String> {
        let key = self.keyring.signing();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(key.kid.to_string());
        let token = jsonwebtoken::encode(&header, &Wire::from(claims), &key.encoding());
        Secret::new(token.expect("an HMAC over serialisable claims"))
    }

    /// What never changes about a token: looked at once.
    fn verify_unseen(&self, token: &[u8], now: Timestamp) -> Result<VerifiedToken, Refusal> {
        let parts = split(token)?;
        let header = parse::header(parts.header)?;
        let key = self.keyring.get(&header.kid).ok_or(Refusal::UnknownKey)?;
        if header.alg != HS256 {
            return Err(Refusal::Algorithm);
        }
        if !key.verify(parts.signed, &parts.signature) {
            return Err(Refusal::Signature);
        }
        let wire: Wire =
            serde_json::from_slice(&decode(parts.claims)?).map_err(|_| Refusal::Claims)?;
        let claims = wire.into_claims().ok_or(Refusal::Claims)?;
        if claims.issuer != self.issuer {
            return Err(Refusal::Issuer);
        }
        if claims.audience != self.audience {
            return Err(Refusal::Audience);
        }
        let may_last = claims.token_use == TokenUse::Api && self.allow_unlimited;
        if claims.expires_at.is_none() && !may_last {
            return Err(Refusal::Claims);
        }
        let latest = Timestamp::from_millis(now.millis().saturating_add(LEEWAY_MILLIS));
        if claims.issued_at > latest || claims.not_before > latest {
            return Err(Refusal::NotYetValid);
        }
        if claims.subject.is_empty() || is_reserved(&claims.subject) {
            return Err(Refusal::Claims);
        }
        let account = self.accounts.get(&claims.uid).ok_or(Refusal::NoAccount)?;
        if account.id != claims.subject {
            return Err(Refusal::NoAccount);
        }
        Ok(VerifiedToken { claims, account })
    }

    /// What may have changed since: looked at on every request.
    fn check_now(&self, token: &VerifiedToken, now: Timestamp) -> Result<(), Refusal> {
        if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Refusal::Expired);
        }
        if token.account.is_deleted() {
            return Err(Refusal::NoAccount);
        }
        if token.account.is_disabled() {
            return Err(Refusal::Disabled);
        }
        let grant = token.grant.as_ref();
        if self.revocations.contains(token.sid.as_bytes())
            || grant.is_some_and(|grant| self.revocations.contains(grant.as_bytes()))
        {
            return Err(Refusal::Revoked);
        }
        Ok(())
    }
}
