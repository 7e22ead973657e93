//! Shows a secret, this once.

use askama::Template;
use http::StatusCode;

use super::{super::Outcome, Shell, render};

/// What is shown.
#[derive(Template)]
#[template(path = "secret.html")]
pub(super) struct ShownOnce {
    pub(super) shell: Shell,
    pub(super) warning: &'static str,
    pub(super) secrets: Vec<Shown>,
    pub(super) details: String,
    pub(super) back: &'static str,
}

/// A text to copy.
pub(super) struct Shown {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) text: String,
}

impl ShownOnce {
    pub(super) fn show(&self) -> Outcome {
        render(StatusCode::OK, self)
    }
}
