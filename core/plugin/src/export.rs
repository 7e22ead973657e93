//! From an author's traits to the binary border: [`export_backend!`](crate::export_backend).
//!
//! **Invariant:** every entry is caught: a panic becomes a [`BackendError::Internal`] on this side.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
};

use abi_stable::{
    erased_types::TD_Opaque,
    std_types::{RBox, RResult, RStr, RString, RVec},
};
use async_ffi::{FfiFuture, FutureExt};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Backend, BackendError, Directory, DirectoryError, Health, Host, Identify, Identity,
    IdentityRef, Login, LoginRequest, Logout, RequestView, Revalidate, Verdict,
    abi::{
        BackendObject, FfiBackend, FfiBackend_TO, FfiIdentity, FfiRequest, FfiVerdict, HostObject,
    },
    contract::{self, Manifest, Opening, Person, Reply, Resume},
    runtime,
};

/// What the macro needs of abi_stable, so that authors need not depend on it.
pub mod reexport {
    pub use abi_stable;

    pub use super::{Opened, manifest, open};
}

/// What `export_backend!` says of a backend.
pub trait Exported: Backend {
    /// The plugin's name.
    const NAME: &'static str;
    /// What people read.
    const TITLE: &'static str;
    /// The plugin's version.
    const VERSION: &'static str;

    /// The capabilities named in the macro.
    fn methods() -> Methods<Self>;
}

type Bytes = Vec<u8>;
type Call<B> =
    Box<dyn Fn(Arc<B>, Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send>> + Send + Sync>;

/// The methods of a backend, by the name they are called with.
pub struct Methods<B> {
    capabilities: Vec<&'static str>,
    calls: Vec<(&'static str, Call<B>)>,
    identify: Option<fn(&B, &RequestView<'_>) -> Result<Verdict, BackendError>>,
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

fn reply<T: Serialize>(outcome: Result<T, BackendError>) -> Bytes {
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

struct Instance<B> {
    backend: Arc<B>,
    methods: Methods<B>,
}

impl<B: Backend> FfiBackend for Instance<B> {
    fn identify(&self, request: FfiRequest<'_>) -> FfiVerdict {
        let Some(identify) = self.methods.identify else {
            return failed(BackendError::NotSupported);
        };
        match catch_unwind(AssertUnwindSafe(|| {
            identify(&self.backend, &RequestView(request))
        })) {
            Ok(Ok(Verdict::NotMine)) => FfiVerdict::NotMine,
            Ok(Ok(Verdict::Denied(reason))) => FfiVerdict::Denied(reason.into()),
            Ok(Ok(Verdict::Accepted(identity))) => FfiVerdict::Accepted(RBox::new(identity.into())),
            Ok(Err(error)) => failed(error),
            Err(_) => failed(panicked()),
        }
    }

    fn call(&self, method: RStr<'_>, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        let call = self
            .methods
            .calls
            .iter()
            .find(|(name, _)| *name == method.as_str());
        let Some((_, call)) = call else {
            let answer = RVec::from(reply::<()>(Err(BackendError::NotSupported)));
            return async move { answer }.into_ffi();
        };
        let begun = catch_unwind(AssertUnwindSafe(|| {
            call(Arc::clone(&self.backend), payload.into_vec())
        }));
        match begun {
            Ok(work) => elsewhere(work, || reply::<()>(Err(panicked()))),
            Err(_) => async move { RVec::from(reply::<()>(Err(panicked()))) }.into_ffi(),
        }
    }

    fn shutdown(&self) {}
}

/// Runs `work` on the plugin's runtime. What is returned is the receiving end: dropping it aborts
/// the work.
fn elsewhere<T: Into<U> + Send + 'static, U: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    otherwise: fn() -> T,
) -> FfiFuture<U> {
    let Some(runtime) = runtime::handle() else {
        return async move { otherwise().into() }.into_ffi();
    };
    let (say, hear) = tokio::sync::oneshot::channel();
    let task = runtime.spawn(async move {
        // A panic drops `say`, which is heard.
        let _ = say.send(work.await);
    });
    let abort = AbortOnDrop(task.abort_handle());
    async move {
        let _abort = abort;
        hear.await.unwrap_or_else(|_| otherwise()).into()
    }
    .into_ffi()
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panicked() -> BackendError {
    BackendError::internal("the plugin panicked")
}

fn failed(error: BackendError) -> FfiVerdict {
    FfiVerdict::Failed(encoded(error))
}

fn encoded(error: BackendError) -> RVec<u8> {
    serde_json::to_vec(&error).unwrap_or_default().into()
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
        }
    }
}

/// The manifest of `B` as JSON; empty when making it panicked.
pub fn manifest<B: Exported>() -> RString {
    let make = || {
        let manifest = Manifest {
            name: B::NAME.into(),
            title: B::TITLE.into(),
            version: B::VERSION.into(),
            contract: contract::VERSION,
            sdk: env!("CARGO_PKG_VERSION").into(),
            capabilities: B::methods()
                .capabilities
                .into_iter()
                .map(Into::into)
                .collect(),
            config_schema: schemars::schema_for!(B::Config).to_value(),
        };
        serde_json::to_string(&manifest).unwrap_or_default()
    };
    catch_unwind(make).unwrap_or_default().into()
}

/// An instance, or a [`BackendError`] as JSON.
pub type Opened = FfiFuture<RResult<BackendObject, RVec<u8>>>;

/// Opens an instance of `B`.
pub fn open<B: Exported>(opening: RVec<u8>, host: HostObject) -> Opened {
    let work = async move {
        let opening: Opening = serde_json::from_slice(&opening).map_err(|error| {
            BackendError::internal(format!("the server's message cannot be read: {error}"))
        })?;
        let config = serde_json::from_value(opening.config.clone())
            .map_err(|error| BackendError::misconfigured(error.to_string()))?;
        let backend = Arc::new(B::open(config, Host::new(host, opening)).await?);
        let instance = Instance {
            backend,
            methods: B::methods(),
        };
        Ok::<_, BackendError>(FfiBackend_TO::from_value(instance, TD_Opaque))
    };
    elsewhere(async move { work.await.map_err(encoded).into() }, || {
        RResult::RErr(encoded(panicked()))
    })
}

/// Exports a backend from a `cdylib`: its type, its capabilities, its name and its title.
///
/// The one `unsafe` attribute it needs (an exported symbol) is inside; a crate that uses it can
/// `deny(unsafe_code)` for everything else.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty: $($capability:ident),+ $(,)?; name = $name:expr, title = $title:expr $(,)?) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::reexport::abi_stable;

            impl $crate::Exported for $backend {
                const NAME: &'static str = $name;
                const TITLE: &'static str = $title;
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn methods() -> $crate::Methods<Self> {
                    $crate::Methods::default()$(.$capability())+
                }
            }

            extern "C" fn manifest() -> abi_stable::std_types::RString {
                $crate::reexport::manifest::<$backend>()
            }

            extern "C" fn open(
                opening: abi_stable::std_types::RVec<u8>,
                host: $crate::abi::HostObject,
            ) -> $crate::reexport::Opened {
                $crate::reexport::open::<$backend>(opening, host)
            }

            fn root() -> $crate::abi::PluginRootRef {
                use abi_stable::prefix_type::PrefixTypeTrait;
                $crate::abi::PluginRoot { manifest, open }.leak_into_prefix()
            }

            extern "C" fn loader() -> abi_stable::library::RootModuleResult {
                abi_stable::library::__call_root_module_loader(root)
            }

            // SAFETY: what `#[export_root_module]` of abi_stable 0.11 expands to. The name is the
            // loader's own; the header is made of the module type that `loader` returns.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static ROOT_MODULE: abi_stable::library::LibHeader = unsafe {
                abi_stable::library::LibHeader::from_constructor::<$crate::abi::PluginRootRef>(
                    loader,
                    abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}
