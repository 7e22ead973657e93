//! The provider as last seen: its metadata and keys, fetched when needed, kept, and fetched again.
//!
//! **Invariants:** opening waits for nothing; one fetch at a time, whoever waits gets its outcome;
//! after a failure none for [`AFTER_FAILURE`]; what is there is kept while a newer one cannot be had
//! or cannot be used, but metadata that contradicts the issuer is never used (THREATS O7, O9, O10).

use std::{
    future::Future,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    algorithm::Algorithm,
    discovery::{self, Metadata},
    http::{Failure, Http},
    jws::{Unsigned, Unverified, Verified},
    keys::KeySet,
};

/// How often a provider that fails is asked.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How often it is asked for what is there already.
const EVERY: Duration = Duration::from_secs(3600);
/// How often whoever looks at the server's health makes it be asked.
const HEALTH_EVERY: Duration = Duration::from_secs(60);
/// How often an unknown key id may make it be asked for its keys.
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(10);

/// Something of the provider's.
struct Cached<T>(Mutex<Slot<T>>);

struct Slot<T> {
    value: Option<(Arc<T>, Instant)>,
    failure: Option<(Failure, Instant)>,
}

impl<T> Cached<T> {
    const fn new() -> Self {
        Self(Mutex::const_new(Slot {
            value: None,
            failure: None,
        }))
    }

    /// What is there if it is younger than `oldest`, else what `fetch` gets, else what is there.
    async fn get(
        &self,
        oldest: Duration,
        fetch: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Arc<T>, Failure> {
        let mut slot = self.0.lock().await;
        if let Some((value, at)) = &slot.value
            && at.elapsed() < oldest
        {
            return Ok(value.clone());
        }
        if let Some((failure, at)) = &slot.failure
            && at.elapsed() < AFTER_FAILURE
        {
            let known = slot.value.as_ref().map(|(value, _)| value.clone());
            return known.ok_or_else(|| failure.clone());
        }
        // Noted before, so that a caller who gives up meanwhile counts too.
        let unfinished = Failure("the provider did not answer in time".into());
        slot.failure = Some((unfinished, Instant::now()));
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                slot.value = Some((value.clone(), Instant::now()));
                slot.failure = None;
                Ok(value)
            }
            Err(failure) => {
                slot.failure = Some((failure.clone(), Instant::now()));
                let known = slot.value.as_ref().map(|(value, _)| value.clone());
                known.ok_or(failure)
            }
        }
    }
}

impl<T> Cached<T> {
    /// The last attempt's failure.
    async fn failure(&self) -> Option<Failure> {
        let slot = self.0.lock().await;
        slot.failure.as_ref().map(|(failure, _)| failure.clone())
    }
}

/// One provider.
pub(crate) struct Provider {
    issuer: String,
    wanted: Vec<Algorithm>,
    http: Http,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
    refetches: Refetches,
}

/// How often unknown keys make us ask the provider: a few times at once, for keys that have just
/// changed, then once in [`UNKNOWN_KEY_EVERY`], for whoever makes keys up (THREATS O7).
struct Refetches(std::sync::Mutex<(u32, Option<Instant>)>);

/// Refetches there may be at once.
const BURST: u32 = 3;

impl Refetches {
    /// The oldest keys that will do.
    fn oldest(&self) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = &mut *state;
        if since.is_none_or(|since| since.elapsed() >= UNKNOWN_KEY_EVERY) {
            *since = Some(Instant::now());
            *left = (*left + 1).min(BURST);
        }
        if *left == 0 {
            return UNKNOWN_KEY_EVERY;
        }
        *left -= 1;
        Duration::ZERO
    }
}

/// Why a token is not good.
pub(crate) enum BadToken {
    /// It is not.
    Refused(String),
    /// The keys cannot be had.
    CannotTell(Failure),
}

impl Provider {
    pub(crate) const fn new(issuer: String, wanted: Vec<Algorithm>, http: Http) -> Self {
        Self {
            issuer,
            wanted,
            http,
            metadata: Cached::new(),
            keys: Cached::new(),
            refetches: Refetches(std::sync::Mutex::new((BURST, None))),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }

    /// The metadata.
    ///
    /// # Errors
    /// When there is none, or none that may be used.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, Failure> {
        self.metadata_within(EVERY).await
    }

    async fn metadata_within(&self, oldest: Duration) -> Result<Arc<Metadata>, Failure> {
        let fetch = async {
            let url = discovery::location(&self.issuer)
                .map_err(|error| Failure(format!("the issuer is no URL: {error}")))?;
            let document = self.http.get_json(&url).await?;
            Metadata::read(document, &self.issuer, &self.wanted)
                .map_err(|why| Failure(format!("the provider's metadata {why}")))
        };
        self.metadata.get(oldest, fetch).await
    }

    /// Whether the provider answers.
    ///
    /// # Errors
    /// When it did not, last.
    pub(crate) async fn health(&self) -> Result<(), Failure> {
        self.metadata_within(HEALTH_EVERY).await?;
        self.metadata.failure().await.map_or(Ok(()), Err)
    }

    async fn keys(&self, metadata: &Metadata, oldest: Duration) -> Result<Arc<KeySet>, Failure> {
        let fetch = async {
            let document = self.http.get_json(&metadata.jwks_uri).await?;
            KeySet::read(&document).map_err(Failure)
        };
        self.keys.get(oldest, fetch).await
    }

    /// Checks the signature of a token of the provider's, with newer keys if it must be.
    ///
    /// # Errors
    /// [`BadToken`].
    pub(crate) async fn verify(
        &self,
        token: &str,
        metadata: &Metadata,
    ) -> Result<Verified, BadToken> {
        let read = || Unverified::read(token).map_err(BadToken::Refused);
        let first = read()?;
        let keys = self.keys(metadata, EVERY).await;
        let keys = keys.map_err(BadToken::CannotTell)?;
        match first.verify(&keys, &metadata.algorithms) {
            Ok(verified) => return Ok(verified),
            Err(Unsigned::UnknownKey | Unsigned::WrongKey) => {}
            Err(refused) => return Err(BadToken::Refused(refused.reason())),
        }
        let newer = self.keys(metadata, self.refetches.oldest()).await;
        let newer = newer.map_err(BadToken::CannotTell)?;
        let second = read()?.verify(&newer, &metadata.algorithms);
        second.map_err(|unsigned| BadToken::Refused(unsigned.reason()))
    }
}
