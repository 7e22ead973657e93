//! From the binary border to an author's backend, and back.
//!
//! **Invariant:** every entry is guarded, and what the host polls is only the receiving end of work
//! on the plugin's own runtime.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use abi_stable::{
    erased_types::TD_Opaque,
    std_types::{RBox, RResult, RStr, RString, RVec},
};
use async_ffi::{FfiFuture, FutureExt};

use crate::{
    Backend, BackendError, Exported, Host, Identity, Methods, RequestView, Verdict,
    abi::{
        BackendObject, FfiBackend, FfiBackend_TO, FfiIdentity, FfiRequest, FfiVerdict, HostObject,
    },
    contract::{self, Manifest, Opening},
    methods::reply,
    panics::{guard, guarded},
    runtime,
};

/// The manifest of `B` as JSON; empty when making it panicked.
pub fn manifest<B: Exported>() -> RString {
    let make = || {
        let manifest = Manifest {
            name: B::NAME.into(),
            title: B::TITLE.into(),
            version: B::VERSION.into(),
            contract: contract::VERSION,
            sdk: env!("CARGO_PKG_VERSION").into(),
            rustc: env!("OMNIGENT_RUSTC").into(),
            capabilities: B::methods().capabilities(),
            config_schema: schemars::schema_for!(B::Config).to_value(),
        };
        serde_json::to_string(&manifest).unwrap_or_default()
    };
    guard(make).unwrap_or_default().into()
}

/// An instance, or a [`BackendError`] as JSON.
pub type Opened = FfiFuture<RResult<BackendObject, RVec<u8>>>;

/// Opens an instance of `B`.
pub fn open<B: Exported>(opening: RVec<u8>, host: HostObject) -> Opened {
    let work = async move {
        let opening: Opening = serde_json::from_slice(&opening).map_err(|error| {
            BackendError::internal(format!("the server's message cannot be read: {error}"))
        })?;
        // A struct can also be read from a list, by position: never from a configuration.
        if !opening.config.is_object() {
            return Err(BackendError::misconfigured("its configuration is no table"));
        }
        let config = serde_json::from_value(opening.config.clone())
            .map_err(|error| BackendError::misconfigured(error.to_string()))?;
        let backend = B::open(config, Host::new(host, opening)).await?;
        let instance = Instance {
            backend: Some(Arc::new(backend)),
            methods: B::methods(),
        };
        Ok(FfiBackend_TO::from_value(instance, TD_Opaque))
    };
    elsewhere(async move {
        match guarded(work).await {
            Ok(Ok(object)) => RResult::ROk(object),
            Ok(Err(error)) | Err(error) => RResult::RErr(encoded(&error)),
        }
    })
    .unwrap_or_else(|error| {
        let answer = RResult::RErr(encoded(&error));
        async move { answer }.into_ffi()
    })
}

struct Instance<B: Backend> {
    /// Always there, until dropped.
    backend: Option<Arc<B>>,
    methods: Methods<B>,
}

impl<B: Backend> Instance<B> {
    fn begin(&self, method: &str, payload: RVec<u8>) -> Result<FfiFuture<RVec<u8>>, BackendError> {
        let backend = self.backend.clone().ok_or(BackendError::NotSupported)?;
        let work = guard(|| self.methods.call(method, backend, payload.into_vec()))?
            .ok_or(BackendError::NotSupported)?;
        elsewhere(async move {
            let answer = guarded(work).await;
            answer
                .unwrap_or_else(|error| reply::<()>(Err(error)))
                .into()
        })
    }
}

impl<B: Backend> FfiBackend for Instance<B> {
    fn identify(&self, request: FfiRequest<'_>) -> FfiVerdict {
        let (Some(identify), Some(backend)) = (self.methods.identify, &self.backend) else {
            return failed(&BackendError::NotSupported);
        };
        match guard(|| identify(backend, &RequestView(request))) {
            Ok(Ok(Verdict::NotMine)) => FfiVerdict::NotMine,
            Ok(Ok(Verdict::Denied(reason))) => FfiVerdict::Denied(reason.into()),
            Ok(Ok(Verdict::Accepted(identity))) => FfiVerdict::Accepted(RBox::new(identity.into())),
            Ok(Err(error)) | Err(error) => failed(&error),
        }
    }

    fn call(&self, method: RStr<'_>, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        self.begin(method.as_str(), payload)
            .unwrap_or_else(|error| {
                let answer = RVec::from(reply::<()>(Err(error)));
                async move { answer }.into_ffi()
            })
    }

    fn shutdown(&self) {
        let Some(backend) = &self.backend else { return };
        let _ = guard(|| {
            let _runtime = runtime::handle().map(|runtime| runtime.enter());
            backend.shutdown();
        });
    }
}

impl<B: Backend> Drop for Instance<B> {
    fn drop(&mut self) {
        let _ = guard(|| drop(self.backend.take()));
    }
}

/// Runs `work` on the plugin's runtime. What is returned is the receiving end: dropping it aborts
/// the work.
fn elsewhere<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<FfiFuture<T>, BackendError> {
    let no_threads = || BackendError::internal("the system has no threads to give to the plugin");
    let runtime = guard(runtime::handle)?.ok_or_else(no_threads)?;
    let task = AbortOnDrop(runtime.spawn(work));
    Ok(task.into_ffi())
}

/// The receiving end of a task.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            // Only this end aborts it, and its panics are caught inside: it cannot fail.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

fn failed(error: &BackendError) -> FfiVerdict {
    FfiVerdict::Failed(encoded(error))
}

fn encoded(error: &BackendError) -> RVec<u8> {
    serde_json::to_vec(error).unwrap_or_default().into()
}

impl From<Identity> for FfiIdentity {
    fn from(identity: Identity) -> Self {
        Self {
            subject: identity.subject.into(),
            issuer: identity.issuer.map(Into::into).into(),
            username: identity.username.map(Into::into).into(),
            email: identity.email.map(Into::into).into(),
            email_verified: identity.email_verified,
            display_name: identity.display_name.map(Into::into).into(),
            groups: identity.groups.into_iter().map(Into::into).collect(),
            more: RString::new(),
        }
    }
}

impl From<FfiIdentity> for Identity {
    fn from(identity: FfiIdentity) -> Self {
        let text = |text: abi_stable::std_types::ROption<RString>| {
            text.into_option().map(RString::into_string)
        };
        Self {
            subject: identity.subject.into_string(),
            issuer: text(identity.issuer),
            username: text(identity.username),
            email: text(identity.email),
            email_verified: identity.email_verified,
            display_name: text(identity.display_name),
            groups: identity
                .groups
                .into_iter()
                .map(RString::into_string)
                .collect(),
            session: None,
        }
    }
}
