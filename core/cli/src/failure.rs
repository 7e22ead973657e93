//! How a command fails, and the exit code that says so.

use std::{fmt, process::ExitCode};

use omnigent_server::{
    app::StartError,
    archive::ArchiveError,
    config::Problem,
    store::{OpenError, StoreError},
};

/// Exit code of a wrong command line or configuration.
pub(crate) const USAGE: u8 = 2;

/// Shown at the end of `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong command line or configuration · 3 another process uses \
the data directory · 4 the store is damaged · 5 not signed in · 6 the server refused · 7 the server \
cannot be reached or cannot tell

Examples:
  omnigent server                                    try it out: no sign-in, this machine only
  omnigent server --config config/accounts.toml      people sign in with a password
  omnigent config check config/accounts.toml         every fault at once
  omnigent account add alice --admin                 asks for a password
  omnigent login https://auth.example.com            sign in, on this machine or another
  curl -H \"Authorization: Bearer $(omnigent token)\" https://auth.example.com/v1/sessions";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and did not work.
    Failed(String),
    /// The command line asks for something that makes no sense.
    Usage(String),
    /// The configuration is refused.
    Config(Vec<Problem>),
    /// Another process uses the data directory.
    InUse(String),
    /// The store is damaged.
    Damaged(String),
    /// Nobody is signed in, or not any more.
    SignedOut(String),
    /// The server was asked and said no.
    Refused(String),
    /// The server cannot be reached, or cannot tell right now.
    Unreachable(String),
    /// As [`Failure::Config`], when the faults have been shown already.
    Told,
}

impl Failure {
    /// The documented exit code.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Config(_) | Self::Told => USAGE,
            Self::InUse(_) => 3,
            Self::Damaged(_) => 4,
            Self::SignedOut(_) => 5,
            Self::Refused(_) => 6,
            Self::Unreachable(_) => 7,
        }
    }

    /// Tells the person why, and the shell with a code.
    pub(crate) fn report(&self) -> ExitCode {
        if !matches!(self, Self::Told) {
            eprintln!("omnigent: {self}");
        }
        ExitCode::from(self.code())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let why = error.to_string();
        match error {
            OpenError::Locked(_) => Self::InUse(why),
            OpenError::Io { .. } | OpenError::Newer { .. } | OpenError::Clock => Self::Failed(why),
            // Everything else there is speaks of the data itself.
            _ => Self::Damaged(why),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let why = error.to_string();
        match error {
            ArchiveError::Open(error) => error.into(),
            ArchiveError::InUse(_) => Self::InUse(why),
            ArchiveError::NotOurs
            | ArchiveError::Damaged { .. }
            | ArchiveError::Unfinished(_)
            | ArchiveError::Store(StoreError::Corrupt { .. }) => Self::Damaged(why),
            _ => Self::Failed(why),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Damaged(why) => Self::Damaged(why),
            // What the operator named cannot be had: theirs to mend, like any other setting.
            StartError::Backends(_) | StartError::Config(_) | StartError::Keyring(_) => {
                Self::Usage(error.to_string())
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why)
            | Self::Usage(why)
            | Self::InUse(why)
            | Self::Damaged(why)
            | Self::SignedOut(why)
            | Self::Refused(why)
            | Self::Unreachable(why) => f.write_str(why),
            Self::Config(problems) => {
                f.write_str("the configuration is refused")?;
                for problem in problems {
                    write!(f, "\n  {problem}")?;
                }
                Ok(())
            }
            Self::Told => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_not_opening_has_its_exit_code() {
        let dir = std::path::PathBuf::from("/data");
        let what = "a record".to_owned();
        let cause = "denied".to_owned();
        for (error, code) in [
            (OpenError::Locked(dir.clone()), 3),
            (OpenError::Clock, 1),
            (
                OpenError::Io {
                    dir: dir.clone(),
                    cause,
                },
                1,
            ),
            (
                OpenError::Newer {
                    dir: dir.clone(),
                    found: 2,
                    known: 1,
                },
                1,
            ),
            (
                OpenError::Damaged {
                    dir: dir.clone(),
                    what,
                },
                4,
            ),
            (
                OpenError::RolledBack {
                    dir: dir.clone(),
                    found: 1,
                    known: 2,
                },
                4,
            ),
            (
                OpenError::Emptied {
                    dir: dir.clone(),
                    known: 2,
                },
                4,
            ),
            (OpenError::NoHighWater { dir }, 4),
        ] {
            assert_eq!(Failure::from(error).code(), code);
        }
    }
}
