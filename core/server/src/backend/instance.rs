//! One configured instance of a plugin, and the calls into it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Instant,
};

use abi_stable::{
    erased_types::TD_Opaque,
    std_types::{RResult, RVec},
};
use omnigent_plugin::{
    Answer, BackendError, Ended, Identity, IdentityRef, LoginRequest, LogoutTarget, Standing,
    State, Step, Verdict,
    abi::FfiHost_TO,
    contract::{Manifest, Opening, Reply, Resume},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::oneshot, time::timeout};

use super::{
    CallError, LoadError, Loaded, OpenError, Presented, Services, Shelf, Wanted,
    aside::aside,
    error::{fate, tamed},
    fast::{FastLane, Places},
    lane::{Lane, Place},
    open_file,
    reader::Reader,
    services::HostFor,
};
use crate::{
    account::Rules,
    metrics::{Calls, Fate, known_method},
    trace::{Started, Work},
};

/// How many times as long as a call a plugin may take to load, and a backend to open.
const PATIENCE: u32 = 3;

/// A configured backend.
pub struct Instance {
    name: String,
    title: String,
    manifest: Manifest,
    wanted: Wanted,
    digest: String,
    is_ill: AtomicBool,
    rules: Rules,
    session_ttl: Option<u64>,
    callback_url: String,
    reader: Reader,
    lane: Lane,
    fast: Option<Arc<FastLane>>,
    calls: Calls,
}

impl Instance {
    pub(super) async fn open(
        wanted: &Wanted,
        services: &Services,
        places: &Arc<Places>,
        shelf: &Arc<Shelf>,
        public_url: &str,
    ) -> Result<Self, OpenError> {
        let Loaded {
            root,
            manifest,
            digest,
        } = loaded(wanted, shelf).await?;
        if manifest.name != wanted.plugin {
            let (expected, found) = (wanted.plugin.clone(), manifest.name);
            return Err(LoadError::WrongName { expected, found }.into());
        }
        let callback_url = callback_url(public_url);
        let opening = Opening {
            name: wanted.name.clone(),
            config: wanted.config.clone(),
            public_url: public_url.to_owned(),
            callback_url: callback_url.clone(),
        };
        let opening = serde_json::to_vec(&opening).unwrap_or_default();
        let host = FfiHost_TO::from_value(HostFor::new(&wanted.name, services.clone()), TD_Opaque);
        let within = wanted.deadline * PATIENCE;
        let open = root.open();
        let opening = async move { open(opening.into(), host).await };
        let object = match timeout(within, aside(opening, ())).await {
            Err(_) => return Err(OpenError::TimedOut(within.as_secs())),
            Ok(None) => {
                let panicked = BackendError::internal("opening it panicked");
                return Err(OpenError::Refused(panicked));
            }
            Ok(Some(RResult::RErr(error))) => {
                let unreadable = |_| BackendError::internal("it gave no reason");
                let error = serde_json::from_slice(&error).unwrap_or_else(unreadable);
                return Err(OpenError::Refused(tamed(error)));
            }
            Ok(Some(RResult::ROk(object))) => object,
        };
        Ok(Self {
            name: wanted.name.clone(),
            title: wanted
                .title
                .clone()
                .unwrap_or_else(|| manifest.title.clone()),
            wanted: wanted.clone(),
            digest,
            is_ill: AtomicBool::new(false),
            rules: wanted.rules.clone(),
            session_ttl: wanted.session_ttl,
            callback_url,
            reader: Reader(Arc::new(object)),
            lane: Lane::new(wanted.deadline, wanted.concurrency),
            calls: Calls::default(),
            fast: manifest.can("identify").then(|| places.lane(&wanted.name)),
            manifest,
        })
    }

    /// Whether it is what opening `wanted` would give again.
    pub(super) fn is_as(&self, wanted: &Wanted, public_url: &str) -> bool {
        self.wanted == *wanted && self.callback_url == callback_url(public_url)
    }

    /// Whether it runs the plugin whose file has this digest.
    pub(super) fn is_of(&self, digest: Option<String>) -> bool {
        digest.as_ref() == Some(&self.digest)
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        &self.manifest.name
    }

    /// What people read.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the plugin says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where people come back to after a redirect.
    pub fn callback_url(&self) -> &str {
        &self.callback_url
    }

    /// Who may come in by it, and as what.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Seconds its logins last, when not the server's own.
    pub const fn session_ttl(&self) -> Option<u64> {
        self.session_ttl
    }

    /// Whether it has a capability.
    pub fn can(&self, capability: &str) -> bool {
        self.manifest.can(capability)
    }

    /// Whether it keeps people and their passwords.
    pub fn is_directory(&self) -> bool {
        self.can("directory")
    }

    /// Whether it is being asked at all right now.
    pub fn is_paused(&self) -> bool {
        self.lane.is_paused() || self.fast.as_ref().is_some_and(|fast| fast.is_hung())
    }

    /// How many calls are under way, and how many wait for a place.
    pub(crate) fn load(&self) -> (usize, usize) {
        self.lane.load()
    }

    /// What it was asked so far, and how that came out.
    pub(crate) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Closes the breaker: a check goes on after what it has found.
    pub(super) fn ease(&self) {
        self.lane.ease();
    }

    /// Tells it to let go of what it holds, from a thread of its own: it may never return. The
    /// receiver hears when it has.
    pub(super) fn shutdown(&self) -> Receiver<()> {
        let (say, hear) = channel();
        let object = Arc::clone(&self.reader.0);
        let shutdown = move || {
            object.shutdown();
            let _ = say.send(());
        };
        if let Err(error) = thread::Builder::new()
            .name("plugin-stop".into())
            .spawn(shutdown)
        {
            tracing::warn!(backend = self.name, %error, "no thread to stop the backend with");
        }
        hear
    }

    /// The first step of a sign-in.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn begin(&self, request: &LoginRequest) -> Result<Step, CallError> {
        self.call("login.begin", request).await
    }

    /// The step after an answer.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn resume(&self, state: &State, answer: &Answer) -> Result<Step, CallError> {
        self.call(
            "login.resume",
            &Resume {
                state: state.clone(),
                answer: answer.clone(),
            },
        )
        .await
    }

    /// Whether it takes identities back, and must be asked at each refresh.
    pub fn revalidates(&self) -> bool {
        self.can("revalidate")
    }

    /// Whether an identity still holds. A backend that does not say so takes nothing back.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, CallError> {
        if !self.revalidates() {
            return Ok(Standing::holds());
        }
        self.call("revalidate", identity).await
    }

    /// Where somebody who signs out should go.
    ///
    /// # Errors
    /// When the backend cannot tell. The person is signed out all the same.
    pub async fn logout(&self, identity: &Identity) -> Result<LogoutTarget, CallError> {
        if !self.can("logout") {
            return Ok(LogoutTarget::default());
        }
        self.call("logout", identity).await
    }

    /// What an issuer's notice says has ended; nothing when the notice is no good.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn ended(&self, notice: &str) -> Result<Option<Ended>, CallError> {
        self.call("logout.ended", notice).await
    }

    /// Whether it is not asked, or was not well when it was last asked how it is.
    pub fn is_degraded(&self) -> bool {
        self.is_paused() || self.is_ill.load(Ordering::Relaxed)
    }

    /// Asks it how it is, and notes a change.
    pub async fn check_health(&self) {
        let outcome = self.health().await;
        let was_ill = self.is_ill.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_ill => {
                tracing::warn!(backend = self.name, %error, "the backend is degraded");
            }
            Ok(()) if was_ill => tracing::info!(backend = self.name, "the backend is well again"),
            _ => {}
        }
    }

    /// Whether it is well, as far as it can tell.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn health(&self) -> Result<(), CallError> {
        if self.is_paused() {
            return Err(CallError::Paused);
        }
        if !self.can("health") {
            return Ok(());
        }
        self.call("health", &()).await
    }

    /// Who a request is from. Runs here and now, without copying the request.
    ///
    /// # Errors
    /// When the backend cannot tell. [`CallError::Busy`]: it holds as many threads as it may; ask it
    /// by [`Instance::identify_aside`].
    pub fn identify(&self, presented: &Presented<'_>) -> Result<Verdict, CallError> {
        let Some(fast) = &self.fast else {
            return Ok(Verdict::NotMine);
        };
        let (began, span) = (Instant::now(), Started::now());
        let outcome = fast
            .run(|| self.reader.read(presented))
            .and_then(|verdict| verdict);
        if !matches!(outcome, Err(CallError::Busy)) {
            self.note("identify", fate(&outcome), began, span);
        }
        outcome
    }

    /// As [`Instance::identify`], in the slow lane: on a thread that answers no requests.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn identify_aside(
        &self,
        read: impl FnOnce(&Reader) -> Result<Verdict, CallError> + Send + 'static,
    ) -> Result<Verdict, CallError> {
        let (began, span) = (Instant::now(), Started::now());
        let reader = Reader(Arc::clone(&self.reader.0));
        let read = async move { read(&reader) };
        let ask = async |place| {
            let verdict = aside(read, place).await;
            verdict.ok_or_else(|| CallError::garbage("it panicked"))?
        };
        let outcome = self.lane.run(ask).await;
        self.note("identify", fate(&outcome), began, span);
        outcome
    }

    /// One call in the slow lane.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        message: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        let payload = serde_json::to_vec(message)
            .map_err(|error| CallError::Backend(BackendError::internal(error.to_string())))?;
        let (began, span) = (Instant::now(), Started::now());
        let outcome = self
            .lane
            .run(|place| self.ask(method, payload, place))
            .await;
        self.note(method, fate(&outcome), began, span);
        if let Err(error) = &outcome
            && !matches!(error, CallError::Directory(_))
        {
            tracing::warn!(backend = self.name, method, %error, "a call into the backend failed");
        }
        outcome
    }

    fn note(&self, method: &str, fate: Fate, began: Instant, span: Option<Started>) {
        self.calls.note(method, fate, began.elapsed());
        if let Some(span) = span {
            span.end(Work::Call {
                backend: self.name.clone(),
                operation: known_method(method),
                result: fate.word(),
                is_answer: fate == Fate::Answered,
            });
        }
    }

    /// Sends bytes that may mean nothing. An error of the backend is an answer to them.
    pub(super) async fn send(&self, method: &str, payload: Vec<u8>) -> Result<(), CallError> {
        let work = |place| self.ask::<serde_json::Value>(method, payload, place);
        match self.lane.run(work).await {
            Err(CallError::Backend(BackendError::Internal { message }))
                if message.contains("panicked") =>
            {
                Err(CallError::garbage(message))
            }
            Ok(_) | Err(CallError::Backend(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        payload: Vec<u8>,
        place: Place,
    ) -> Result<T, CallError> {
        let (object, method) = (Arc::clone(&self.reader.0), method.to_owned());
        let call = async move { object.call(method.as_str().into(), payload.into()).await };
        let answer: Option<RVec<u8>> = aside(call, place).await;
        let answer = answer.ok_or_else(|| CallError::garbage("it panicked"))?;
        match serde_json::from_slice(&answer) {
            Ok(Reply::Ok(value)) => Ok(value),
            Ok(Reply::Error(error)) => Err(CallError::Backend(tamed(error))),
            Err(_) => Err(CallError::garbage("something unreadable")),
        }
    }
}

fn callback_url(public_url: &str) -> String {
    format!("{public_url}/auth/callback")
}

/// Loads a plugin on a thread of its own: reading is slow, and its constructors and its manifest
/// are foreign code that may never return. Not [`aside`]: no command waits for that thread to end.
async fn loaded(wanted: &Wanted, shelf: &Arc<Shelf>) -> Result<Loaded, OpenError> {
    let (file, pin) = (wanted.file.clone(), wanted.sha256);
    let (say, hear) = oneshot::channel();
    let (name, shelf) = (wanted.name.clone(), Arc::clone(shelf));
    let load = move || drop(say.send(open_file(&file, pin.as_ref(), &name, &shelf)));
    thread::Builder::new()
        .name("plugin-load".into())
        .spawn(load)
        .map_err(|source| LoadError::Io { source })?;
    let within = wanted.deadline * PATIENCE;
    match timeout(within, hear).await {
        Ok(Ok(loaded)) => Ok(loaded?),
        Ok(Err(_)) => {
            let panicked = BackendError::internal("loading it panicked");
            Err(OpenError::Refused(panicked))
        }
        Err(_) => Err(OpenError::TimedOut(within.as_secs())),
    }
}
