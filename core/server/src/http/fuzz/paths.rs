//! Paths: what reaches a route, and where people are sent.

#![allow(clippy::panic, reason = "a broken promise panics")]

use std::sync::OnceLock;

use http::{Method, Uri};

use super::super::{forms, route::Table, routes, target::is_plain};
use crate::fuzz::readings;

fn table() -> Option<&'static Table> {
    static TABLE: OnceLock<Option<Table>> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(routes()).ok()).as_ref()
}

/// A method and a path. What reaches a route reaches the same one, with the same parts, however it
/// is read.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((method, path)) = text.split_once(' ') else {
        return;
    };
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), path.parse::<Uri>()) else {
        return;
    };
    let Some(table) = table() else {
        panic!("no table of routes");
    };
    // As dispatch.rs does.
    let path = uri.path();
    if !is_plain(path) {
        return;
    }
    let found = table.find(&method, path).ok();
    for reading in readings(path) {
        let other = table.find(&method, &reading).ok();
        let (one, other) = (found.as_ref(), other.as_ref());
        let routes = (
            one.map(|(route, _)| route.path),
            other.map(|(route, _)| route.path),
        );
        assert_eq!(routes.0, routes.1, "{path:?} read as {reading:?}");
        assert_eq!(
            one.map(|(_, parts)| parts),
            other.map(|(_, parts)| parts),
            "{path:?}"
        );
    }
    for (_, part) in found.iter().flat_map(|(_, parts)| parts) {
        assert!(
            !part.is_empty() && !part.contains(['/', '\\', '%']),
            "{path:?}"
        );
    }
}

/// Wherever people are sent after signing in is a place of ours, to every browser.
pub fn return_to(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let to = forms::return_to(Some(text.to_owned()));
    assert!(to == text || to == "/");
    assert!(to.starts_with('/') && to.len() <= 512);
    // A slash, then nothing that begins a host; tabs and newlines are dropped by browsers
    // (WHATWG URL, basic URL parser, step 2).
    let read: String = to
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && !c.is_control())
        .collect();
    assert_eq!(read, to, "browsers read it otherwise");
    assert!(!read.starts_with("//") && !read.contains('\\'), "{to:?}");
    let decoded = readings(&to);
    assert!(
        decoded
            .iter()
            .all(|reading| !reading.contains(['\r', '\n', '\0'])),
        "{to:?}"
    );
    let uri = to.parse::<Uri>();
    assert!(
        uri.is_ok_and(|uri| uri.authority().is_none() && uri.scheme().is_none()),
        "{to:?}"
    );
    assert_eq!(forms::return_to(Some(to.clone())), to);
}
