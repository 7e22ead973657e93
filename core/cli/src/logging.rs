//! Log lines on standard error: for people or, one JSON object a line, for machines.

use std::io::IsTerminal;

use omnigent_server::config::{LogFormat, Server};
use tracing_subscriber::EnvFilter;

/// Starts logging as `[server]` says. Other crates' lines are shown from `warn` up,
/// what was decided about access always.
pub(crate) fn start(server: &Server) {
    let level = server.log_level.as_str();
    let filter = EnvFilter::new(format!(
        "warn,audit=info,omnigent={level},omnigent_server={level}"
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only a second start in one process can fail, and then logging is on already.
    let _ = match server.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
