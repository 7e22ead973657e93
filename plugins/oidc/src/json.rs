//! JSON as a provider may send it: an object, no member twice at any depth.
//!
//! RFC 8259 section 4 leaves open which of two members counts; RFC 7519 section 4 lets us refuse
//! them. Two readers that choose differently are how a token says two things.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// An object.
pub(crate) type Object = Map<String, Value>;

/// Reads one object.
///
/// # Errors
/// What is wrong, without what it says.
pub(crate) fn object(bytes: &[u8]) -> Result<Object, String> {
    match value(bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err("not a JSON object".into()),
    }
}

/// Reads one value. serde_json bounds its depth (128).
///
/// # Errors
/// What is wrong, without what it says.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, String> {
    let wrong = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => format!("not acceptable JSON: {error}"),
        _ => "not JSON".to_owned(),
    };
    let unique = serde_json::from_slice::<Unique>(bytes).map_err(wrong)?;
    Ok(unique.0)
}

/// A value in which no object has a member twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// A member that is a string; nothing if it is not there.
///
/// # Errors
/// When it is something else.
pub(crate) fn text<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is not a string")),
    }
}

/// A member that is a NumericDate (RFC 7519 section 2), in whole seconds.
///
/// # Errors
/// When it is something else.
pub(crate) fn seconds(object: &Object, name: &str) -> Result<Option<i64>, String> {
    let Some(value) = object.get(name) else {
        return Ok(None);
    };
    let wrong = || format!("`{name}` is not a number of seconds");
    if let Some(whole) = value.as_i64() {
        return Ok(Some(whole).filter(|whole| (0..=LAST).contains(whole)))
            .and_then(|found| found.map(Some).ok_or_else(wrong));
    }
    let part = value
        .as_f64()
        .filter(|part| (0.0..=LAST as f64).contains(part));
    part.map(|part| Some(part as i64)).ok_or_else(wrong)
}

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;
