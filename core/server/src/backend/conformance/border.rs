//! The border itself: messages that mean nothing, and the end.

use std::time::Instant;

use omnigent_plugin::{BackendError, contract::Manifest};

use super::{
    super::{Backends, CallError, Instance},
    Report, fault,
};

pub(super) async fn cases(report: &mut Report, backend: &Instance, manifest: &Manifest) {
    let outcome = match backend.call::<()>("conformance.no_such_method", &()).await {
        Err(CallError::Backend(BackendError::NotSupported)) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    report.note("an unknown method is not supported", outcome);
    let mut broken = None;
    for method in [
        "login.begin",
        "login.resume",
        "revalidate",
        "directory.create",
        "health",
    ] {
        for garbage in [
            "",
            "{",
            "null",
            "[[[[",
            "\"\\ud800\"",
            "{\"state\": 7, \"answer\": []}",
        ] {
            backend.ease();
            let answer = backend.send(method, garbage.as_bytes().to_vec()).await;
            if answer.is_err() {
                broken.get_or_insert(format!("{method} with {garbage:?} has no answer"));
            }
        }
    }
    report.note(
        "a message that means nothing gets an answer",
        broken.map_or(Ok(()), Err),
    );
    if manifest.can("health") {
        backend.ease();
        let outcome = backend.health().await;
        let fault = outcome.as_ref().err().and_then(fault);
        report.note("it can say how it is", fault.map_or(Ok(()), Err));
    }
}

/// The last case: nothing can be asked after it.
pub(super) fn ending(report: &mut Report, backends: &Backends) {
    let began = Instant::now();
    backends.shutdown();
    let took = began.elapsed();
    let in_time = took < super::super::STOP_WITHIN;
    let outcome = in_time
        .then_some(())
        .ok_or_else(|| format!("it took {took:?}"));
    report.note("it stops when it is told to", outcome);
}
