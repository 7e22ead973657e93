//! Random 128-bit ids, one type per kind, so that one can never stand for another.
//!
//! **Invariant:** an id is 16 bytes from the operating system's generator and is written as 32
//! lower-case hexadecimal digits.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    str::FromStr,
};

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

/// Without a branch or a table, so that it is done for all digits at once.
fn to_digits(bytes: &[u8; 16]) -> [u8; 32] {
    let digit = |value: u8| value + b'0' + u8::from(value > 9) * (b'a' - b'0' - 10);
    let mut text = [0; 32];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

/// The bytes of 32 lower-case hexadecimal digits.
fn from_digits(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 32] = text.try_into().ok()?;
    let is_digit = text.map(|byte| byte.wrapping_sub(b'0') < 10);
    let is_letter = text.map(|byte| byte.wrapping_sub(b'a') < 6);
    let is_id = is_digit.iter().zip(is_letter).all(|(a, b)| a | b);
    let values = text.map(|byte| (byte & 15) + u8::from(byte >= b'a') * 9);
    let mut bytes = [0; 16];
    for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks().0) {
        *byte = (high << 4) | low;
    }
    is_id.then_some(bytes)
}

/// For tables of ids: they are random already, so eight of their bytes are their hash. Those in the
/// middle, as those at the ends choose shards.
pub(crate) type IdHash = BuildHasherDefault<IdHasher>;

#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, id: &[u8]) {
        self.0 = id
            .get(4..12)
            .and_then(|middle| middle.first_chunk())
            .map_or(0, |middle| u64::from_le_bytes(*middle));
    }

    /// The length comes first: that of an id says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
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

            /// Its 32 digits.
            pub fn digits(&self) -> [u8; 32] {
                to_digits(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
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
                from_digits(text.as_bytes()).map(Self).ok_or(InvalidId)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_other_byte_is_a_digit() {
        for at in 0..32 {
            for byte in 0..=u8::MAX {
                let mut text = [b'7'; 32];
                text[at] = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(from_digits(&text).is_some(), is_digit, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn no_other_length_is_an_id() {
        for length in (0..100).filter(|length| *length != 32) {
            assert_eq!("a".repeat(length).parse::<Uid>(), Err(InvalidId));
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_everybody_writes(bytes: [u8; 16]) {
            let text = hex::encode(bytes);
            let id = Uid::from_bytes(bytes);
            prop_assert_eq!(id.to_string(), text.clone());
            prop_assert_eq!(text.parse(), Ok(id));
        }
    }
}
