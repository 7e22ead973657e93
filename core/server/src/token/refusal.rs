//! What a refusal of a token is called, in the log and in the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Counter;

/// Why a token does not count. For the log; callers learn only that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not three segments of base64url, too long, or not a header of ours.
    #[error("malformed")]
    Malformed,
    /// Not the algorithm of the key.
    #[error("algorithm")]
    Algorithm,
    /// No such key, or forgotten.
    #[error("unknown-key")]
    UnknownKey,
    /// Missing, malformed or wrong.
    #[error("signature")]
    Signature,
    /// Past its `exp`.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("not-yet-valid")]
    NotYetValid,
    /// Not this server's.
    #[error("issuer")]
    Issuer,
    /// For somebody else.
    #[error("audience")]
    Audience,
    /// Claims missing, mistyped, unknown, out of bounds or reserved.
    #[error("claims")]
    Claims,
    /// Its login, API token or grant has been revoked.
    #[error("revoked")]
    Revoked,
    /// No account of this `uid`, or it is not called `sub`.
    #[error("no-account")]
    NoAccount,
    /// The account may not act.
    #[error("disabled")]
    Disabled,
}

/// What the verifier has decided so far.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Tokens found in the cache that still count.
    pub(crate) hits: Counter,
    /// Tokens looked at from the beginning.
    pub(crate) misses: Counter,
    refused: [AtomicU64; REFUSALS.len()],
}

/// Every reason, in the order of its declaration.
const REFUSALS: [Refusal; 12] = [
    Refusal::Malformed,
    Refusal::Algorithm,
    Refusal::UnknownKey,
    Refusal::Signature,
    Refusal::Expired,
    Refusal::NotYetValid,
    Refusal::Issuer,
    Refusal::Audience,
    Refusal::Claims,
    Refusal::Revoked,
    Refusal::NoAccount,
    Refusal::Disabled,
];

impl Meter {
    pub(super) fn refuse(&self, refusal: Refusal) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many tokens were refused for each reason that there was.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self
            .refused
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let reasons = REFUSALS.iter().map(ToString::to_string);
        reasons.zip(counts).filter(|(_, count)| *count > 0)
    }
}
