//! `omnigent audit verify`: the proof of the whole chain, and of an entry noted elsewhere.

use serde::Deserialize;
use serde_json::json;

use super::{page, read};
use crate::{
    admin::Admin,
    failure::Failure,
    output::{self, plain},
};

/// Proves the chain from end to end.
pub(super) fn verify(admin: &Admin, expect: Option<&str>, json: bool) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Fault {
        seq: u64,
        what: String,
    }
    #[derive(Deserialize)]
    struct Checked {
        first: u64,
        last: u64,
        hash: String,
        next: Option<u64>,
        fault: Option<Fault>,
    }
    let expected = expect.map(expected).transpose()?;
    let (mut first, mut last, mut from) = (None, 0, String::new());
    let hash = loop {
        let path = format!("/auth/operator/audit/verify{from}");
        let checked: Checked = admin.get(&path)?;
        if let Some(Fault { seq, what }) = checked.fault {
            if json {
                output::json(&json!({"sound": false, "seq": seq, "what": what}));
            }
            let why = format!("the trail is broken at entry {seq}: {}", plain(&what));
            return Err(Failure::Failed(why));
        }
        first = first.or(Some(checked.first));
        last = checked.last.max(last);
        match checked.next {
            Some(next) => from = format!("?from={next}"),
            None => break checked.hash,
        }
    };
    let first = first.unwrap_or(1);
    if let Some((seq, hash)) = expected {
        let found = page(admin, 1, &format!("&before={}", seq.saturating_add(1)), "")?;
        let entry = found.entries.first().map(|raw| read(raw)).transpose()?;
        let entry = entry.filter(|entry| entry.seq == seq);
        let why = match entry {
            Some(entry) if entry.hash == hash => None,
            Some(_) => Some("is another one than was noted: the trail was rewritten"),
            None if seq < first => Some("is not kept any more: nothing can be said about it"),
            None => Some("is gone: the trail was cut off or rewritten"),
        };
        if let Some(why) = why {
            return Err(Failure::Failed(format!("entry {seq} {why}")));
        }
    }
    let count = (last + 1).saturating_sub(first);
    if json {
        output::json(&json!({
            "sound": true, "entries": count, "first": first, "last": last, "hash": hash,
        }));
    } else {
        output::say(format_args!("sound: {count} entries, {first} to {last}"));
        output::say(format_args!("newest: {last}:{}", plain(&hash)));
    }
    Ok(())
}

fn expected(text: &str) -> Result<(u64, String), Failure> {
    let parts = text.split_once(':');
    let both = parts.and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
    match both {
        Some((seq, hash)) if hash.len() == 64 => Ok((seq, hash.to_ascii_lowercase())),
        _ => Err(Failure::Usage(
            "--expect takes what `audit verify` printed as newest: NUMBER:HASH".into(),
        )),
    }
}
