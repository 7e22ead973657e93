//! Tokens: the claim format, the keys, issuing, verifying, revoking.
//!
//! Owns: what a token says ([`Claims`], [`Scopes`]), the signing keys ([`Keyring`], [`Keys`]), the decision
//! whether a bearer counts ([`Verifier`]), what that decision looks up ([`AccountIndex`],
//! [`RevocationIndex`]) and the keyed hashes of everything secret that is stored ([`hash`]).
//! Does not: know HTTP, read the clock, decide what an account may do.
//!
//! **Invariants:**
//! - A [`VerifiedToken`] comes only from [`Verifier::verify`]; nothing else turns text into claims.
//! - The algorithm belongs to the key. The token's `alg` is compared with it and never obeyed.
//! - Deciding reads memory only: no disk, no lock that all requests share.
//! - A revocation is committed, then inserted into the [`RevocationIndex`], then acknowledged to
//!   whoever asked for it, in that order; from the insertion on no token with that id counts,
//!   cached or not.

mod algorithm;
pub mod api;
mod cache;
mod canonical;
mod checking;
mod claims;
mod codec;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod grant;
pub mod hash;
#[cfg(test)]
mod house;
mod index;
pub mod installation;
pub mod keycopy;
mod keyerror;
mod keyfile;
pub mod keynotes;
mod keyring;
mod keys;
mod overlap;
mod parse;
mod refusal;
mod revocation;
mod scope;
mod signing;
mod steady;
mod strength;
mod verify;

#[cfg(test)]
mod tests;

use crate::store::KnownTable;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{Claims, TokenUse, UnknownTokenUse};
pub use index::{AccountIndex, AccountState};
pub use keyerror::KeyringError;
pub use keyring::{KeyInfo, KeySettings, KeyState, Keyring, MAX_KEYS};
pub use keys::Keys;
pub use overlap::{Overlap, Rest, rests};
pub use parse::MAX_LENGTH;
pub use refusal::Refusal;
pub use revocation::{REVOCATIONS, Revocation, RevocationIndex, is_revoked, load, revoke};
pub(crate) use revocation::{is_past, is_progress, keep, leave_behind};
pub use scope::{Scope, Scopes, UnknownScope};
pub use steady::{Steady, SteadyGrants};
pub use strength::{WeakSecret, check as check_strength};
pub use verify::{Terms, VerifiedToken, Verifier};

/// The tables of this module.
pub(crate) fn tables() -> Vec<KnownTable> {
    vec![
        REVOCATIONS.known(),
        grant::GRANTS.known(),
        api::API_TOKENS.known(),
        revocation::PROGRESS.known(),
        api::RETIREMENTS.known(),
        installation::INSTALLATION.known(),
        keynotes::KEY_NOTES.known(),
    ]
}
