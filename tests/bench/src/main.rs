//! What the server costs, next to a bare hyper server and a hand-written axum one, interleaved in
//! one run. Ratios are the result: absolute figures drift with the machine.
//!
//! `scripts/bench` builds everything in release mode and runs this.

mod fill;
mod hashing;
mod load;
mod peers;
mod process;
mod rows;
mod server;

use std::{path::Path, process::ExitCode, time::Duration};

/// How long and how often each thing is measured.
#[derive(Clone, Copy)]
struct Plan {
    round: Duration,
    rounds: usize,
    connections: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan {
        round: Duration::from_millis(1500),
        rounds: 7,
        connections: 32,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    let outcome = match words.first().map(String::as_str) {
        // The peers are this program again, so that their CPU is theirs alone.
        Some("serve-bare") => peer(peers::bare),
        Some("serve-axum") => peer(peers::axum_peer),
        Some("bearer") => runtime.block_on(rows::bearer(plan)),
        Some("logins") => runtime.block_on(rows::logins(plan)),
        Some("writes") => runtime.block_on(rows::writes(plan)),
        Some("growth") => runtime.block_on(rows::growth(plan)),
        Some("lists") => runtime.block_on(rows::lists(plan)),
        // With a directory the large store is kept there, and used again when it is there.
        Some("start") => runtime.block_on(rows::start(words.get(1).map(Path::new))),
        None => runtime.block_on(async {
            rows::bearer(plan).await?;
            rows::logins(plan).await?;
            rows::writes(plan).await?;
            rows::lists(plan).await?;
            rows::growth(plan).await?;
            rows::start(None).await
        }),
        Some(other) => {
            Err(format!("{other}? one of: bearer logins writes lists growth start").into())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A peer on the runtime everybody uses, as the server is.
fn peer<F: Future<Output = ()>>(serve: fn(tokio::net::TcpListener) -> F) -> server::Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(server::serve_peer(serve))
}
