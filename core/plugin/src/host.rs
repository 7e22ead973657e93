//! What a backend may ask of the server. Nothing else is there.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use abi_stable::std_types::RVec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    BackendError, Password,
    abi::HostObject,
    contract::{KvCall, Opening, PasswordCall, Reply},
};

/// The server, as an instance sees it. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    object: Arc<HostObject>,
    opening: Arc<Opening>,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something may break.
    Warn,
    /// Something an operator wants to know.
    Info,
    /// For whoever looks for a fault.
    Debug,
}

/// What came of verifying a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verified {
    /// It is the right one.
    pub ok: bool,
    /// It is, and its hash is not of the configured cost: hash it again.
    pub needs_rehash: bool,
}

impl Host {
    pub(crate) fn new(object: HostObject, opening: Opening) -> Self {
        Self {
            object: Arc::new(object),
            opening: Arc::new(opening),
        }
    }

    /// The instance's configured name.
    pub fn name(&self) -> &str {
        &self.opening.name
    }

    /// The server's public URL.
    pub fn public_url(&self) -> &str {
        &self.opening.public_url
    }

    /// Where people come back to after a redirect.
    pub fn callback_url(&self) -> &str {
        &self.opening.callback_url
    }

    /// Writes a line to the server's log. Never put a secret into it. Many lines a second are cut.
    pub fn log(&self, level: Level, message: &str) {
        self.object.log(level as u8, message.into());
    }

    /// The server's clock.
    pub fn now(&self) -> SystemTime {
        let millis: u64 = self.query("clock").unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// Random bytes from the server's generator.
    ///
    /// # Errors
    /// When the server cannot give any.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], BackendError> {
        let mut bytes = Vec::with_capacity(N);
        while bytes.len() < N {
            bytes.extend(self.query::<[u8; 32]>("random")?);
        }
        let exactly = bytes.get(..N).and_then(|bytes| bytes.try_into().ok());
        exactly.ok_or_else(|| BackendError::internal("no random bytes"))
    }

    /// The instance's own key-value store.
    pub const fn kv(&self) -> Kv<'_> {
        Kv(self)
    }

    /// Hashes a password with Argon2id at the configured cost, in the server's one bounded pool.
    /// The answer is a PHC string.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when the pool has too much to do.
    pub async fn hash_password(&self, password: &Password) -> Result<String, BackendError> {
        self.call(
            "password.hash",
            &PasswordCall {
                password: password.clone(),
                phc: None,
            },
        )
        .await
    }

    /// Verifies a password against an Argon2id PHC string of any cost. Without one, does the same
    /// work for nothing, so that an unknown name takes as long as a wrong password.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when the pool has too much to do.
    pub async fn verify_password(
        &self,
        password: &Password,
        phc: Option<&str>,
    ) -> Result<Verified, BackendError> {
        let call = PasswordCall {
            password: password.clone(),
            phc: phc.map(str::to_owned),
        };
        self.call("password.verify", &call).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        service: &str,
        message: &impl Serialize,
    ) -> Result<T, BackendError> {
        let payload =
            serde_json::to_vec(message).map_err(|e| BackendError::internal(e.to_string()))?;
        // Two steps: the future must not hold a borrow of the name.
        let answer = self.object.call(service.into(), RVec::from(payload));
        read(&answer.await)
    }

    fn query<T: DeserializeOwned>(&self, service: &str) -> Result<T, BackendError> {
        read(&self.object.query(service.into()))
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({:?})", self.name())
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, BackendError> {
    match serde_json::from_slice(answer) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(error)) => Err(error),
        Err(error) => Err(BackendError::internal(format!(
            "the server's answer cannot be read: {error}"
        ))),
    }
}

/// An instance's own key-value store: durable, atomic per call, bounded by a quota.
///
/// What it keeps under `secret/` is of this installation only: it goes into backups, and into no export; nor does an
/// import take it from one.
pub struct Kv<'a>(&'a Host);

impl Kv<'_> {
    /// What the keys begin with of values that stay with this installation: see [`Kv`].
    pub const SECRET: &'static str = "secret/";

    /// The value of a key.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.0
            .call(
                "kv.get",
                &KvCall {
                    key: key.into(),
                    ..KvCall::default()
                },
            )
            .await
    }

    /// Writes a value, whatever is there.
    ///
    /// # Errors
    /// When the store cannot write, or the quota is used up.
    pub async fn put(&self, key: &str, value: &[u8]) -> Result<(), BackendError> {
        self.0
            .call(
                "kv.put",
                &KvCall {
                    key: key.into(),
                    value: Some(value.into()),
                    ..KvCall::default()
                },
            )
            .await
    }

    /// Removes a key, whatever is there.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn delete(&self, key: &str) -> Result<(), BackendError> {
        self.0
            .call(
                "kv.put",
                &KvCall {
                    key: key.into(),
                    ..KvCall::default()
                },
            )
            .await
    }

    /// Writes `new` (nothing: removes the key) if `old` (nothing: no value) is there. Says whether
    /// it was.
    ///
    /// # Errors
    /// When the store cannot write, or the quota is used up.
    pub async fn compare_and_swap(
        &self,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, BackendError> {
        let call = KvCall {
            key: key.into(),
            expect: old.map(Into::into),
            value: new.map(Into::into),
            ..KvCall::default()
        };
        self.0.call("kv.swap", &call).await
    }

    /// The keys that start with `prefix`, in order, up to 1000.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, BackendError> {
        self.list_call(prefix, None).await
    }

    /// As [`Kv::list`], from the first key after `after` on: how to walk more than 1000.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<String>, BackendError> {
        self.list_call(prefix, Some(after.into())).await
    }

    async fn list_call(
        &self,
        prefix: &str,
        after: Option<String>,
    ) -> Result<Vec<String>, BackendError> {
        let call = KvCall {
            key: prefix.into(),
            after,
            ..KvCall::default()
        };
        self.0.call("kv.list", &call).await
    }
}
