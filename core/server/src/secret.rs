//! A secret has a type, and the type keeps quiet.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use zeroize::Zeroize;

/// A value that never shows itself in `Debug`, `Display` or an error, and is overwritten when it is
/// let go of. [`Secret::expose`] is the only way in, and easy to search for.
///
/// What was copied out of it, moved by growing, or read by a JSON parser before is not overwritten.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T: Wipe>(T);

impl<T: Wipe> Secret<T> {
    /// Takes `value` into custody.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never log or format what this returns.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl<T: Wipe> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de, T: Deserialize<'de> + Wipe> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// What can be overwritten with zeros, so that the compiler does not leave it out.
pub trait Wipe {
    /// Overwrites it.
    fn wipe(&mut self);
}

impl Wipe for String {
    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl Wipe for Vec<u8> {
    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl<const N: usize> Wipe for [u8; N] {
    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl Wipe for Map<String, Value> {
    fn wipe(&mut self) {
        self.values_mut().for_each(wipe_texts);
    }
}

/// serde_json bounds how deep it goes.
fn wipe_texts(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe_texts),
        Value::Object(members) => members.wipe(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_let_go_of_is_overwritten() {
        let mut bytes = *b"hunter2";
        bytes.wipe();
        assert_eq!(bytes, [0; 7]);
        let mut config = Map::new();
        config.insert(
            "a".to_owned(),
            json!({"b": ["hunter2", 1, {"c": "hunter2"}]}),
        );
        config.wipe();
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
