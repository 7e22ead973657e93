//! Names of accounts and codes of devices, as people type them.

use crate::{
    account::{AccountName, is_reserved},
    login::device,
};

/// What is a name is inside the grammar, is nobody's who is reserved, and stays what it is.
pub fn user_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for parse in [AccountName::parse, AccountName::asserted] {
        let Ok(name) = parse(text) else { continue };
        let name = name.as_str();
        let again = parse(name);
        assert_eq!(again.as_ref().map(AccountName::as_str), Ok(name));
        assert!(!is_reserved(name), "{name:?} is reserved");
        assert!(
            text.trim().eq_ignore_ascii_case(name),
            "{text:?} is not {name:?}"
        );
        assert!((1..=254).contains(&name.len()), "{name:?} is too long");
        let is_plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@+".contains(&b);
        assert!(
            name.bytes().all(is_plain),
            "{name:?} is outside the grammar"
        );
        assert!(
            name.as_bytes()[0].is_ascii_alphanumeric() || name.contains('+'),
            "{name:?}"
        );
    }
}

/// A code is read as it was shown, however it is typed.
pub fn user_code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(code) = device::normal(text) else {
        return;
    };
    let (left, right) = code.split_once('-').unwrap_or_default();
    assert_eq!((left.len(), right.len()), (4, 4), "{code:?}");
    let is_shown = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    assert!(left.bytes().chain(right.bytes()).all(is_shown), "{code:?}");
    let typed_otherwise = [
        code.to_lowercase(),
        format!(" {left}  {right} "),
        format!("{left}{right}"),
    ];
    for typed in typed_otherwise.iter().chain([&code]) {
        assert_eq!(device::normal(typed).as_ref(), Some(&code));
    }
}
