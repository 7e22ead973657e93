//! What a backend may ask of the host: log, clock, random, key-value store, password hashing.
//!
//! **Invariants:** a backend speaks in its own name only; work runs on the server's runtime and
//! what crosses the border is only the receiving end; a panic stays on this side; a flood of log
//! lines is cut to [`LINES_PER_SECOND`].

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use abi_stable::std_types::{RStr, RVec};
use async_ffi::{FfiFuture, FutureExt};
use omnigent_plugin::{
    BackendError, Level,
    abi::FfiHost,
    contract::{KvCall, PasswordCall, Reply},
};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};

use super::{
    hashing::Hashing,
    kv::{self, ApplyError},
};
use crate::{clock::Clock, id::random_bytes, secret::Secret, store::Store, store::StoreError};

const LINES_PER_SECOND: u32 = 100;
/// Calls of one backend at once: a flood must not fill the queues that all share.
const CALLS_AT_ONCE: usize = 256;
const LONGEST_LINE: usize = 1024;

/// What the host lends to backends.
#[derive(Clone)]
pub struct Services {
    /// Where their namespaces are.
    pub store: Store,
    /// The one pool that hashes.
    pub hashing: Hashing,
    /// The server's clock.
    pub clock: Clock,
    /// The server's runtime.
    pub runtime: Handle,
}

/// The host as one backend sees it.
pub(super) struct HostFor {
    name: String,
    services: Services,
    lines: Mutex<(u64, u32)>,
    places: Arc<Semaphore>,
}

impl HostFor {
    pub(super) fn new(name: &str, services: Services) -> Self {
        Self {
            name: name.to_owned(),
            services,
            lines: Mutex::new((0, 0)),
            places: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        }
    }

    /// Whether one more line may be written this second, and how many were cut before.
    fn admit_line(&self) -> Option<u32> {
        let second = self.services.clock.now().seconds();
        let mut lines = self.lines.lock();
        let cut = if lines.0 == second {
            0
        } else {
            lines.1.saturating_sub(LINES_PER_SECOND)
        };
        if lines.0 != second {
            *lines = (second, 0);
        }
        lines.1 = lines.1.saturating_add(1);
        (lines.1 <= LINES_PER_SECOND).then_some(cut)
    }

    fn spawn<M, T, F>(
        &self,
        payload: &[u8],
        work: impl FnOnce(Services, String, M) -> F,
    ) -> FfiFuture<RVec<u8>>
    where
        M: DeserializeOwned,
        T: Serialize + Send,
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let Ok(message) = serde_json::from_slice(payload) else {
            return now(reply::<()>(Err(BackendError::internal(
                "the message cannot be read",
            ))));
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return now(reply::<()>(Err(BackendError::Busy)));
        };
        let work = work(self.services.clone(), self.name.clone(), message);
        let task = AbortOnDrop(self.services.runtime.spawn(async move {
            let _place = place;
            reply(work.await)
        }));
        let died = || reply::<()>(Err(BackendError::internal("the host's service died")));
        async move {
            let mut task = task;
            (&mut task.0).await.unwrap_or_else(|_| died())
        }
        .into_ffi()
    }
}

/// A backend that does not wait any longer wants no work done.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FfiHost for HostFor {
    fn log(&self, level: u8, message: RStr<'_>) {
        let write = || {
            let Some(cut) = self.admit_line() else { return };
            let backend = self.name.as_str();
            if cut > 0 {
                tracing::warn!(backend, cut, "the backend wrote too much; lines were cut");
            }
            let message: String = message
                .chars()
                .take(LONGEST_LINE)
                .map(|c| {
                    if c.is_control() {
                        char::REPLACEMENT_CHARACTER
                    } else {
                        c
                    }
                })
                .collect();
            match level {
                level if level == Level::Error as u8 => tracing::error!(backend, "{message}"),
                level if level == Level::Warn as u8 => tracing::warn!(backend, "{message}"),
                level if level == Level::Info as u8 => tracing::info!(backend, "{message}"),
                _ => tracing::debug!(backend, "{message}"),
            }
        };
        let _ = catch_unwind(AssertUnwindSafe(write));
    }

    fn query(&self, service: RStr<'_>) -> RVec<u8> {
        let answer = || match service.as_str() {
            "clock" => reply(Ok(self.services.clock.now().millis())),
            "random" => reply(Ok(random_bytes::<32>())),
            _ => reply::<()>(Err(BackendError::NotSupported)),
        };
        catch_unwind(AssertUnwindSafe(answer)).unwrap_or_default()
    }

    fn call(&self, service: RStr<'_>, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        let begin = || match service.as_str() {
            "kv.get" => self.spawn(&payload, |services, name, call: KvCall| async move {
                let found = services
                    .store
                    .read(move |reader| kv::get(reader, &name, &call.key))
                    .await;
                found.map_err(of_store)
            }),
            "kv.put" => self.spawn(&payload, |services, name, call: KvCall| async move {
                services
                    .store
                    .write(move |tx| kv::put(tx, &name, &call))
                    .await
                    .map_err(of_kv)
            }),
            "kv.swap" => self.spawn(&payload, |services, name, call: KvCall| async move {
                services
                    .store
                    .write(move |tx| kv::swap(tx, &name, &call))
                    .await
                    .map_err(of_kv)
            }),
            "kv.list" => self.spawn(&payload, |services, name, call: KvCall| async move {
                let found = services
                    .store
                    .read(move |reader| kv::list(reader, &name, &call.key, call.after.as_deref()))
                    .await;
                found.map_err(of_store)
            }),
            "password.hash" => self.spawn(&payload, |services, _, call: PasswordCall| async move {
                services
                    .hashing
                    .hash(Secret::new(call.password.expose().to_owned()))
                    .await
            }),
            "password.verify" => {
                self.spawn(&payload, |services, _, call: PasswordCall| async move {
                    services
                        .hashing
                        .verify(Secret::new(call.password.expose().to_owned()), call.phc)
                        .await
                })
            }
            _ => now(reply::<()>(Err(BackendError::NotSupported))),
        };
        catch_unwind(AssertUnwindSafe(begin)).unwrap_or_else(|_| now(RVec::new()))
    }
}

fn now(answer: RVec<u8>) -> FfiFuture<RVec<u8>> {
    async move { answer }.into_ffi()
}

fn reply<T: Serialize>(outcome: Result<T, BackendError>) -> RVec<u8> {
    let reply = match outcome {
        Ok(value) => Reply::Ok(value),
        Err(error) => Reply::Error(error),
    };
    serde_json::to_vec(&reply).unwrap_or_default().into()
}

fn of_store(error: StoreError) -> BackendError {
    match error {
        StoreError::Busy => BackendError::Busy,
        error => BackendError::unavailable(error.to_string()),
    }
}

fn of_kv(error: ApplyError) -> BackendError {
    match error {
        ApplyError::Conflict => BackendError::internal("the data changed meanwhile"),
        ApplyError::Refused(error) => error,
        ApplyError::Store(error) => of_store(error),
    }
}
