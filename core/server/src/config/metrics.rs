//! `[metrics]`: where Prometheus reads what is counted.

use std::net::SocketAddr;

use super::{server::listen, sheet::Section};

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Address of a listener of its own; none: metrics are shown nowhere.
    pub listen: Option<SocketAddr>,
    /// The operator's word that everybody who reaches it may read it.
    pub allow_on_network: bool,
}

pub(super) fn metrics(mut section: Section<'_>) -> Metrics {
    let place = section.place("listen");
    let metrics = Metrics {
        listen: section.parsed("listen", listen),
        allow_on_network: section.boolean("allow_on_network", false),
    };
    if let Some(address) = metrics.listen
        && !address.ip().is_loopback()
        && !metrics.allow_on_network
    {
        section.sheet.fault_with(
            &place,
            format!("whoever reaches {address} could read the metrics: they ask for no credential"),
            Some("listen on 127.0.0.1, or say `allow_on_network = true` in [metrics]".into()),
        );
    }
    section.finish();
    metrics
}
