//! The page: everything that is counted, read when somebody asks.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>; docs/operations.md lists them.

use std::sync::Arc;

use super::{
    Counter, Door,
    family::{Families, Samples},
    histogram::{self, Reading},
    process,
};
use crate::{
    app::App,
    backend::Instance,
    http::VERSION,
    store::{FLUSH_BOUNDS, Store, Writing},
    tables,
};

/// All metrics in the text format. Blocks: it looks at files.
///
/// # Errors
/// A name that Prometheus does not take: a fault of the build.
pub fn page(app: &Arc<App>, is_draining: bool) -> Result<String, prometheus::Error> {
    let mut families = Families::default();
    server(&mut families, app, is_draining);
    requests(&mut families, app);
    logins(&mut families, app);
    backends(&mut families, app);
    tokens(&mut families, app);
    hashing(&mut families, app);
    store(&mut families, &app.store);
    spans(&mut families, app);
    runtime(&mut families, app);
    process::add(&mut families);
    families.text()
}

fn server(families: &mut Families, app: &App, is_draining: bool) {
    families
        .gauge("omnigent_build_info", "The version that runs; always 1.")
        .count(&[("version", VERSION)], 1);
    families
        .gauge(
            "omnigent_draining",
            "1 while the server stops and lets requests end.",
        )
        .count(&[], u64::from(is_draining));
    families
        .gauge("omnigent_accounts", "Accounts, disabled ones included.")
        .count(&[], app.live.accounts.len() as u64);
    families
        .gauge(
            "omnigent_revoked_ids",
            "Revoked tokens, logins and grants that have not expired.",
        )
        .count(&[], app.live.revocations.len() as u64);
}

fn requests(families: &mut Families, app: &App) {
    let requests = &app.meters.requests;
    let routes = requests.readings();
    let mut samples = families.counter(
        "omnigent_http_requests_total",
        "Requests answered, by route and class of status.",
    );
    for route in &routes {
        for (class, count) in &route.classes {
            let labels = [
                ("method", route.method),
                ("route", route.path),
                ("status", class),
            ];
            samples = samples.count(&labels, *count);
        }
    }
    drop(samples);
    let mut samples = families.histogram(
        "omnigent_http_request_duration_seconds",
        "Time from a request's header to its answer, by route.",
    );
    for route in &routes {
        let labels = [("method", route.method), ("route", route.path)];
        samples = samples.reading(&labels, &route.times);
    }
    drop(samples);
    families
        .counter(
            "omnigent_http_requests_throttled_total",
            "Requests answered with 429.",
        )
        .count(&[], requests.throttled());
    let opened = families.counter(
        "omnigent_http_connections_total",
        "Connections accepted, by listener.",
    );
    per_door(opened, app, |(opened, _, _)| opened);
    let open = families.gauge(
        "omnigent_http_connections_open",
        "Connections open now, by listener.",
    );
    per_door(open, app, |(_, open, _)| open);
    let refused = families.counter(
        "omnigent_http_connections_refused_total",
        "Connections closed because as many were open as may be, in all or from one address.",
    );
    per_door(refused, app, |(_, _, refused)| refused);
}

fn per_door(mut samples: Samples<'_>, app: &App, number: fn((u64, u64, u64)) -> u64) {
    for (door, word) in Door::ALL {
        let numbers = app.meters.connections.numbers(door);
        samples = samples.count(&[("listener", word)], number(numbers));
    }
}

fn logins(families: &mut Families, app: &App) {
    let mut samples = families.counter(
        "omnigent_logins_total",
        "Sign-ins that ended, by backend and result.",
    );
    for (backend, result, count) in app.meters.logins.readings() {
        samples = samples.count(&[("backend", &backend), ("result", result)], count);
    }
}

fn backends(families: &mut Families, app: &App) {
    let open: Vec<&Instance> = app.backends.iter().collect();
    let mut up = families.gauge(
        "omnigent_backend_up",
        "1 while a backend is well, 0 while it is degraded or did not open.",
    );
    for backend in &open {
        let is_up = u64::from(!backend.is_degraded());
        up = up.count(&[("backend", backend.name())], is_up);
    }
    for failure in app.backends.failures() {
        up = up.count(&[("backend", &failure.name)], 0);
    }
    drop(up);
    let breaker = families.gauge(
        "omnigent_backend_breaker_open",
        "1 while a backend is not asked because it failed several times in a row.",
    );
    per_backend(breaker, &open, |backend| u64::from(backend.is_paused()));
    let running = families.gauge(
        "omnigent_backend_calls_running",
        "Calls into a backend under way.",
    );
    per_backend(running, &open, |backend| backend.load().0 as u64);
    let waiting = families.gauge(
        "omnigent_backend_calls_waiting",
        "Calls into a backend that wait for one of its places.",
    );
    per_backend(waiting, &open, |backend| backend.load().1 as u64);
    calls(families, &open);
}

fn per_backend(mut samples: Samples<'_>, open: &[&Instance], number: fn(&Instance) -> u64) {
    for backend in open {
        samples = samples.count(&[("backend", backend.name())], number(backend));
    }
}

fn calls(families: &mut Families, open: &[&Instance]) {
    let mut calls = families.counter(
        "omnigent_backend_calls_total",
        "Calls into a backend, by method and how they came out.",
    );
    for backend in open {
        for (method, fates, _) in backend.calls().readings() {
            for (fate, count) in fates {
                let labels = [
                    ("backend", backend.name()),
                    ("method", method),
                    ("result", fate),
                ];
                calls = calls.count(&labels, count);
            }
        }
    }
    drop(calls);
    let mut times = families.histogram(
        "omnigent_backend_call_duration_seconds",
        "Time calls into a backend took, by method; those not made are left out.",
    );
    for backend in open {
        for (method, _, reading) in backend.calls().readings() {
            times = times.reading(&[("backend", backend.name()), ("method", method)], &reading);
        }
    }
}

fn tokens(families: &mut Families, app: &App) {
    let tokens = app.verifier.meter();
    let one = |families: &mut Families, name: &str, help: &str, counter: &Counter| {
        families.counter(name, help).count(&[], counter.count());
    };
    one(
        families,
        "omnigent_token_cache_hits_total",
        "Tokens accepted because they were verified before and still count.",
        &tokens.hits,
    );
    one(
        families,
        "omnigent_token_cache_misses_total",
        "Tokens whose signature and claims were checked.",
        &tokens.misses,
    );
    let mut refused = families.counter(
        "omnigent_tokens_refused_total",
        "Tokens refused, by reason.",
    );
    for (reason, count) in tokens.refused() {
        refused = refused.count(&[("reason", &reason)], count);
    }
}

fn hashing(families: &mut Families, app: &App) {
    let meter = app.hashing().meter();
    families
        .gauge(
            "omnigent_hashing_queue_length",
            "Passwords that wait for their turn to be hashed.",
        )
        .count(&[], meter.waiting());
    families
        .histogram(
            "omnigent_hashing_wait_seconds",
            "Time passwords waited for their turn to be hashed.",
        )
        .reading(&[], &meter.waits.reading());
    families
        .histogram(
            "omnigent_hashing_duration_seconds",
            "Time hashing a password took.",
        )
        .reading(&[], &meter.works.reading());
    families
        .counter(
            "omnigent_hashing_refused_total",
            "Passwords that were not hashed because too many were waiting.",
        )
        .count(&[], meter.refused.count());
}

fn store(families: &mut Families, store: &Store) {
    let stats = store.stats();
    let bounds = FLUSH_BOUNDS.map(histogram::nanos);
    let counts = stats.flush_times.iter().copied();
    let flushes = Reading::new(&bounds, counts, histogram::nanos(stats.flushing));
    families
        .histogram(
            "omnigent_store_flush_duration_seconds",
            "Time a group of transactions took to be on the platter.",
        )
        .reading(&[], &flushes);
    families
        .counter(
            "omnigent_store_transactions_total",
            "Transactions committed; over the count of flushes: how many share one.",
        )
        .count(&[], stats.transactions);
    families
        .gauge(
            "omnigent_store_queue_length",
            "Transactions that wait for the writer.",
        )
        .count(&[], stats.waiting);
    let mut writing = families.gauge(
        "omnigent_store_writing",
        "1 for the kind of writes that are taken.",
    );
    for (kind, word) in WRITING {
        writing = writing.count(&[("state", word)], u64::from(stats.writing == kind));
    }
    drop(writing);
    families
        .gauge("omnigent_store_size_bytes", "The store's files on disk.")
        .count(&[], stats.disk);
    families
        .gauge(
            "omnigent_store_disk_free_bytes",
            "Bytes free on the disk of the store.",
        )
        .count(&[], stats.free);
    let mut records = families.gauge("omnigent_store_records", "Records, by table.");
    for (id, count) in &stats.by_table {
        records = records.count(&[("table", tables::name(*id))], *count);
    }
}

/// The kinds of writes that may be taken.
const WRITING: [(Writing, &str); 4] = [
    (Writing::Open, "open"),
    (Writing::SignOffsOnly, "sign_offs_only"),
    (Writing::Full, "full"),
    (Writing::ReadOnly, "read_only"),
];

fn spans(families: &mut Families, app: &App) {
    let mut samples = families.counter(
        "omnigent_trace_spans_total",
        "Spans of traces, by what became of them.",
    );
    for (fate, count) in app.meters.spans.readings() {
        samples = samples.count(&[("result", fate)], count);
    }
}

fn runtime(families: &mut Families, app: &App) {
    let runtime = app.runtime().metrics();
    let gauges = [
        (
            "omnigent_runtime_workers",
            "Threads that answer requests.",
            runtime.num_workers(),
        ),
        (
            "omnigent_runtime_tasks",
            "Tasks alive: connections, requests, upkeep.",
            runtime.num_alive_tasks(),
        ),
        (
            "omnigent_runtime_queue_length",
            "Tasks that wait for a thread.",
            runtime.global_queue_depth(),
        ),
    ];
    for (name, help, value) in gauges {
        families.gauge(name, help).count(&[], value as u64);
    }
}
