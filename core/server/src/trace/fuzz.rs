//! `traceparent` under fuzzing: read exactly if it has the form of the specification, to the letter.

use super::Parent;

/// A header's value.
pub fn traceparent(data: &[u8]) {
    let parent = Parent::parse(data);
    assert_eq!(parent.is_some(), has_form(data), "{}", data.escape_ascii());
    let Some(parent) = parent else { return };
    let written = format!("-{}-{}-", parent.trace, hex::encode(parent.span));
    assert_eq!(data[2..53], *written.as_bytes(), "read as what is there");
    let odd = b"13579bdf".contains(&data[54]);
    assert_eq!(parent.is_sampled, odd, "the last bit of the flags");
}

/// By its parts, slowly.
fn has_form(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace, span, flags, more @ ..] = parts.as_slice() else {
        return false;
    };
    let is_number = |text: &str, length: usize| {
        text.len() == length && text.chars().all(|c| "0123456789abcdef".contains(c))
    };
    let is_something = |text: &str| text.chars().any(|c| c != '0');
    is_number(version, 2)
        && *version != "ff"
        && is_number(trace, 32)
        && is_something(trace)
        && is_number(span, 16)
        && is_something(span)
        && is_number(flags, 2)
        && (more.is_empty() || *version != "00")
        && text.chars().all(|c| c.is_ascii_graphic())
}
