//! What was found, and how it is told.

use serde::Serialize;
use serde_json::json;

use crate::output;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or is not what most people want.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What kind of thing: a word for scripts.
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) message: String,
    /// What to do; nothing when it is as it should be.
    pub(super) advice: Option<String>,
}

/// Everything looked at so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, State::Ok, message.into(), None);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, State::Warn, message.into(), Some(advice.into()));
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, State::Fail, message.into(), Some(advice.into()));
    }

    fn add(&mut self, check: &'static str, state: State, message: String, advice: Option<String>) {
        // Plugins and providers speak here too.
        self.0.push(Finding {
            check,
            state,
            message: output::plain(&message),
            advice: advice.map(|advice| output::plain(&advice)),
        });
    }

    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        let failed = self.0.iter().filter(|one| one.state == State::Fail);
        failed.count()
    }

    pub(super) fn tell(&self, as_json: bool) {
        if as_json {
            output::json(&json!({"ok": self.failed() == 0, "findings": self.0}));
            return;
        }
        for finding in &self.0 {
            let word = match finding.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            output::say(format_args!(
                "{word:<5} {:<13} {}",
                finding.check, finding.message
            ));
            if let Some(advice) = &finding.advice {
                output::say(format_args!("{:<20}→ {advice}", ""));
            }
        }
    }
}
