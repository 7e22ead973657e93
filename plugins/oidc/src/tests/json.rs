use serde_json::json;

use super::object;
use crate::json::{object as read, seconds, text};

#[test]
fn an_object_is_read_as_it_is() {
    let text = r#"{"a":[1,-2,2.5,true,null,{"b":"c"}]}"#;
    let expected = object(json!({"a": [1, -2, 2.5, true, null, {"b": "c"}]}));
    assert_eq!(read(text.as_bytes()), Ok(expected));
}

#[test]
fn a_member_twice_at_any_depth_is_refused() {
    for text in [
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"sub":"a","s\u0075b":"a"}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1,"b":2}]}"#,
    ] {
        assert!(
            read(text.as_bytes()).unwrap_err().contains("twice"),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let deep = "[".repeat(100_000);
    let wrapped = format!("{{\"a\":{}", "[".repeat(500));
    for text in [
        "",
        "[]",
        "1",
        "null",
        "\"a\"",
        "{",
        "{}x",
        "<html>",
        "{\"a\":NaN}",
        &deep,
        &wrapped,
    ] {
        assert!(read(text.as_bytes()).is_err());
    }
    assert!(read(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn an_error_does_not_say_what_was_sent() {
    for bytes in [
        &b"{\"token\":\"secret"[..],
        b"secret",
        b"{\"secret\":1,\"secret\":2}",
    ] {
        assert!(!read(bytes).unwrap_err().contains("secret"));
    }
}

#[test]
fn times_are_numbers_of_this_era() {
    let claims = object(json!({
        "whole": 1_800_000_000, "part": 1_800_000_000.9, "text": "1800000000", "before": -1,
        "never": 1e300, "huge": u64::MAX, "list": [1], "null": null, "yes": true,
    }));
    assert_eq!(seconds(&claims, "whole"), Ok(Some(1_800_000_000)));
    assert_eq!(seconds(&claims, "part"), Ok(Some(1_800_000_000)));
    assert_eq!(seconds(&claims, "missing"), Ok(None));
    for wrong in ["text", "before", "never", "huge", "list", "null", "yes"] {
        assert!(seconds(&claims, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn text_is_a_string_or_missing() {
    let claims = object(json!({"a": "b", "null": null, "one": 1, "list": ["a"], "yes": true}));
    assert_eq!(text(&claims, "a"), Ok(Some("b")));
    assert_eq!(text(&claims, "null"), Ok(None));
    assert_eq!(text(&claims, "missing"), Ok(None));
    for wrong in ["one", "list", "yes"] {
        assert!(text(&claims, wrong).is_err(), "{wrong}");
    }
}
