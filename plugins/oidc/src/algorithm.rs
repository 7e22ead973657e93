//! The signature algorithms there are (RFC 7518 section 3, RFC 8037 section 3.1). `none` and the
//! HMACs are not among them, so nothing can ask for them.

use aws_lc_rs::{
    digest::{self, Digest},
    signature::{self, RsaParameters},
};
use openidconnect::core::CoreJwsSigningAlgorithm as Jws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// What kind of key an algorithm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Family {
    /// RSA.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// The curve Ed25519.
    Ed25519,
}

impl Algorithm {
    /// All there are.
    const ALL: [(&'static str, Self); 9] = [
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("EdDSA", Self::EdDSA),
    ];

    /// By its name, exactly. RFC 9864 calls EdDSA on Ed25519 `Ed25519`; libraries do not yet.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(known, _)| *known == name).map(|(_, alg)| *alg)
    }

    /// What kind of key it is for.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 => Family::Rsa,
            Self::PS256 | Self::PS384 | Self::PS512 => Family::Rsa,
            Self::ES256 => Family::P256,
            Self::ES384 => Family::P384,
            Self::EdDSA => Family::Ed25519,
        }
    }

    /// How RSA is used in it, and only from 2048 bits on (RFC 7518 section 3.3).
    pub(crate) fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::ES256 | Self::ES384 | Self::EdDSA => return None,
        })
    }

    /// The hash in it: that of `at_hash` too (OpenID Connect Core 3.1.3.6; Ed25519 has SHA-512).
    pub(crate) fn hash(self, bytes: &[u8]) -> Digest {
        let hash = match self {
            Self::RS256 | Self::PS256 | Self::ES256 => &digest::SHA256,
            Self::RS384 | Self::PS384 | Self::ES384 => &digest::SHA384,
            Self::RS512 | Self::PS512 | Self::EdDSA => &digest::SHA512,
        };
        digest::digest(hash, bytes)
    }

    /// As openidconnect calls it.
    pub(crate) const fn jws(self) -> Jws {
        match self {
            Self::RS256 => Jws::RsaSsaPkcs1V15Sha256,
            Self::RS384 => Jws::RsaSsaPkcs1V15Sha384,
            Self::RS512 => Jws::RsaSsaPkcs1V15Sha512,
            Self::PS256 => Jws::RsaSsaPssSha256,
            Self::PS384 => Jws::RsaSsaPssSha384,
            Self::PS512 => Jws::RsaSsaPssSha512,
            Self::ES256 => Jws::EcdsaP256Sha256,
            Self::ES384 => Jws::EcdsaP384Sha384,
            Self::EdDSA => Jws::EdDsa,
        }
    }

    /// By what openidconnect calls it.
    pub(crate) fn of(jws: &Jws) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, alg)| alg.jws() == *jws).map(|(_, alg)| *alg)
    }
}
