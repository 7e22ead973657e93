//! Backends: finding, checking, loading and calling plugins, and what they may ask of the host.
//!
//! Owns: everything about the plugin border. Does not: decide what an identity means (`account`),
//! keep conversations (`login`). Knows no plugin by name.
//!
//! **Invariants:** a file is checked before it is loaded; an error is never read as "denied" and
//! never as "not mine"; no backend can hold up another one or a request that does not need it.

mod aside;
pub mod conformance;
mod directory;
mod error;
mod fast;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hashing;
mod instance;
mod kv;
mod lane;
mod load;
mod reader;
mod services;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use omnigent_plugin::abi::PluginRootRef;
use parking_lot::Mutex;

use self::fast::Places;
use crate::account::Rules;

pub use error::{CallError, LoadError, OpenError};
pub use file::sha256_of;
pub use hashing::{Cost, Hashing};
pub use instance::Instance;
pub use kv::{ApplyError, apply_change};
pub(crate) use kv::{count_anew, keeps_anything, stays, tables};
pub use omnigent_plugin::{abi::FfiHeader as Header, contract::Manifest};
pub use reader::Reader;
pub use services::Services;

/// What a request presents to [`Instance::identify`].
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The address of the TCP peer.
    pub peer: &'a str,
    /// All header lines, names in lower case: [`Header::new`].
    pub headers: &'a [Header<'a>],
    /// Whether the peer is a proxy the operator trusts.
    pub is_from_trusted_proxy: bool,
    /// The TLS client's certificate in DER form.
    pub client_certificate: Option<&'a [u8]>,
}

/// One backend to open.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The configured name.
    pub name: String,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's file.
    pub file: PathBuf,
    /// SHA-256 the file must have.
    pub sha256: Option<[u8; 32]>,
    /// What people read, in place of the plugin's own title.
    pub title: Option<String>,
    /// Whether the server must not start without it.
    pub required: bool,
    /// Who may come in by it, and as what.
    pub rules: Rules,
    /// Seconds its logins last, when not the server's own.
    pub session_ttl: Option<u64>,
    /// Longest a call may take.
    pub deadline: Duration,
    /// Calls at once.
    pub concurrency: usize,
    /// The plugin's own configuration.
    pub config: serde_json::Value,
}

/// A configured backend that is not there, and why.
#[derive(Debug, thiserror::Error)]
#[error("backend '{name}' ({file}): {error}", file = file.display())]
pub struct Failure {
    /// The configured name.
    pub name: String,
    /// The plugin's file.
    pub file: PathBuf,
    /// Whether the server must not start without it.
    pub required: bool,
    /// Why.
    #[source]
    pub error: OpenError,
}

/// How long backends may take to stop, all together.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// All configured backends, in their configured order.
pub struct Backends {
    places: Arc<Places>,
    shelf: Arc<Shelf>,
    instances: Vec<Arc<Instance>>,
    failures: Vec<Failure>,
}

/// Where the plugin called `name` lies in `folder`.
pub fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("libomnigent_auth_{}.so", name.replace('-', "_")))
}

/// What the plugin in `file` says of itself.
///
/// # Errors
/// Why it is not a plugin of this server.
pub fn inspect(file: &Path) -> Result<Manifest, LoadError> {
    open_file(file, None, "", &Shelf::default()).map(|loaded| loaded.manifest)
}

impl Default for Backends {
    /// None.
    fn default() -> Self {
        Self {
            places: Places::new(None),
            shelf: Arc::default(),
            instances: Vec::new(),
            failures: Vec::new(),
        }
    }
}

impl Backends {
    /// Opens all of `wanted`, one after the other. What does not open is among the failures.
    pub async fn open(wanted: Vec<Wanted>, services: &Services, public_url: &str) -> Self {
        let nobody = Self {
            places: Places::new(Some(services.runtime.clone())),
            ..Self::default()
        };
        nobody.reopen(wanted, services, public_url).await
    }

    /// As [`Backends::open`], going on with the instances in force whose configuration, file and
    /// public URL are the same.
    pub async fn reopen(&self, wanted: Vec<Wanted>, services: &Services, public_url: &str) -> Self {
        let mut backends = Self {
            places: Arc::clone(&self.places),
            shelf: Arc::clone(&self.shelf),
            ..Self::default()
        };
        for wanted in wanted {
            let mut same = self.instances.iter();
            if let Some(instance) = same.find(|instance| instance.is_as(&wanted, public_url))
                && instance.is_of(digest_of(wanted.file.clone()).await)
            {
                backends.instances.push(Arc::clone(instance));
                continue;
            }
            match Instance::open(&wanted, services, &self.places, &self.shelf, public_url).await {
                Ok(instance) => backends.instances.push(Arc::new(instance)),
                Err(error) => {
                    let Wanted {
                        name,
                        file,
                        required,
                        ..
                    } = wanted;
                    backends.failures.push(Failure {
                        name,
                        file,
                        required,
                        error,
                    });
                }
            }
        }
        backends
    }

    /// What did not open.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// As [`Backends::failures`], to keep.
    pub fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// The backend called `name`.
    pub fn get(&self, name: &str) -> Option<&Instance> {
        self.iter().find(|instance| instance.name() == name)
    }

    /// As [`Backends::iter`], to keep.
    pub(crate) fn shared(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().map(|instance| &**instance)
    }

    /// Those that say who a request is from.
    pub fn request(&self) -> impl Iterator<Item = &Instance> {
        self.iter().filter(|instance| instance.can("identify"))
    }

    /// Those that sign people in.
    pub fn interactive(&self) -> impl Iterator<Item = &Instance> {
        self.iter().filter(|instance| instance.can("login"))
    }

    /// Lets all of them let go of what they hold. Blocks, for [`STOP_WITHIN`] at most.
    pub fn shutdown(&self) {
        self.shutdown_except(&[]);
    }

    /// As [`Backends::shutdown`], but for the instances that go on in another set.
    pub(crate) fn shutdown_except(&self, going_on: &[Arc<Instance>]) {
        let until = Instant::now() + STOP_WITHIN;
        let ends = |instance: &&Arc<Instance>| !going_on.iter().any(|on| Arc::ptr_eq(on, instance));
        let stopping: Vec<_> = self
            .instances
            .iter()
            .filter(ends)
            .map(|instance| (instance.name(), instance.shutdown()))
            .collect();
        for (backend, stopped) in stopping {
            let left = until.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(left).is_err() {
                tracing::warn!(backend, "does not stop; it is left behind");
            }
        }
    }
}

async fn digest_of(file: PathBuf) -> Option<String> {
    let digest = tokio::task::spawn_blocking(move || sha256_of(&file)).await;
    digest.ok()?.ok()
}

/// A loaded plugin.
#[derive(Clone)]
struct Loaded {
    root: PluginRootRef,
    manifest: Manifest,
    /// The SHA-256 of its file, in hexadecimal.
    digest: String,
}

/// What was loaded, by the backend it was loaded for and the digest of its file: a library is never
/// unloaded, so a backend that is opened again with another configuration does not load it again.
type Shelf = Mutex<BTreeMap<(String, String), Loaded>>;

fn open_file(
    file: &Path,
    pin: Option<&[u8; 32]>,
    backend: &str,
    shelf: &Shelf,
) -> Result<Loaded, LoadError> {
    let sealed = file::seal(file, pin)?;
    let digest = sealed.digest().to_owned();
    let place = (backend.to_owned(), digest.clone());
    if let Some(loaded) = shelf.lock().get(&place) {
        return Ok(loaded.clone());
    }
    let root = load::load(sealed)?;
    let manifest =
        serde_json::from_str::<Manifest>(&root.manifest()()).map_err(|_| LoadError::BadManifest)?;
    let (theirs, ours) = (manifest.contract, omnigent_plugin::contract::VERSION);
    if theirs.0 != ours.0 {
        let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        return Err(LoadError::OtherContract {
            theirs: text(theirs),
            ours: text(ours),
        });
    }
    if manifest.name.is_empty() {
        return Err(LoadError::BadManifest);
    }
    let loaded = Loaded {
        root,
        manifest,
        digest,
    };
    shelf.lock().insert(place, loaded.clone());
    Ok(loaded)
}
