//! One configured instance of a plugin, and the calls into it.

use std::{sync::Arc, time::Duration};

use abi_stable::{
    erased_types::TD_Opaque,
    std_types::{RResult, RSlice, RVec},
};
use omnigent_plugin::{
    Answer, BackendError, Change, DirectoryError, Entry, Identity, IdentityRef, LoginRequest,
    Password, Standing, State, Step, Verdict,
    abi::{BackendObject, FfiHeader, FfiHost_TO, FfiRequest, FfiVerdict},
    contract::{Manifest, Opening, Person, Reply, Resume},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    CallError, LoadError, OpenError, Services, Wanted, fast::FastLane, lane::Lane, open_file,
    services::HostFor,
};
use crate::account::Linking;

/// How long a backend may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// A configured backend.
pub struct Instance {
    name: String,
    title: String,
    manifest: Manifest,
    linking: Linking,
    callback_url: String,
    object: BackendObject,
    lane: Lane,
    fast: Option<Arc<FastLane>>,
}

impl Instance {
    pub(super) async fn open(
        wanted: &Wanted,
        services: &Services,
        public_url: &str,
    ) -> Result<Self, OpenError> {
        let (file, pin) = (wanted.file.clone(), wanted.sha256);
        // Loading reads the file and runs constructors: not on an async worker.
        let loaded = tokio::task::spawn_blocking(move || open_file(&file, pin.as_ref())).await;
        let (root, manifest) = loaded
            .map_err(|_| OpenError::Refused(BackendError::internal("loading it panicked")))??;
        if manifest.name != wanted.plugin {
            let (expected, found) = (wanted.plugin.clone(), manifest.name);
            return Err(LoadError::WrongName { expected, found }.into());
        }
        let callback_url = format!("{public_url}/auth/callback");
        let opening = Opening {
            name: wanted.name.clone(),
            config: wanted.config.clone(),
            public_url: public_url.to_owned(),
            callback_url: callback_url.clone(),
        };
        let opening = serde_json::to_vec(&opening).unwrap_or_default();
        let host = FfiHost_TO::from_value(HostFor::new(&wanted.name, services.clone()), TD_Opaque);
        let opened = tokio::time::timeout(OPEN_WITHIN, root.open()(opening.into(), host)).await;
        let object = match opened {
            Err(_) => return Err(OpenError::TimedOut(OPEN_WITHIN.as_secs())),
            Ok(RResult::RErr(error)) => {
                let unreadable = |_| BackendError::internal("it gave no reason");
                return Err(OpenError::Refused(
                    serde_json::from_slice(&error).unwrap_or_else(unreadable),
                ));
            }
            Ok(RResult::ROk(object)) => object,
        };
        Ok(Self {
            name: wanted.name.clone(),
            title: wanted
                .title
                .clone()
                .unwrap_or_else(|| manifest.title.clone()),
            linking: wanted.linking,
            callback_url,
            object,
            lane: Lane::new(wanted.deadline, wanted.concurrency),
            fast: manifest.can("identify").then(FastLane::new),
            manifest,
        })
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

    /// What becomes of identities that have no account.
    pub const fn linking(&self) -> Linking {
        self.linking
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

    /// Lets it let go of what it holds.
    pub fn shutdown(&self) {
        self.object.shutdown();
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

    /// Whether an identity still holds. A backend that does not say so takes nothing back.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, CallError> {
        if !self.can("revalidate") {
            return Ok(Standing::holds());
        }
        self.call("revalidate", identity).await
    }

    /// Prepares a new person.
    ///
    /// # Errors
    /// [`CallError::Directory`] with the directory's refusal, or when it cannot tell.
    pub async fn directory_create(
        &self,
        name: &str,
        password: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.create",
            name,
            Password::default(),
            password.clone(),
        )
        .await
    }

    /// Prepares a new password on an admin's word.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_set_password(
        &self,
        subject: &str,
        new: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.set_password",
            subject,
            Password::default(),
            new.clone(),
        )
        .await
    }

    /// Prepares a new password on its owner's word.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_change_password(
        &self,
        subject: &str,
        old: &Password,
        new: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.change_password",
            subject,
            old.clone(),
            new.clone(),
        )
        .await
    }

    /// Prepares the removal of a person.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_remove(&self, subject: &str) -> Result<Change, CallError> {
        self.directory(
            "directory.remove",
            subject,
            Password::default(),
            Password::default(),
        )
        .await
    }

    /// What is known of these people, in their order.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_describe(&self, subjects: &[String]) -> Result<Vec<Entry>, CallError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<Entry> = self.decided("directory.describe", subjects).await?;
        if entries.len() == subjects.len() {
            Ok(entries)
        } else {
            Err(CallError::garbage(
                "about other people than it was asked about",
            ))
        }
    }

    /// Who a request is from. Runs here and now.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub fn identify(
        &self,
        method: &str,
        path: &str,
        peer: &str,
        headers: &[FfiHeader<'_>],
    ) -> Result<Verdict, CallError> {
        let Some(fast) = &self.fast else {
            return Ok(Verdict::NotMine);
        };
        let request = FfiRequest {
            method: method.into(),
            path: path.into(),
            peer: peer.into(),
            headers: RSlice::from_slice(headers),
            more: RSlice::EMPTY,
        };
        match fast.run(|| self.object.identify(request))? {
            FfiVerdict::NotMine => Ok(Verdict::NotMine),
            FfiVerdict::Denied(reason) => Ok(Verdict::Denied(reason.into_string())),
            FfiVerdict::Accepted(identity) => {
                let identity = abi_stable::std_types::RBox::into_inner(identity);
                Ok(Verdict::Accepted(Identity::from(identity)))
            }
            FfiVerdict::Failed(error) => Err(serde_json::from_slice::<BackendError>(&error)
                .map_or_else(
                    |_| CallError::garbage("an unreadable failure"),
                    CallError::Backend,
                )),
        }
    }

    async fn directory(
        &self,
        method: &str,
        subject: &str,
        old: Password,
        new: Password,
    ) -> Result<Change, CallError> {
        self.decided(
            method,
            &Person {
                subject: subject.to_owned(),
                old,
                new,
            },
        )
        .await
    }

    async fn decided<T: DeserializeOwned>(
        &self,
        method: &str,
        message: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        let outcome: Result<T, DirectoryError> = self.call(method, message).await?;
        outcome.map_err(CallError::Directory)
    }

    /// One call in the slow lane.
    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        message: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        let payload = serde_json::to_vec(message)
            .map_err(|error| CallError::Backend(BackendError::internal(error.to_string())))?;
        let work = async {
            let answer: RVec<u8> = self.object.call(method.into(), payload.into()).await;
            match serde_json::from_slice(&answer) {
                Ok(Reply::Ok(value)) => Ok(value),
                Ok(Reply::Error(error)) => Err(CallError::Backend(error)),
                Err(_) => Err(CallError::garbage("something unreadable")),
            }
        };
        let outcome = self.lane.run(work).await;
        if let Err(error) = &outcome
            && !matches!(error, CallError::Directory(_))
        {
            tracing::warn!(backend = self.name, method, %error, "a call into the backend failed");
        }
        outcome
    }
}
