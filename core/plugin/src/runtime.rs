//! The plugin's own small runtime: a library loaded at run time cannot see the server's.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime all instances of this plugin share; nothing when the system has no threads to give.
pub(crate) fn handle() -> Option<&'static Handle> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(2)
            .max_blocking_threads(16)
            .thread_name("omnigent-plugin")
            .enable_all();
        builder.build().ok()
    };
    RUNTIME.get_or_init(start).as_ref().map(Runtime::handle)
}
