//! The record decoder on anything at all.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::store::record::{decode, encode, encode_raw};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Now {
    text: String,
    numbers: Vec<u64>,
}

impl Record for Now {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        let text = (version == 1).then(|| postcard::from_bytes(payload).ok())??;
        Some(Self {
            text,
            numbers: Vec::new(),
        })
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(key in prop::collection::vec(any::<u8>(), 0..40), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode::<Now>(&key, &bytes), None);
    }

    #[test]
    fn arbitrary_payloads_under_a_right_checksum_never_panic(version in any::<u8>(), payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<Now>(b"k", &encode_raw(b"k", version, &payload));
    }

    #[test]
    fn any_flipped_bit_or_other_key_is_refused(text in ".{0,20}", numbers in prop::collection::vec(any::<u64>(), 0..5), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let record = Now { text, numbers };
        let mut bytes = encode(b"key", &record).unwrap();
        prop_assert_eq!(decode::<Now>(b"other", &bytes), None);
        prop_assert_eq!(decode::<Now>(b"key", &bytes), Some(record));
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert_eq!(decode::<Now>(b"key", &bytes), None);
        bytes[at] ^= 1_u8 << bit;
        bytes.truncate(at);
        prop_assert_eq!(decode::<Now>(b"key", &bytes), None);
    }
}

#[test]
fn older_version_is_upgraded_and_newer_one_is_refused() {
    let old = encode_raw(b"k", 1, &postcard::to_stdvec("hello").unwrap());
    assert_eq!(
        decode(b"k", &old),
        Some(Now {
            text: "hello".into(),
            numbers: Vec::new()
        })
    );
    let newer = encode_raw(b"k", 3, &postcard::to_stdvec("hello").unwrap());
    assert_eq!(decode::<Now>(b"k", &newer), None);
}
