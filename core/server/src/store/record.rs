//! How records become bytes: `version (1) · checksum (8) · postcard payload`.
//!
//! **Invariant:** the checksum covers table, key, version and payload, so a record that was
//! altered, or put under another key, is told from a sound one. Decoding never panics.

use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::Xxh3;

/// Bytes before the payload.
const HEADER: usize = 9;

/// The largest stored record in bytes, header included: the engine would put larger ones into
/// files of their own, which the group's one sync does not cover.
pub const MAX_RECORD: usize = 64 * 1024;

/// The longest encoded key in bytes.
pub const MAX_KEY: usize = 2 * 1024;

/// What a table holds.
pub trait Record: Serialize + DeserializeOwned {
    /// The layout this code writes. Raise it when the fields change, and teach `upgrade` the old one.
    const VERSION: u8;

    /// The record that an earlier layout's `payload` stands for; nothing when `version` is unknown.
    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        let _ = (version, payload);
        None
    }
}

macro_rules! plain_records {
    ($($name:ty),*) => {$(
        impl Record for $name {
            const VERSION: u8 = 1;
        }
    )*};
}
plain_records!((), u64, String, Vec<u8>);

/// The stored bytes of `value` under `key` (table byte included); nothing when it does not serialise.
pub(super) fn encode<V: Record>(key: &[u8], value: &V) -> Option<Vec<u8>> {
    let bytes = postcard::to_extend(value, vec![0; HEADER]).ok()?;
    Some(seal(key, V::VERSION, bytes))
}

/// Stored bytes from a payload that comes as bytes (import).
pub(super) fn encode_raw(key: &[u8], version: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(payload);
    seal(key, version, bytes)
}

fn seal(key: &[u8], version: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key, version, &bytes[HEADER..]);
    bytes[0] = version;
    bytes[1..HEADER].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The value stored under `key`; nothing when the bytes are damaged or of an unknown version.
pub(super) fn decode<V: Record>(key: &[u8], bytes: &[u8]) -> Option<V> {
    let sound = Sound::check(key, bytes)?;
    if sound.version == V::VERSION {
        let (value, rest) = postcard::take_from_bytes(sound.payload).ok()?;
        rest.is_empty().then_some(value)
    } else {
        V::upgrade(sound.version, sound.payload)
    }
}

/// Stored bytes whose checksum is right.
pub(super) struct Sound<'a> {
    pub(super) version: u8,
    pub(super) sum: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Sound<'a> {
    /// Nothing when the bytes are damaged.
    pub(super) fn check(key: &[u8], bytes: &'a [u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (sum, payload) = rest.split_first_chunk()?;
        let sum = u64::from_le_bytes(*sum);
        (sum == checksum(key, version, payload)).then_some(Self {
            version,
            sum,
            payload,
        })
    }
}

fn checksum(key: &[u8], version: u8, payload: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    // The length first: no bytes can move between key and payload unnoticed.
    hash.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    hash.update(key);
    hash.update(&[version]);
    hash.update(payload);
    hash.digest()
}

/// The checksum that stored bytes carry, unchecked.
pub(super) fn stored_sum(bytes: &[u8]) -> Option<u64> {
    let sum = bytes.get(1..HEADER)?;
    sum.try_into().ok().map(u64::from_le_bytes)
}
