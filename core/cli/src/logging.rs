//! Log lines on standard error: for people or, one JSON object a line, for machines.

use std::io::IsTerminal;

use omnigent_server::config::{LogFormat, Server};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Starts logging as `[server]` says. Other crates' lines are shown from `warn` up,
/// what was decided about access always.
pub(crate) fn start(server: &Server) {
    let level: LevelFilter = server.log_level.into();
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("audit", LevelFilter::INFO)
        .with_target("omnigent", level)
        .with_target("omnigent_server", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    // Only a second start in one process can fail, and then logging is on already.
    let _ = match server.log_format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
