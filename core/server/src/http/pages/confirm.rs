//! Asks before something that cannot be taken back.

use askama::Template;
use http::StatusCode;

use super::{super::Outcome, Shell, render};

/// The question.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) shell: Shell,
    /// What will happen, line by line.
    pub(super) lines: Vec<String>,
    /// Where the form goes.
    pub(super) action: String,
    /// What the button says.
    pub(super) submit: &'static str,
    /// Whether the button is one to be careful with.
    pub(super) is_grave: bool,
    /// Asks how long something goes on, in these words.
    pub(super) overlap: Option<&'static str>,
    /// Where to go instead.
    pub(super) back: String,
}

impl Confirm {
    pub(super) fn show(&self) -> Outcome {
        render(StatusCode::OK, self)
    }
}
