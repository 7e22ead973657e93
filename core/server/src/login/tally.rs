//! Counting how sign-ins end, for `/metrics`.
//!
//! **Invariant:** a backend is named by its configured name only, so strangers add no series.

use super::{Desk, Progress, SignInError};
use crate::backend::{CallError, Instance};

impl Desk {
    /// Counts a sign-in that has come to its end; a step on the way is none.
    pub(super) fn tally(&self, backend: &Instance, outcome: &Result<Progress, SignInError>) {
        match outcome {
            Ok(Progress::SignedIn(_)) => self.meters.logins.note(backend.name(), "signed_in"),
            Ok(_) => {}
            Err(error) => self.note(backend.name(), error),
        }
    }

    /// What a backend said; a sign-in that ends because it cannot tell is counted.
    pub(super) fn told<T>(
        &self,
        backend: &Instance,
        said: Result<T, CallError>,
    ) -> Result<T, SignInError> {
        said.map_err(SignInError::from)
            .inspect_err(|error| self.note(backend.name(), error))
    }

    /// Counts a sign-in that has ended without a login.
    pub(super) fn note(&self, backend: &str, error: &SignInError) {
        self.meters.logins.note(backend, error.result());
    }
}
