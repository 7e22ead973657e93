//! Records and exports under fuzzing.

use super::{
    ledger::{SCHEMA, Tally},
    portable,
    record::{self, MAX_KEY, MAX_RECORD, Record},
};
use crate::{account, backend, login, session, token};

const KEY: &[u8] = b"\x01a key";

macro_rules! kinds {
    ($($kind:ty),* $(,)?) => {
        const KINDS: &[fn(u8, &[u8])] = &[$(read::<$kind>),*];
    };
}
kinds![
    account::Account,
    account::LinkedIdentity,
    account::Expectation,
    account::Invite,
    account::MagicLink,
    crate::id::Uid,
    backend::fuzz::Usage,
    login::Login,
    login::ticket::Ticket,
    login::device::Device,
    login::device::Asked,
    session::Session,
    session::Place,
    token::Revocation,
    token::fuzz::Progress,
    token::api::ApiToken,
    token::grant::Grant,
    (),
    u64,
    String,
    Vec<u8>,
    [u8; 32],
];

/// Two bytes choose the kind and the version, the rest is the record. What can be read is written as
/// what is read again; what was damaged is not read.
pub fn record(data: &[u8]) {
    let &[kind, version, ref payload @ ..] = data else {
        return;
    };
    KINDS[usize::from(kind) % KINDS.len()](version, payload);
}

fn read<V: Record>(version: u8, payload: &[u8]) {
    // As it came: no checksum, no record.
    assert!(record::decode::<V>(KEY, payload).is_none());
    for version in [version, V::VERSION] {
        let sealed = record::encode_raw(KEY, version, payload);
        let Some(value) = record::decode::<V>(KEY, &sealed) else {
            continue;
        };
        assert!(record::decode::<V>(b"\x01another", &sealed).is_none());
        assert!(record::decode::<V>(KEY, &sealed[..sealed.len() - 1]).is_none());
        let Some(written) = record::encode(KEY, &value) else {
            panic!("what was read cannot be written");
        };
        let again =
            record::decode::<V>(KEY, &written).and_then(|value| record::encode(KEY, &value));
        assert_eq!(again, Some(written), "what is written is what is read");
    }
}

/// The records of an export, a line each. What is taken is within bounds, and adds up.
pub fn export(data: &[u8]) {
    let header = format!("{{\"omnigent\":\"store\",\"schema\":{SCHEMA},\"initialised\":true}}\n");
    let mut taken = Vec::new();
    let mut tally = Tally::default();
    let outcome = portable::walk(
        &mut [header.as_bytes(), data].concat().as_slice(),
        |key, bytes| {
            assert!(key.len() <= MAX_KEY && bytes.len() <= MAX_RECORD);
            assert!(
                key.first()
                    .is_some_and(|table| (1..u8::MAX).contains(table))
            );
            tally.add(record::stored_sum(&bytes).unwrap_or_default());
            taken.push((key, bytes));
            Ok(())
        },
    );
    assert!(
        outcome.is_err() || tally.count == taken.len() as u64,
        "{outcome:?}"
    );
    // With the right end, everything in front of the fault is an export.
    let lines = data
        .split_inclusive(|byte| *byte == b'\n')
        .take(taken.len());
    let mut whole = header.into_bytes();
    whole.extend(lines.flatten());
    if whole.last() != Some(&b'\n') {
        whole.push(b'\n');
    }
    let end = format!(
        "{{\"records\":{},\"digest\":\"{:016x}\"}}",
        tally.count, tally.digest
    );
    whole.extend_from_slice(end.as_bytes());
    let mut again = Vec::new();
    let outcome = portable::walk(&mut whole.as_slice(), |key, bytes| {
        again.push((key, bytes));
        Ok(())
    });
    assert_eq!(outcome.ok(), Some((true, tally.count)));
    assert_eq!(again, taken);
}
