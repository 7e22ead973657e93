//! The groups a person is in, by a claim the operator names.

use serde_json::Value;

use crate::json::Object;

/// What a source says about groups.
#[derive(Debug, PartialEq)]
pub(crate) enum Groups {
    /// These.
    These(Vec<String>),
    /// Nothing.
    Unsaid,
    /// That there are too many to say: Entra ID's "group overage". To take it for "none" would
    /// lock out, and where absence lets in, let in.
    TooMany,
}

/// The most groups that are read.
const MOST: usize = 2000;

/// Reads the claim: by its whole name, else as a path through objects.
///
/// # Errors
/// When it is neither a string nor a list of strings.
pub(crate) fn read(claims: &Object, name: &str) -> Result<Groups, String> {
    if name.is_empty() {
        return Ok(Groups::These(Vec::new()));
    }
    match find(claims, name) {
        Some(Value::Array(entries)) if entries.len() > MOST => {
            Err(format!("`{name}` holds more than {MOST} entries"))
        }
        Some(Value::Array(entries)) => {
            let texts = entries
                .iter()
                .map(|entry| entry.as_str().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            let wrong = || format!("`{name}` holds something that is no string");
            texts.map(Groups::These).ok_or_else(wrong)
        }
        Some(Value::String(one)) => Ok(Groups::These(vec![one.clone()])),
        Some(Value::Null) | None if is_elsewhere(claims, name) => Ok(Groups::TooMany),
        Some(Value::Null) | None => Ok(Groups::Unsaid),
        Some(_) => Err(format!(
            "`{name}` is neither a string nor a list of strings"
        )),
    }
}

fn find<'a>(claims: &'a Object, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.')
        .try_fold(claims.get(first)?, |value, step| value.get(step))
}

/// A distributed claim (OpenID Connect Core 5.6.2), as Entra ID sends it for members of more than
/// 200 groups; `hasgroups` is its short form.
fn is_elsewhere(claims: &Object, name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    let named = |sources: &Value| sources.get(name).is_some() || sources.get(first).is_some();
    claims.get("_claim_names").is_some_and(named)
        || claims
            .get("hasgroups")
            .is_some_and(|has| *has != Value::Bool(false))
}
