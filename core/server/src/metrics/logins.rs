//! Sign-ins, by backend and how they came out.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The sign-ins so far, by the configured name of the backend and by result.
#[derive(Debug, Default)]
pub struct Logins(Mutex<BTreeMap<(String, &'static str), u64>>);

impl Logins {
    /// The backend of a sign-in that came to none.
    pub const NO_BACKEND: &'static str = "none";

    /// A sign-in came out like this. `backend` is a configured name or [`Logins::NO_BACKEND`]: the
    /// number of series follows from it.
    pub fn note(&self, backend: &str, result: &'static str) {
        let key = (backend.to_owned(), result);
        *self.0.lock().entry(key).or_default() += 1;
    }

    /// Backend, result and how many.
    pub(super) fn readings(&self) -> Vec<(String, &'static str, u64)> {
        let logins = self.0.lock();
        let one = |((backend, result), count): (&(String, &'static str), &u64)| {
            (backend.clone(), *result, *count)
        };
        logins.iter().map(one).collect()
    }
}
