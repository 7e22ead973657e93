//! How much is allowed, of what.

use super::rule::{Row, Rule};

/// What is allowed, and what then. [`Limits::default`] explains the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong guesses at one account from one network, or from one familiar device.
    pub pair: Rule,
    /// Wrong guesses at one account by strangers, wherever from.
    pub account: Rule,
    /// Wrong guesses from one network, whatever the account. The wider network around it has four
    /// times as many.
    pub network: Rule,
    /// Failures of one account, or device, in a row.
    pub row: Row,
    /// Sign-ins, tickets and the like that a network begins.
    pub begin: Rule,
    /// Accounts that a network registers.
    pub register: Rule,
    /// Whatever a network sends without a credential.
    pub write: Rule,
    /// Keys of each sort that are kept at most.
    pub max_entries: usize,
}

impl Default for Limits {
    /// Ten wrong passwords are a person who looks for the right one; after that the waits double from
    /// a second to a quarter of an hour, which leaves a guesser about 100 guesses a day. Strangers
    /// from everywhere together have 30, then one an hour; a network has 100 over all accounts,
    /// then one a minute. At the hundredth failure in a row, where NIST SP 800-63B section 3.2.2 has a
    /// verifier stop, strangers pause for a day: not for ever, because that would let anybody lock
    /// anybody out, and not the account's own devices.
    fn default() -> Self {
        const MINUTE: u64 = 60_000;
        let rule = |free, wait_millis| Rule { free, wait_millis };
        Self {
            pair: rule(10, 15 * MINUTE),
            account: rule(30, 60 * MINUTE),
            network: rule(100, MINUTE),
            row: Row {
                limit: 100,
                pause_millis: 24 * 60 * MINUTE,
            },
            begin: rule(300, MINUTE / 300),
            register: rule(60, MINUTE),
            write: rule(3000, MINUTE / 3000),
            max_entries: 100_000,
        }
    }
}

/// Which of the tables a key is in, and by which rule it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Pair,
    Device,
    Account,
    Network,
    Around,
}

impl Scope {
    pub(super) fn rule(self, limits: &Limits) -> Rule {
        match self {
            Self::Pair | Self::Device => limits.pair,
            Self::Account => limits.account,
            Self::Network => limits.network,
            Self::Around => around(limits.network),
        }
    }

    pub(super) fn row(self, limits: &Limits) -> Option<Row> {
        matches!(self, Self::Device | Self::Account).then_some(limits.row)
    }
}

/// How many times as much a wider network may.
const AROUND: u32 = 4;

/// The rule of the wider network around one.
pub(super) fn around(rule: Rule) -> Rule {
    Rule {
        free: rule.free.saturating_mul(AROUND),
        wait_millis: (rule.wait_millis / u64::from(AROUND)).max(1),
    }
}
