//! A panic of the author's code ends its call, not the server.
//!
//! **Invariant:** no unwinding passes [`guard`], and neither does the panic's payload, whose own
//! destructor might panic. What it said goes into the error; nothing is printed for it.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    pin::pin,
    sync::Once,
    task::Poll,
};

use crate::BackendError;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; a panic becomes a [`BackendError::Internal`] that says where and what.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, BackendError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(listen);
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    outcome.map_err(|payload| {
        std::mem::forget::<Box<dyn Any + Send>>(payload);
        let said = SAID.take();
        BackendError::internal(format!("the plugin panicked {said}"))
    })
}

/// As [`guard`], for each step of a future.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, BackendError> {
    let mut work = pin!(work);
    poll_fn(|context| match guard(|| work.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

/// The plugin has a standard library, and so a panic hook, of its own.
fn listen() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if GUARDED.get() {
            SAID.set(describe(panic));
        } else {
            usual(panic);
        }
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(ToString::to_string);
    let words: String = panic
        .payload_as_str()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    format!("at {}: {}", place.unwrap_or_default(), words.escape_debug())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_panic_says_where_and_what() {
        let error = guard(|| panic!("no {}\n", "luck")).unwrap_err().to_string();
        assert!(
            error.contains("src/panics.rs:") && error.ends_with("no luck\\n"),
            "{error}"
        );
        assert_eq!(guard(|| 7), Ok(7));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("bomb");
            }
        }
        assert!(guard(|| std::panic::panic_any(Bomb)).is_err());
    }
}
