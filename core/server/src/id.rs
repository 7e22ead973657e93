//! Random 128-bit ids, one type per kind, so that one can never stand for another.
//!
//! **Invariant:** an id is 16 bytes from the operating system's generator and is written as 32
//! lower-case hexadecimal digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct InvalidId;

/// Fills `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no random numbers to give: nothing secure can go on then.
#[allow(clippy::expect_used, reason = "no randomness, no server")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new random id.
            pub fn random() -> Self {
                Self(random_bytes())
            }

            /// The id made of these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 32];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(InvalidId);
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId)?;
                Ok(Self(bytes))
            }
        }

        // Readable formats get the hexadecimal text, the store gets the 16 bytes.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self)
                }
            }
        }
    )*};
}

id! {
    /// An account's immutable id (`uid` claim). Never reused, so a re-created account inherits nothing.
    Uid;
    /// A login or an API token (`sid` claim): what revocation works on.
    LoginId;
    /// A refreshable grant (`grant_id` claim).
    GrantId;
    /// One access token (`jti` claim, RFC 7519 section 4.1.7).
    TokenId;
    /// A session under `/v1/sessions`.
    SessionId;
    /// An agent under `/v1/agents`.
    AgentId;
    /// A sign-in under way.
    ConversationId;
    /// One HTTP request (`x-request-id`).
    RequestId;
    /// A trace (W3C Trace Context): that of a request that came from nowhere has its id.
    TraceId;
    /// A server that runs, from its start to its end.
    InstanceId;
}
