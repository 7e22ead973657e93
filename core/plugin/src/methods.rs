//! The methods of a backend, by the names the host calls them.
//!
//! **Invariant:** a name once given keeps its meaning within a major version of the contract.

use std::{future::Future, pin::Pin, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Backend, BackendError, Directory, DirectoryError, Flow, Health, Identify, Identity,
    IdentityRef, Login, LoginRequest, Logout, RequestView, Revalidate, Verdict,
    contract::{Person, Reply, Resume},
};

type Bytes = Vec<u8>;
type Identification<B> = fn(&B, &RequestView<'_>) -> Result<Verdict, BackendError>;
type Work = Pin<Box<dyn Future<Output = Bytes> + Send>>;
type Call<B> = Box<dyn Fn(Arc<B>, Bytes) -> Work + Send + Sync>;

/// The methods of a backend, by the name they are called with.
pub struct Methods<B> {
    capabilities: Vec<&'static str>,
    calls: Vec<(&'static str, Call<B>)>,
    pub(crate) identify: Option<Identification<B>>,
}

impl<B> Default for Methods<B> {
    fn default() -> Self {
        Self {
            capabilities: Vec::new(),
            calls: Vec::new(),
            identify: None,
        }
    }
}

impl<B: Backend> Methods<B> {
    pub(crate) fn capabilities(&self) -> Vec<String> {
        self.capabilities.iter().map(|&name| name.into()).collect()
    }

    /// The work of a call; nothing when there is no such method.
    pub(crate) fn call(&self, method: &str, backend: Arc<B>, payload: Bytes) -> Option<Work> {
        let (_, call) = self.calls.iter().find(|(name, _)| *name == method)?;
        Some(call(backend, payload))
    }
}

// Named like the traits they stand for: the macro calls them by those names.
#[allow(
    non_snake_case,
    missing_docs,
    reason = "called by the macro with the names of the traits"
)]
impl<B: Backend> Methods<B> {
    #[must_use]
    pub fn Login(mut self) -> Self
    where
        B: Login,
    {
        self.capabilities.push("login");
        if B::FLOW == Flow::Redirect {
            self.capabilities.push("redirect");
        }
        self.add("login.begin", |b, request: LoginRequest| async move {
            reply(b.begin(&request).await)
        });
        self.add("login.resume", |b, m: Resume| async move {
            reply(b.resume(&m.state, &m.answer).await)
        });
        self
    }

    #[must_use]
    pub fn Identify(mut self) -> Self
    where
        B: Identify,
    {
        self.capabilities.push("identify");
        self.identify = Some(B::identify);
        self
    }

    #[must_use]
    pub fn Revalidate(mut self) -> Self
    where
        B: Revalidate,
    {
        self.capabilities.push("revalidate");
        self.add("revalidate", |b, identity: IdentityRef| async move {
            reply(b.revalidate(&identity).await)
        });
        self
    }

    #[must_use]
    pub fn Directory(mut self) -> Self
    where
        B: Directory,
    {
        self.capabilities.push("directory");
        self.add("directory.create", |b, m: Person| async move {
            decide(b.create(&m.subject, &m.new).await)
        });
        self.add("directory.set_password", |b, m: Person| async move {
            decide(b.set_password(&m.subject, &m.new).await)
        });
        self.add("directory.change_password", |b, m: Person| async move {
            decide(b.change_password(&m.subject, &m.old, &m.new).await)
        });
        self.add("directory.remove", |b, m: Person| async move {
            decide(b.remove(&m.subject).await)
        });
        self.add(
            "directory.describe",
            |b, subjects: Vec<String>| async move { decide(b.describe(&subjects).await) },
        );
        self
    }

    #[must_use]
    pub fn Logout(mut self) -> Self
    where
        B: Logout,
    {
        self.capabilities.push("logout");
        self.add("logout", |b, identity: Identity| async move {
            reply(b.logout(&identity).await)
        });
        self.add("logout.ended", |b, notice: String| async move {
            reply(b.ended(&notice).await)
        });
        self
    }

    #[must_use]
    pub fn Health(mut self) -> Self
    where
        B: Health,
    {
        self.capabilities.push("health");
        self.add("health", |b, (): ()| async move { reply(b.health().await) });
        self
    }

    fn add<M, F>(
        &mut self,
        name: &'static str,
        call: impl Fn(Arc<B>, M) -> F + Send + Sync + 'static,
    ) where
        M: DeserializeOwned,
        F: Future<Output = Bytes> + Send + 'static,
    {
        let call: Call<B> =
            Box::new(
                move |backend, payload| match serde_json::from_slice(&payload) {
                    Ok(message) => Box::pin(call(backend, message)),
                    Err(error) => {
                        let error = BackendError::internal(format!(
                            "the server's message cannot be read: {error}"
                        ));
                        Box::pin(async move { reply::<()>(Err(error)) })
                    }
                },
            );
        self.calls.push((name, call));
    }
}

pub(crate) fn reply<T: Serialize>(outcome: Result<T, BackendError>) -> Bytes {
    let reply = match outcome {
        Ok(value) => Reply::Ok(value),
        Err(error) => Reply::Error(error),
    };
    serde_json::to_vec(&reply).unwrap_or_default()
}

/// A directory's "no" is an answer, not a failure.
fn decide<T: Serialize>(outcome: Result<T, DirectoryError>) -> Bytes {
    match outcome {
        Err(DirectoryError::Backend { error }) => reply::<()>(Err(error)),
        outcome => reply(Ok(outcome)),
    }
}
