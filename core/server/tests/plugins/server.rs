//! A server's backends, on a runtime that does not wait for hung threads.

use std::{path::Path, sync::Arc, time::Duration};

use omnigent_plugin::{Answer, Identity, LoginRequest, Step};
use omnigent_server::{
    account::{Linking, Rules},
    backend::{Backends, Cost, Hashing, Instance, OpenError, Services, Wanted, file_of},
    clock::Clock,
    store::{Options, Store},
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::workshop;

/// As short as keeps a busy machine from failing what is well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// What [`with_backends`] lends to a test.
pub(crate) struct Bench {
    pub(crate) backends: Arc<Backends>,
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

/// Runs `test` with the wanted backends and a good one called `good`, and after it makes sure that
/// the good one still signs people in. Returns when the test does, whatever hangs.
pub(crate) fn with_backends(wanted: Vec<Wanted>, test: impl AsyncFnOnce(&Bench)) {
    runtime().block_on(async {
        let mut bench = bench().await;
        let mut all = vec![good()];
        all.extend(wanted);
        bench.backends = Arc::new(open(&bench.store, all).await);
        test(&bench).await;
        sign_in(bench.backends.get("good").unwrap(), "alice", "secret")
            .await
            .unwrap();
    });
}

/// As many workers as the server has at least.
pub(crate) fn runtime() -> Unwaited {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    Unwaited(Some(runtime.unwrap()))
}

/// A runtime that leaves hung threads behind, also when a test fails.
pub(crate) struct Unwaited(Option<Runtime>);

impl Unwaited {
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.as_ref().unwrap().block_on(work)
    }
}

impl Drop for Unwaited {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

/// The one reason why `wanted` does not open.
pub(crate) fn refusal(wanted: Wanted) -> OpenError {
    let failures = runtime().block_on(async {
        let bench = bench().await;
        let mut backends = open(&bench.store, vec![wanted, good()]).await;
        sign_in(backends.get("good").unwrap(), "alice", "secret")
            .await
            .unwrap();
        backends.take_failures()
    });
    let [failure] = <[_; 1]>::try_from(failures).unwrap_or_else(|all| panic!("not one: {all:?}"));
    let line = failure.to_string();
    assert!(!line.contains('\n') && line.len() < 400, "one line: {line}");
    failure.error
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    Bench {
        backends: Arc::default(),
        store,
        _dir: dir,
    }
}

async fn open(store: &Store, wanted: Vec<Wanted>) -> Backends {
    let cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let services = Services {
        store: store.clone(),
        hashing: Hashing::start(cost, 1, 8).unwrap(),
        clock: Clock::system(),
        runtime: Handle::current(),
    };
    Backends::open(wanted, &services, "https://auth.example.com").await
}

fn good() -> Wanted {
    Wanted {
        name: "good".into(),
        ..fixture("keeper", json!({"people": {"alice": "secret"}}))
    }
}

/// A backend of the fixture plugin `name`, of the same name.
pub(crate) fn fixture(name: &str, config: Value) -> Wanted {
    at(name, &file_of(workshop::built(), name), config)
}

/// A backend of the plugin `name` in `file`.
pub(crate) fn at(name: &str, file: &Path, config: Value) -> Wanted {
    Wanted {
        name: name.into(),
        plugin: name.into(),
        file: file.into(),
        sha256: None,
        title: None,
        required: true,
        rules: Rules {
            linking: Linking::Existing,
            ..Rules::default()
        },
        session_ttl: None,
        deadline: DEADLINE,
        concurrency: 8,
        config,
    }
}

/// Signs in with a password; nothing when that is denied.
pub(crate) async fn sign_in(backend: &Instance, name: &str, password: &str) -> Option<Identity> {
    let Step::Ask { form, state } = backend.begin(&LoginRequest::default()).await.unwrap() else {
        panic!("it asks");
    };
    assert!(form.is_password());
    match backend
        .resume(&state, &Answer::password(name, password))
        .await
        .unwrap()
    {
        Step::Accept(identity) => Some(identity),
        Step::Denied { .. } => None,
        step => panic!("{step:?}"),
    }
}
