//! Bodies and queries, read field by field, with every fault told at once.
//!
//! **Invariant:** a fault names the field and what is expected of it, and never repeats what was
//! sent: the original echoes passwords.

use std::ops::RangeInclusive;

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::{ApiError, error::Fault, json, request::Request};

/// How a route's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// Not at all.
    None,
    /// JSON; anything else is 422, as on `/auth/*`.
    Json,
    /// JSON; anything else is 415, as on `POST /v1/sessions`.
    JsonOnly,
    /// JSON if there is a body at all.
    OptionalJson,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Either.
    JsonOrForm,
}

/// A body as it was read.
#[derive(Clone, Debug)]
pub(super) enum Content {
    None,
    Json(Value),
    /// It should be JSON and is not.
    Broken(&'static str),
    Form(Vec<(String, String)>),
}

/// What a route's body or query looks like.
pub trait Shape: Sized + Send + 'static {
    /// How the body is read.
    const BODY: BodyRule;

    /// Reads it.
    ///
    /// # Errors
    /// 422 with every fault.
    fn read(request: &Request) -> Result<Self, ApiError>;
}

/// Reads the bytes by the rule.
pub(super) fn content(
    rule: BodyRule,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Content, ApiError> {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    let is_form = media == "application/x-www-form-urlencoded";
    let json = || match json::parse(bytes) {
        Ok(value) => Content::Json(value),
        Err(_) => Content::Broken("json_invalid"),
    };
    let form = || Content::Form(form_urlencoded::parse(bytes).into_owned().collect());
    Ok(match rule {
        BodyRule::None => Content::None,
        BodyRule::OptionalJson if bytes.is_empty() => Content::Json(Value::Object(Map::new())),
        BodyRule::Json | BodyRule::OptionalJson if is_json => json(),
        BodyRule::Json | BodyRule::OptionalJson => Content::Broken("model_attributes_type"),
        BodyRule::JsonOnly if is_json => json(),
        BodyRule::JsonOnly => {
            return Err(ApiError::detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json",
            ));
        }
        BodyRule::Form if is_form || bytes.is_empty() => form(),
        BodyRule::JsonOrForm if is_json => json(),
        BodyRule::JsonOrForm if is_form || bytes.is_empty() => form(),
        BodyRule::Form | BodyRule::JsonOrForm => {
            let text = "Content-Type must be application/x-www-form-urlencoded";
            return Err(ApiError::detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    })
}

/// Reads the fields of a body or query, gathering faults.
pub struct Fields {
    members: Map<String, Value>,
    prefix: &'static [&'static str],
    faults: Vec<Fault>,
    known: Vec<&'static str>,
    is_text: bool,
    is_broken: bool,
}

impl Fields {
    /// The members of the body; faults are located below `body`.
    pub fn of_body(request: &Request) -> Self {
        Self::of(request, &["body"])
    }

    /// The members of the body; faults are located at the top.
    pub fn of_bare_body(request: &Request) -> Self {
        Self::of(request, &[])
    }

    fn of(request: &Request, prefix: &'static [&'static str]) -> Self {
        Self::of_content(&request.content, prefix)
    }

    pub(super) fn of_content(content: &Content, prefix: &'static [&'static str]) -> Self {
        let mut faults = Vec::new();
        let mut broken = |kind: &'static str, msg: &str, loc: Vec<Value>| {
            faults.push(Fault {
                kind,
                loc,
                msg: msg.to_owned(),
            });
            Map::new()
        };
        let at = || vec![Value::from("body")];
        let members = match content {
            Content::Json(Value::Object(members)) => members.clone(),
            Content::Broken("json_invalid") => broken(
                "json_invalid",
                "JSON decode error",
                vec!["body".into(), 0.into()],
            ),
            Content::Json(_) | Content::Broken(_) => broken(
                "model_attributes_type",
                "Input should be a valid JSON object",
                at(),
            ),
            Content::Form(pairs) => text_members(pairs),
            Content::None => Map::new(),
        };
        let is_text = matches!(content, Content::Form(_));
        let is_broken = !faults.is_empty();
        Self {
            members,
            prefix,
            faults,
            known: Vec::new(),
            is_text,
            is_broken,
        }
    }

    /// The parameters of the query; faults are located below `query`.
    pub fn of_query(request: &Request) -> Self {
        let query = request.head.uri.query().unwrap_or_default();
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let members = text_members(&pairs);
        Self {
            members,
            prefix: &["query"],
            faults: Vec::new(),
            known: Vec::new(),
            is_text: true,
            is_broken: false,
        }
    }

    /// A required text of so many characters.
    pub fn string(&mut self, name: &'static str, length: RangeInclusive<usize>) -> String {
        match self.take(name) {
            None => {
                // A body that is no object at all has one fault, not one for each of its fields.
                if !self.is_broken {
                    self.fault(name, "missing", "Field required".into());
                }
                String::new()
            }
            Some(Value::Null) => {
                self.fault(name, "string_type", "Input should be a valid string".into());
                String::new()
            }
            Some(value) => self.text(name, value, &length),
        }
    }

    /// A text of so many characters, or nothing.
    pub fn optional_string(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Option<String> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        Some(self.text(name, value, &length))
    }

    /// Whether it is there and `null`, where that says more than its absence.
    pub fn is_null(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(Value::is_null)
    }

    /// A whole number, or nothing.
    pub fn optional_integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        let number = if self.is_text {
            value.as_str().and_then(|text| text.parse::<i64>().ok())
        } else {
            let huge = || value.as_u64().map(|_| i64::MAX);
            value.as_i64().or_else(huge).or_else(|| whole(&value))
        };
        let Some(number) = number else {
            let kind = if self.is_text {
                "int_parsing"
            } else {
                "int_type"
            };
            self.fault(name, kind, "Input should be a valid integer".into());
            return None;
        };
        let (low, high) = (*range.start(), *range.end());
        match u64::try_from(number) {
            Ok(number) if number > high => {
                self.fault(
                    name,
                    "less_than_equal",
                    format!("Input should be less than or equal to {high}"),
                );
                None
            }
            Ok(number) if number >= low => Some(number),
            _ => {
                self.fault(
                    name,
                    "greater_than_equal",
                    format!("Input should be greater than or equal to {low}"),
                );
                None
            }
        }
    }

    /// A required whole number.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> u64 {
        if !self.members.contains_key(name) || self.members[name].is_null() {
            self.take(name);
            if !self.is_broken {
                self.fault(name, "missing", "Field required".into());
            }
            return *range.start();
        }
        let start = *range.start();
        self.optional_integer(name, range).unwrap_or(start)
    }

    /// Yes or no, or nothing.
    pub fn optional_boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        let said = match (&value, self.is_text) {
            (Value::Bool(said), _) => Some(*said),
            (Value::String(text), true) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if said.is_none() {
            let kind = if self.is_text {
                "bool_parsing"
            } else {
                "bool_type"
            };
            self.fault(name, kind, "Input should be a valid boolean".into());
        }
        said
    }

    /// One of these words, or nothing.
    pub fn optional_word(
        &mut self,
        name: &'static str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        let word = words
            .iter()
            .find(|word| value.as_str() == Some(word))
            .copied();
        if word.is_none() {
            self.fault(
                name,
                "literal_error",
                format!("Input should be one of: {}", words.join(", ")),
            );
        }
        word
    }

    /// An object of texts, or nothing.
    pub fn optional_texts(&mut self, name: &'static str) -> Option<Vec<(String, String)>> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        let Value::Object(members) = value else {
            self.fault(
                name,
                "dict_type",
                "Input should be a valid dictionary".into(),
            );
            return None;
        };
        let mut texts = Vec::with_capacity(members.len());
        for (key, value) in members {
            match value {
                Value::String(text) => texts.push((key, text)),
                _ => {
                    let mut loc = self.loc(name);
                    loc.push(key.into());
                    let msg = "Input should be a valid string".into();
                    self.faults.push(Fault {
                        kind: "string_type",
                        loc,
                        msg,
                    });
                }
            }
        }
        Some(texts)
    }

    /// Refuses members nobody asked for.
    pub fn forbid_others(&mut self) {
        let names: Vec<_> = self
            .members
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in names {
            let mut loc: Vec<Value> = self.prefix.iter().map(|part| (*part).into()).collect();
            loc.push(name.into());
            let msg = "Extra inputs are not permitted".into();
            self.faults.push(Fault {
                kind: "extra_forbidden",
                loc,
                msg,
            });
        }
    }

    /// A fault of the caller's own finding.
    pub fn fault(&mut self, name: &str, kind: &'static str, msg: String) {
        let loc = self.loc(name);
        self.faults.push(Fault { kind, loc, msg });
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 422 with every fault.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(ApiError::shape(&self.faults))
        }
    }

    fn text(&mut self, name: &'static str, value: Value, length: &RangeInclusive<usize>) -> String {
        let Value::String(text) = value else {
            self.fault(name, "string_type", "Input should be a valid string".into());
            return String::new();
        };
        let count = text.chars().count();
        let (low, high) = (length.start(), length.end());
        if count < *low {
            self.fault(
                name,
                "string_too_short",
                format!("String should have at least {low} characters"),
            );
        } else if count > *high {
            self.fault(
                name,
                "string_too_long",
                format!("String should have at most {high} characters"),
            );
        }
        text
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.get(name).cloned()
    }

    fn loc(&self, name: &str) -> Vec<Value> {
        let mut loc: Vec<Value> = self.prefix.iter().map(|part| (*part).into()).collect();
        loc.push(name.into());
        loc
    }
}

/// A number that is whole however it is written: to JSON, 2.0 is as good as 2.
fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_f64()?;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// The first of each name counts: a second one is not silently preferred.
fn text_members(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in pairs {
        members
            .entry(name.clone())
            .or_insert_with(|| value.clone().into());
    }
    members
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    fn fields(json: &str) -> Fields {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let content = content(BodyRule::Json, &headers, json.as_bytes()).unwrap();
        Fields::of_content(&content, &["body"])
    }

    fn kinds(fields: Fields) -> Vec<&'static str> {
        fields.faults.iter().map(|fault| fault.kind).collect()
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_value_with_it() {
        let mut read = fields(
            r#"{"name": 5, "count": "many", "on": "yes", "word": "maybe", "texts": {"a": 1}}"#,
        );
        read.string("name", 1..=3);
        read.string("missing", 1..=3);
        read.optional_integer("count", 1..=3);
        read.optional_boolean("on");
        read.optional_word("word", &["yes", "no"]);
        read.optional_texts("texts");
        for fault in &read.faults {
            assert!(
                !fault.msg.contains("many") && !fault.msg.contains("maybe"),
                "{}",
                fault.msg
            );
        }
        let expected = [
            "string_type",
            "missing",
            "int_type",
            "bool_type",
            "literal_error",
            "string_type",
        ];
        assert_eq!(kinds(read), expected);
    }

    #[test]
    fn lengths_and_ranges_are_kept() {
        let mut read = fields(
            r#"{"short": "", "long": "čřžý", "low": 0, "high": 9, "real": 1.5, "huge": 99999999999999999999}"#,
        );
        read.string("short", 1..=3);
        read.string("long", 1..=3);
        read.optional_integer("low", 1..=3);
        read.optional_integer("high", 1..=3);
        read.optional_integer("real", 1..=3);
        read.optional_integer("huge", 1..=3);
        let expected = [
            "string_too_short",
            "string_too_long",
            "greater_than_equal",
            "less_than_equal",
            "int_type",
            "int_type",
        ];
        assert_eq!(kinds(read), expected);
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let mut read = fields(r#"{"a": 2.0, "b": 2e0, "c": -0.0, "d": 4.0, "e": 2.5, "f": 1e300}"#);
        let said = ["a", "b", "c", "d", "e", "f"].map(|name| read.optional_integer(name, 0..=3));
        assert_eq!(said, [Some(2), Some(2), Some(0), None, None, None]);
        let expected = ["less_than_equal", "int_type", "int_type"];
        assert_eq!(kinds(read), expected);
    }

    #[test]
    fn what_is_no_object_has_one_fault() {
        for json in ["[]", "null", "5", "\"x\"", "{", ""] {
            let mut read = fields(json);
            read.string("a", 1..=3);
            read.string("b", 1..=3);
            assert_eq!(kinds(read).len(), 1, "{json}");
        }
    }

    #[test]
    fn extra_members_are_refused_only_where_asked() {
        let mut read = fields(r#"{"a": "x", "b": 1}"#);
        read.string("a", 1..=3);
        read.forbid_others();
        assert_eq!(kinds(read), ["extra_forbidden"]);
    }
}
