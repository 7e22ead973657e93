//! A backend that panics, hangs, lies or floods spoils its own calls and nobody else's: `good` must
//! sign people in while it does, and `with_backends` checks it again afterwards.

use std::{sync::Arc, time::Instant};

use omnigent_plugin::{
    Answer, BackendError, Identity, IdentityRef, LoginRequest, Password, State, Verdict,
};
use omnigent_server::backend::{
    Backends, CallError, Instance, OpenError, Presented, Reader, Wanted,
};
use serde_json::json;

use crate::server::{DEADLINE, fixture, refusal, sign_in, with_backends};

/// What is called in the slow lane.
const ENTRIES: [&str; 10] = [
    "begin",
    "resume",
    "revalidate",
    "create",
    "set_password",
    "change_password",
    "remove",
    "describe",
    "logout",
    "health",
];

fn misbehaving(entry: &str, how: &str) -> Wanted {
    fixture("misbehaving", json!({"entry": entry, "how": how}))
}

async fn call(backend: &Instance, entry: &str) -> Result<(), CallError> {
    let password = Password::new("x");
    match entry {
        "begin" => backend.begin(&LoginRequest::default()).await.map(drop),
        "resume" => backend
            .resume(&State::default(), &Answer::default())
            .await
            .map(drop),
        "revalidate" => backend.revalidate(&IdentityRef::default()).await.map(drop),
        "create" => backend.directory_create("x", &password).await.map(drop),
        "set_password" => backend
            .directory_set_password("x", &password)
            .await
            .map(drop),
        "change_password" => backend
            .directory_change_password("x", &password, &password)
            .await
            .map(drop),
        "remove" => backend.directory_remove("x").await.map(drop),
        "describe" => backend.directory_describe(&["x".into()]).await.map(drop),
        "logout" => backend.logout(&Identity::default()).await.map(drop),
        _ => backend.health().await,
    }
}

const fn request(path: &str) -> Presented<'_> {
    Presented {
        method: "GET",
        path,
        peer: "127.0.0.1",
        headers: &[],
        client_certificate: None,
        is_from_trusted_proxy: false,
    }
}

fn identify(backend: &Instance, path: &str) -> Result<Verdict, CallError> {
    backend.identify(&request(path))
}

/// As the server asks: on another thread, if need be.
async fn identify_anywhere(backend: &Instance) -> Result<Verdict, CallError> {
    match identify(backend, "/") {
        Err(CallError::Busy) => {
            let read = |reader: &Reader| reader.read(&request("/"));
            backend.identify_aside(read).await
        }
        outcome => outcome,
    }
}

fn assert_panicked(outcome: Result<(), CallError>, entry: &str) {
    let Err(CallError::Backend(BackendError::Internal { message })) = outcome else {
        panic!("{entry}: {outcome:?}");
    };
    assert!(
        message.contains("panicked at") && !message.contains('\n'),
        "{entry}: {message}"
    );
}

#[test]
fn a_panic_in_any_call_is_an_error_of_that_call() {
    for entry in ENTRIES {
        with_backends(vec![misbehaving(entry, "panic")], async |bench| {
            let bad = bench.backends.get("misbehaving").unwrap();
            assert_panicked(call(bad, entry).await, entry);
            let other = if entry == "logout" {
                "remove"
            } else {
                "logout"
            };
            call(bad, other).await.unwrap();
        });
    }
}

#[test]
fn a_panic_whose_payload_panics_is_one_too() {
    with_backends(vec![misbehaving("begin", "bomb")], async |bench| {
        assert_panicked(
            call(bench.backends.get("misbehaving").unwrap(), "begin").await,
            "bomb",
        );
    });
}

#[test]
fn a_panic_in_identify_is_an_error_of_that_request() {
    with_backends(vec![misbehaving("identify", "panic")], async |bench| {
        for _ in 0..100 {
            let outcome = identify(bench.backends.get("misbehaving").unwrap(), "/").map(drop);
            assert_panicked(outcome, "identify");
        }
    });
}

#[test]
fn a_panic_while_opening_is_a_reason_not_to_open() {
    let error = refusal(misbehaving("open", "panic"));
    assert!(error.to_string().contains("on purpose in open"), "{error}");
}

#[test]
fn a_backend_that_never_opens_is_given_up() {
    for how in ["hang", "block"] {
        let began = Instant::now();
        let error = refusal(misbehaving("open", how));
        assert!(matches!(error, OpenError::TimedOut(_)), "{error}");
        assert!(began.elapsed() < 8 * DEADLINE);
    }
}

#[test]
fn panics_and_hangs_in_shutdown_do_not_keep_the_server_up() {
    let backends = |how: &str| Wanted {
        name: how.into(),
        ..misbehaving("shutdown", how)
    };
    with_backends(vec![backends("panic"), backends("block")], async |bench| {
        let began = Instant::now();
        bench.backends.shutdown();
        assert!(began.elapsed() < 5 * DEADLINE);
    });
}

#[test]
fn a_panic_while_being_dropped_stays_inside() {
    with_backends(vec![misbehaving("drop", "panic")], async |bench| {
        call(bench.backends.get("misbehaving").unwrap(), "health")
            .await
            .unwrap();
    });
    // The backends are dropped by now.
}

#[test]
fn a_call_that_never_answers_ends_at_its_deadline_and_then_nobody_waits() {
    for how in ["hang", "block"] {
        with_backends(vec![misbehaving("begin", how)], async |bench| {
            let backends = Arc::clone(&bench.backends);
            let hung: Vec<_> = (0..6).map(|_| begin_in_a_task(&backends)).collect();
            let good = bench.backends.get("good").unwrap();
            for _ in 0..20 {
                assert!(sign_in(good, "alice", "secret").await.is_some());
            }
            for hung in hung {
                assert!(matches!(hung.await.unwrap(), Err(CallError::TimedOut)));
            }
            let bad = bench.backends.get("misbehaving").unwrap();
            assert!(bad.is_paused());
            let began = Instant::now();
            assert!(matches!(call(bad, "begin").await, Err(CallError::Paused)));
            assert!(began.elapsed() < DEADLINE / 2);
        });
    }
}

fn begin_in_a_task(backends: &Arc<Backends>) -> tokio::task::JoinHandle<Result<(), CallError>> {
    let backends = Arc::clone(backends);
    tokio::spawn(async move { call(backends.get("misbehaving").unwrap(), "begin").await })
}

#[test]
fn a_request_that_identify_never_lets_go_leaves_workers_for_the_others() {
    with_backends(vec![misbehaving("identify", "block")], async |bench| {
        // More requests than the server has workers, each of which would be lost for good.
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let backends = Arc::clone(&bench.backends);
                tokio::spawn(async move {
                    identify(backends.get("misbehaving").unwrap(), "/").map(drop)
                })
            })
            .collect();
        let good = Arc::clone(&bench.backends);
        let served = tokio::spawn(async move {
            let good = good.get("good").unwrap();
            for _ in 0..20 {
                assert!(sign_in(good, "alice", "secret").await.is_some());
                identify_anywhere(good).await.unwrap();
            }
        });
        tokio::time::timeout(10 * DEADLINE, served)
            .await
            .unwrap()
            .unwrap();
        let bad = bench.backends.get("misbehaving").unwrap();
        let began = Instant::now();
        while !bad.is_paused() {
            assert!(began.elapsed() < 5 * DEADLINE, "the watchdog sees it");
            tokio::task::yield_now().await;
        }
        assert!(matches!(identify(bad, "/"), Err(CallError::Paused)));
        let answered = asked.iter().filter(|asked| asked.is_finished()).count();
        assert_eq!(answered, 7, "only what hangs inside is lost");
    });
}

#[test]
fn garbage_is_an_error_and_never_a_way_in() {
    with_backends(vec![fixture("garbage", json!({}))], async |bench| {
        let bad = bench.backends.get("garbage").unwrap();
        for entry in ["begin", "resume", "revalidate", "create", "set_password"] {
            let outcome = call(bad, entry).await;
            assert!(
                matches!(outcome, Err(CallError::Garbage(_))),
                "{entry}: {outcome:?}"
            );
        }
        assert!(matches!(
            identify(bad, "/failed"),
            Err(CallError::Garbage(_))
        ));
        assert!(
            matches!(call(bad, "logout").await, Err(CallError::Paused)),
            "and is not trusted further"
        );
    });
    for entry in ["health", "logout", "describe"] {
        with_backends(vec![fixture("garbage", json!({}))], async |bench| {
            let outcome = call(bench.backends.get("garbage").unwrap(), entry).await;
            assert!(
                matches!(outcome, Err(CallError::Garbage(_))),
                "{entry}: {outcome:?}"
            );
        });
    }
}

#[test]
fn a_flooded_log_is_cut_and_others_are_served_meanwhile() {
    let lines = log::listen();
    with_backends(vec![misbehaving("", "flood")], async |bench| {
        let backends = Arc::clone(&bench.backends);
        let flood = begin_in_a_task(&backends);
        assert!(
            sign_in(bench.backends.get("good").unwrap(), "alice", "secret")
                .await
                .is_some()
        );
        flood.await.unwrap().unwrap();
    });
    let lines: Vec<_> = lines
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.contains("flood"))
        .cloned()
        .collect();
    assert!((1..=400).contains(&lines.len()), "{}", lines.len());
    for line in lines {
        assert!(
            line.len() < 8000 && !line.chars().any(char::is_control),
            "{line}"
        );
    }
}

/// What the server writes to its log, for tests that look.
mod log {
    use std::{
        fmt::Debug,
        sync::{Arc, Mutex, OnceLock},
    };

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id, Record},
    };

    type Lines = Arc<Mutex<Vec<String>>>;

    pub(super) fn listen() -> Lines {
        static LINES: OnceLock<Lines> = OnceLock::new();
        let start = || {
            let lines = Lines::default();
            tracing::subscriber::set_global_default(Listener(Arc::clone(&lines))).unwrap();
            lines
        };
        Arc::clone(LINES.get_or_init(start))
    }

    struct Listener(Lines);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }

    impl Subscriber for Listener {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}
