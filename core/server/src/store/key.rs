//! How keys become bytes. Byte order is key order: range walks depend on it.
//!
//! **Invariant:** within one table no two keys encode to the same bytes. Text has no end mark, so
//! it may only stand last in a tuple.

use crate::{
    clock::Timestamp,
    id::{AgentId, GrantId, LoginId, SessionId, TokenId, Uid},
};

/// A table's key type: encodes to bytes that sort as the keys do.
pub trait Key {
    /// Appends the encoded key to `out`.
    fn encode(&self, out: &mut Vec<u8>);
}

impl<K: Key + ?Sized> Key for &K {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

/// A table of one record.
impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Key for str {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Key for [u8] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Key for Timestamp {
    fn encode(&self, out: &mut Vec<u8>) {
        self.millis().encode(out);
    }
}

macro_rules! big_endian {
    ($($name:ty),*) => {$(
        impl Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}
big_endian!(u8, u16, u32, u64);

macro_rules! ids {
    ($($name:ty),*) => {$(
        impl Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_bytes());
            }
        }
    )*};
}
ids!(Uid, LoginId, GrantId, TokenId, SessionId, AgentId);

macro_rules! tuples {
    ($(($($part:ident $place:tt),*))*) => {$(
        impl<$($part: Key),*> Key for ($($part,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$place.encode(out);)*
            }
        }
    )*};
}
tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));
