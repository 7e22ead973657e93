//! Whether a person still may, asked with the refresh token the provider gave (OpenID Connect Core
//! 1.0 section 12).
//!
//! **Invariants:** at most one question per person at a time (a provider that rotates tokens takes a
//! second use of one for theft); a rotated token is written even if nobody waits for the answer any
//! more; a token written by a sign-in meanwhile is never overwritten; who is gone stays so for
//! every login that asks, until they sign in anew.

use std::sync::Arc;

use aws_lc_rs::digest::{self, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use omnigent_plugin::{BackendError, Host, IdentityRef, Level, Standing};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    exchange::{NoTokens, Tokens},
    openid::OpenId,
    vault::{Fault, Vault},
};

/// Where a public client's key is kept: no export holds it.
const KEY: &str = "secret/refresh-key";
/// Where older versions kept it.
const OLD_KEY: &str = "refresh-key";
/// Kept in place of the token of somebody who is gone: no sealed token begins so. In the clear, so that
/// it outlives the client secret.
const GONE: &[u8] = b"gone";
/// The longest refresh token that is kept: the store takes records of 16 KiB.
const LONGEST: usize = 12 * 1024;
/// People share locks, not many at a time.
const LOCKS: usize = 64;

/// The refresh tokens of one provider.
pub(crate) struct Keeper {
    vault: OnceCell<Vault>,
    locks: [Mutex<()>; LOCKS],
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self {
            vault: OnceCell::new(),
            locks: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    async fn vault(&self, of: &OpenId) -> Result<&Vault, BackendError> {
        let make = || async {
            let secret = match &of.party.credentials.secret {
                Some(secret) => secret.clone().into_bytes(),
                None => own_key(&of.host).await?,
            };
            let client_id = &of.party.credentials.client_id;
            Vault::new(&secret, of.party.provider.issuer(), client_id).map_err(fault)
        };
        self.vault.get_or_try_init(make).await
    }
}

/// A key of the instance's own, for a client that has no secret. One at its old place is moved.
///
/// The old place is read first, and emptied last: whoever finds it empty because somebody else moved the
/// key finds the key at its new place, so that all agree on it.
async fn own_key(host: &Host) -> Result<Vec<u8>, BackendError> {
    let kv = host.kv();
    let old = kv.get(OLD_KEY).await?;
    if kv.get(KEY).await?.is_none() {
        let key = match &old {
            Some(old) => old.clone(),
            None => host.random::<32>()?.to_vec(),
        };
        kv.compare_and_swap(KEY, None, Some(&key)).await?;
    }
    let key = kv.get(KEY).await?;
    let key =
        key.ok_or_else(|| BackendError::internal("the key for refresh tokens was not kept"))?;
    if old.is_some() {
        kv.delete(OLD_KEY).await?;
    }
    Ok(key)
}

fn fault(fault: Fault) -> BackendError {
    BackendError::internal(fault.to_string())
}

/// Where a person's token is: a subject may be longer than a key.
fn place(subject: &str) -> (String, usize) {
    let hash = digest(&digest::SHA256, subject.as_bytes());
    let first = hash.as_ref().first().copied().unwrap_or_default();
    let place = format!("refresh/{}", BASE64.encode(hash.as_ref()));
    (place, usize::from(first) % LOCKS)
}

/// What came of asking.
enum Outcome {
    Tokens(Tokens),
    Gone(String),
}

impl OpenId {
    /// Notes that somebody signed in: keeps the refresh token, if there is one; in any case they are gone
    /// no more. A sign-in does not fail by it.
    pub(crate) async fn keep(&self, subject: &str, tokens: &Tokens) {
        let (place, _) = place(subject);
        let token = tokens.refresh_token.as_ref();
        if let Some(token) = token.filter(|_| self.party.revalidate) {
            match self.try_keep(&place, token).await {
                Ok(()) => return,
                Err(error) => self.warn(&format!(
                    "a refresh token was not kept, so its owner is not asked for: {error}"
                )),
            }
        }
        let kv = self.host.kv();
        if let Err(error) = kv.compare_and_swap(&place, Some(GONE), None).await {
            self.warn(&format!(
                "who signed in anew stays gone until they do so again: {error}"
            ));
        }
    }

    async fn try_keep(&self, place: &str, token: &str) -> Result<(), BackendError> {
        if token.len() > LONGEST {
            return Err(BackendError::internal("it is too long"));
        }
        let vault = self.keeper.vault(self).await?;
        let sealed = vault.seal(place, token).map_err(fault)?;
        self.host.kv().put(place, &sealed).await
    }

    fn warn(&self, text: &str) {
        self.host.log(Level::Warn, text);
    }

    async fn lock(&self, lock: usize) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.keeper.locks.get(lock) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }

    /// Whether the identity still holds. Runs to its end even if the caller does not wait.
    pub(crate) async fn revalidate(
        self: &Arc<Self>,
        identity: &IdentityRef,
    ) -> Result<Standing, BackendError> {
        if !self.party.revalidate {
            return Ok(Standing::holds());
        }
        let issuer = self.party.provider.issuer();
        if identity
            .issuer
            .as_deref()
            .is_some_and(|theirs| theirs != issuer)
        {
            return Ok(Standing::gone(
                "vouched for by an issuer that is configured no more",
            ));
        }
        let (this, subject) = (self.clone(), identity.subject.clone());
        let asking = tokio::spawn(async move { this.ask(&subject).await });
        let failed = |error: tokio::task::JoinError| BackendError::internal(error.to_string());
        asking.await.map_err(failed)?
    }

    async fn ask(&self, subject: &str) -> Result<Standing, BackendError> {
        let (place, lock) = place(subject);
        let _alone = self.lock(lock).await;
        let kv = self.host.kv();
        let Some(sealed) = kv.get(&place).await? else {
            return Ok(Standing::holds());
        };
        if sealed == GONE {
            return Ok(Standing::gone("gone since an earlier refresh"));
        }
        let vault = self.keeper.vault(self).await?;
        let Some(token) = vault.open(&place, &sealed) else {
            self.warn(
                "a kept refresh token does not open (has `client_secret` changed?): forgotten",
            );
            kv.compare_and_swap(&place, Some(&sealed), None).await?;
            return Ok(Standing::holds());
        };
        let metadata = self.party.provider.metadata().await?;
        let exchange = self.party.exchange(&metadata)?;
        let answer = exchange.refresh(self.party.provider.http(), &token).await;
        let tokens = match outcome(answer)? {
            Outcome::Tokens(tokens) => tokens,
            Outcome::Gone(why) => {
                let ours = kv
                    .compare_and_swap(&place, Some(&sealed), Some(GONE))
                    .await?;
                // Signed in anew meanwhile: that holds. Unless another instance heard the same.
                return Ok(
                    match ours || kv.get(&place).await?.as_deref() == Some(GONE) {
                        true => Standing::gone(why),
                        false => Standing::holds(),
                    },
                );
            }
        };
        if let Some(rotated) = tokens.refresh_token.as_ref().filter(|new| **new != token) {
            let new = vault.seal(&place, rotated).map_err(fault)?;
            kv.compare_and_swap(&place, Some(&sealed), Some(&new))
                .await?;
        }
        let now = self.now();
        self.party.renewed(subject, &metadata, &tokens, now).await
    }
}

/// Only the provider's word about the *grant* ends it (RFC 6749 section 5.2; OpenID Connect Core
/// 3.1.2.6): a wrong client secret says nothing of the person.
fn outcome(answer: Result<Tokens, NoTokens>) -> Result<Outcome, BackendError> {
    match answer {
        Ok(tokens) => Ok(Outcome::Tokens(tokens)),
        Err(NoTokens::CannotTell(failure)) => Err(failure.into()),
        Err(NoTokens::Refused { code, why }) => match code.as_str() {
            "invalid_grant"
            | "interaction_required"
            | "login_required"
            | "consent_required"
            | "access_denied" => Ok(Outcome::Gone(why)),
            _ => Err(BackendError::unavailable(why)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Failure;

    fn refused(code: &str) -> Result<Tokens, NoTokens> {
        Err(NoTokens::Refused {
            code: code.into(),
            why: "because".into(),
        })
    }

    #[test]
    fn only_the_providers_word_on_the_grant_ends_it() {
        for code in ["invalid_grant", "interaction_required", "access_denied"] {
            assert!(
                matches!(outcome(refused(code)), Ok(Outcome::Gone(_))),
                "{code}"
            );
        }
        for code in [
            "invalid_client",
            "invalid_request",
            "server_error",
            "",
            "invalid_grants",
        ] {
            let told = outcome(refused(code));
            assert!(
                matches!(told, Err(BackendError::Unavailable { .. })),
                "{code}"
            );
        }
        let silent = outcome(Err(NoTokens::CannotTell(Failure("down".into()))));
        assert!(matches!(silent, Err(BackendError::Unavailable { .. })));
    }

    #[test]
    fn no_sealed_token_is_taken_for_gone() -> Result<(), Fault> {
        let vault = Vault::new(b"s", "https://id.example.com", "us")?;
        let sealed = vault.seal("refresh/a", "gone")?;
        assert_ne!(sealed.first(), GONE.first());
        assert_eq!(vault.open("refresh/a", GONE), None);
        Ok(())
    }

    #[test]
    fn a_place_is_short_and_names_nobody() {
        let (place, lock) = place(&"alice@example.com".repeat(15));
        assert!(place.len() < 64 && !place.contains("alice") && lock < LOCKS);
        assert_ne!(super::place("a").0, super::place("b").0);
    }
}
