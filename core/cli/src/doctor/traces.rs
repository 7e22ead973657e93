//! The collector of traces: whether it can be reached and takes them.

use omnigent_server::{config::Config, trace};

use super::finding::Findings;

pub(super) async fn examine(findings: &mut Findings, config: &Config) {
    let Some(url) = config.tracing.traces_url() else {
        return;
    };
    match trace::probe(&config.tracing).await {
        None => {}
        Some(Ok(())) => findings.ok("traces", format!("{url} takes traces")),
        // Nobody is refused anything for it: a warning.
        Some(Err(why)) => findings.warn(
            "traces",
            format!("{url} does not take traces: {why}"),
            "start the collector, or check tracing.otlp_endpoint and its headers",
        ),
    }
}
