//! Bodies: strict JSON, forms, and faults that repeat nothing.

use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::super::{
    body::{BodyRule, Content, Fields, content},
    json,
};
use crate::fuzz::Node;

/// Stands where people put secrets.
const VALUE: &str = "q7Zx-typed-9dKw";

/// JSON is read if, and only if, it is JSON, nothing in it is there twice, and it is not deep.
pub fn json(data: &[u8]) {
    let read = json::parse(data).ok();
    let node = Node::read(data).filter(|node| node.depth() <= 32 && !node.is_ambiguous());
    assert_eq!(read.is_some(), node.is_some(), "{node:?}");
    let Some(value) = read else { return };
    assert_eq!(Some(&value), serde_json::from_slice(data).ok().as_ref());
    let text = value.to_string();
    assert!(json::parse(text.as_bytes()).is_ok(), "{text}");
}

/// A rule, a kind and a body. Whatever is asked of it, a fault does not repeat a value.
pub fn body(data: &[u8]) {
    let &[rule, kind, ref bytes @ ..] = data else {
        return;
    };
    let rule = match rule % 6 {
        0 => BodyRule::None,
        1 => BodyRule::Json,
        2 => BodyRule::JsonOnly,
        3 => BodyRule::OptionalJson,
        4 => BodyRule::Form,
        _ => BodyRule::JsonOrForm,
    };
    let kind = match kind % 4 {
        0 => "application/json",
        1 => "application/x-www-form-urlencoded",
        2 => "Application/Problem+JSON ; charset=utf-8",
        _ => "text/plain",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let Ok(mut content) = content(rule, &headers, bytes) else {
        return;
    };
    match &mut content {
        Content::Json(value) => hide(value),
        Content::Form(pairs) => {
            pairs.retain(|(name, _)| !name.contains(VALUE));
            pairs
                .iter_mut()
                .for_each(|(_, value)| value.insert_str(0, VALUE));
        }
        Content::None | Content::Broken(_) => {}
    }
    let asking: [fn(&mut Fields); 7] = [
        |fields| drop(fields.string("name", 1..=3)),
        |fields| drop(fields.optional_string("name", 4..=4)),
        |fields| {
            fields.optional_integer("name", 1..=9);
        },
        |fields| {
            fields.integer("name", 1..=9);
        },
        |fields| {
            fields.optional_boolean("name");
        },
        |fields| {
            fields.optional_word("name", &["yes", "no"]);
        },
        |fields| drop(fields.optional_texts("name")),
    ];
    for ask in asking {
        let mut fields = Fields::of_content(&content, &["body"]);
        ask(&mut fields);
        fields.forbid_others();
        let Err(error) = fields.finish() else {
            continue;
        };
        let answer = error.into_response();
        assert!(answer.status().is_client_error());
        let said = String::from_utf8_lossy(answer.body());
        assert!(!said.contains(VALUE), "{said}");
        assert!(Node::read(answer.body()).is_some(), "{said}");
    }
}

/// Puts our value in the place of each text.
fn hide(value: &mut Value) {
    match value {
        Value::String(text) => VALUE.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) => {
            members.retain(|name, _| !name.contains(VALUE));
            members.values_mut().for_each(hide);
        }
        _ => {}
    }
}
