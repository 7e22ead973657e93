//! No core dumps of a server: its memory holds keys and passwords (THREATS X8).

use rustix::process::{Resource, Rlimit, setrlimit};

/// Switches them off for this process and what it starts. A system that does not let it is told of
/// and no reason not to start.
pub(crate) fn switch_off() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps stay possible: they would hold keys and passwords");
    }
}
