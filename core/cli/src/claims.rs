//! What a token says of itself, unverified: for showing, never for deciding anything.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// Longest token looked into.
const LONGEST: usize = 64 << 10;

/// The claims of a JWT; `None` when the text is none.
pub(crate) fn read(token: &str) -> Option<Value> {
    part(token, 1)
}

/// The header of a JWT; `None` when the text is none.
pub(crate) fn header(token: &str) -> Option<Value> {
    part(token, 0)
}

fn part(token: &str, at: usize) -> Option<Value> {
    if token.len() > LONGEST {
        return None;
    }
    let parts: Vec<&str> = token.split('.').collect();
    if parts.len() != 3 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(parts[at]).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    value.is_object().then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn claims_are_read_and_nonsense_is_none() {
        let body = URL_SAFE_NO_PAD.encode(r#"{"sub":"ada"}"#);
        assert_eq!(read(&format!("e30.{body}.x")).unwrap()["sub"], "ada");
        for text in [
            "",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "e30.W10.x",
            "\u{1b}.\u{1b}.\u{1b}",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
