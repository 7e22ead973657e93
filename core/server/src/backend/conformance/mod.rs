//! The contract, as attacks on a plugin: what `omnigent plugin check` runs.
//!
//! Owns: the cases and how their outcomes are told. Does not: load or call by itself; the backend
//! goes through the same door as in a server. What a case finds is a promise of
//! `docs/writing-a-backend.md` that does not hold.
//!
//! **Invariant:** a case that cannot be run says so: it is skipped with its reason, never passed.

mod border;
mod directory;
mod identify;
mod login;
mod manifest;
mod opening;

use std::fmt;

use omnigent_plugin::{BackendError, Password};

use super::{Backends, CallError, OpenError, Services, Wanted};

/// Somebody the backend lets in, for the cases that need one.
#[derive(Clone, Debug)]
pub struct Known {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Password,
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise holds.
    Passed,
    /// It does not: what happened instead.
    Failed(String),
    /// It could not be tried: why.
    Skipped(String),
}

/// One promise, and whether it holds.
#[derive(Clone, Debug)]
pub struct Case {
    /// The promise.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// All cases of one plugin.
#[derive(Debug, Default)]
pub struct Report(Vec<Case>);

impl Report {
    /// The cases, in the order they were run.
    pub fn cases(&self) -> &[Case] {
        &self.0
    }

    /// Whether no promise was broken.
    pub fn is_clean(&self) -> bool {
        let broken = |case: &Case| matches!(case.outcome, Outcome::Failed(_));
        !self.0.iter().any(broken)
    }

    /// What came of the case called `name`.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        let case = self.0.iter().find(|case| case.name == name)?;
        Some(&case.outcome)
    }

    fn note(&mut self, name: &'static str, outcome: Result<(), String>) {
        let outcome = outcome.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.0.push(Case { name, outcome });
    }

    fn skip(&mut self, name: &'static str, why: impl fmt::Display) {
        let outcome = Outcome::Skipped(why.to_string());
        self.0.push(Case { name, outcome });
    }
}

/// What a backend is opened at during the check.
const PUBLIC_URL: &str = "https://conformance.example";

/// Runs every case against the plugin `wanted` names, as it is configured there.
///
/// The file's code runs in this process: only check what you would also run.
pub async fn check(wanted: &Wanted, known: Option<&Known>, services: &Services) -> Report {
    let mut report = Report::default();
    let Some(manifest) = manifest::cases(&mut report, wanted) else {
        return report;
    };
    opening::cases(&mut report, wanted, services).await;
    let backend = match open(wanted, services).await {
        Ok(backends) => backends,
        Err(OpenError::Refused(BackendError::Misconfigured { message })) => {
            let why = format!("it wants a configuration (--config): {message}");
            report.skip("it opens", why);
            return report;
        }
        Err(error) => {
            report.note("it opens", Err(error.to_string()));
            return report;
        }
    };
    report.note("it opens", Ok(()));
    let Some(instance) = backend.iter().next() else {
        return report;
    };
    border::cases(&mut report, instance, &manifest).await;
    if manifest.can("login") {
        login::cases(&mut report, instance, known).await;
    }
    if manifest.can("identify") {
        identify::cases(&mut report, instance);
    }
    directory::cases(&mut report, instance, &manifest).await;
    border::ending(&mut report, &backend);
    report
}

async fn open(wanted: &Wanted, services: &Services) -> Result<Backends, OpenError> {
    let mut backends = Backends::open(vec![wanted.clone()], services, PUBLIC_URL).await;
    match backends.take_failures().pop() {
        Some(failure) => Err(failure.error),
        None => Ok(backends),
    }
}

/// What no call may end in, however hostile its message: a fault of the backend itself, or no
/// answer in time. That something it depends on does not answer is no fault.
fn fault(error: &CallError) -> Option<String> {
    match error {
        CallError::Backend(BackendError::Internal { .. })
        | CallError::TimedOut
        | CallError::Garbage(_) => Some(error.to_string()),
        _ => None,
    }
}

/// Texts that have broken programs: empty, long, control characters, look-alikes, and what
/// means something to a shell, a database or a directory.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\0",
        "a\0b",
        "\r\nX-Admin: 1",
        "\u{202e}nimda",
        "\u{212a}elvin",
        "ｌｏｃａｌ",
        "local",
        "__public__",
        "' OR '1'='1",
        "*)(uid=*))(|(uid=*",
        "*",
        "../../etc/passwd",
        "$(reboot)",
        "%s%s%n",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "\u{feff}admin",
        "😀",
    ]
    .map(str::to_owned)
    .into();
    texts.push("x".repeat(100_000));
    texts.push("é".repeat(1024));
    texts
}
