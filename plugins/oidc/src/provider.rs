//! The provider as last seen: its metadata and keys, fetched when needed, kept, and fetched again.
//!
//! **Invariants:** opening waits for nothing; one fetch at a time, whoever waits gets its outcome;
//! after a failure none for [`AFTER_FAILURE`]; what is there is kept while a newer one cannot be had
//! or cannot be used, but metadata that contradicts the issuer is never used (THREATS O7, O9, O10).

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

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
struct Cached<T> {
    slot: parking_lot::Mutex<Slot<T>>,
    /// Held by whoever fetches.
    gate: tokio::sync::Mutex<()>,
}

struct Slot<T> {
    value: Option<(Arc<T>, Instant)>,
    failure: Option<(Failure, Instant)>,
}

impl<T> Cached<T> {
    const fn new() -> Self {
        let slot = Slot {
            value: None,
            failure: None,
        };
        Self {
            slot: parking_lot::const_mutex(slot),
            gate: tokio::sync::Mutex::const_new(()),
        }
    }

    /// What is there if it is younger than `oldest`, else what `fetch` gets, else what is there.
    async fn get(
        &self,
        oldest: Duration,
        fetch: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Arc<T>, Failure> {
        if let Some(fresh) = self.fresh(oldest) {
            return Ok(fresh);
        }
        let _alone = match self.gate.try_lock() {
            Ok(alone) => alone,
            Err(_) => {
                // Somebody fetches already: the last hour's will do meanwhile.
                if let (true, Some(stale)) = (oldest >= EVERY, self.fresh(Duration::MAX)) {
                    return Ok(stale);
                }
                self.gate.lock().await
            }
        };
        if let Some(fresh) = self.fresh(oldest) {
            return Ok(fresh);
        }
        if let Some(failure) = self.failure(AFTER_FAILURE) {
            return self.fresh(Duration::MAX).ok_or(failure);
        }
        // Noted before, so that a caller who gives up meanwhile counts too.
        let unfinished = Failure("the provider did not answer in time".into());
        self.slot.lock().failure = Some((unfinished, Instant::now()));
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                *self.slot.lock() = Slot {
                    value: Some((value.clone(), Instant::now())),
                    failure: None,
                };
                Ok(value)
            }
            Err(failure) => {
                self.slot.lock().failure = Some((failure.clone(), Instant::now()));
                self.fresh(Duration::MAX).ok_or(failure)
            }
        }
    }

    /// What is there, if it is younger than `oldest`.
    fn fresh(&self, oldest: Duration) -> Option<Arc<T>> {
        let slot = self.slot.lock();
        let (value, at) = slot.value.as_ref()?;
        (at.elapsed() < oldest).then(|| value.clone())
    }

    /// The failure of the last attempt, if it is younger than `oldest`.
    fn failure(&self, oldest: Duration) -> Option<Failure> {
        let slot = self.slot.lock();
        let (failure, at) = slot.failure.as_ref()?;
        (at.elapsed() < oldest).then(|| failure.clone())
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
struct Refetches(parking_lot::Mutex<(u32, Option<Instant>)>);

/// Refetches there may be at once.
const BURST: u32 = 3;

impl Refetches {
    /// The oldest keys that will do.
    fn oldest(&self) -> Duration {
        let mut state = self.0.lock();
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
            refetches: Refetches(parking_lot::Mutex::new((BURST, None))),
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
        let failure = self.metadata.failure(Duration::MAX);
        failure.map_or(Ok(()), Err)
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
