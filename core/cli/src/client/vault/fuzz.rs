//! The file of logins under fuzzing: what is not changed keeps every byte.

#![allow(clippy::panic, reason = "a broken promise panics")]

use super::{format::Members, login};

/// A file.
pub fn cli_vault(data: &[u8]) {
    let Ok(mut all) = Members::parse(data) else {
        return;
    };
    let names: Vec<_> = all.names().map(str::to_owned).collect();
    for name in &names {
        let entry = all.members(name);
        if let Some(login) = entry.as_ref().and_then(login) {
            assert!(!login.lasts(f64::INFINITY, 0.0) || login.expires_at.is_none());
            // Written as it is written when it is renewed, it is the same login.
            let quoted = super::format::quote(login.token.expose());
            assert!(quoted.is_ascii());
            let read: Option<String> = serde_json::from_str(&quoted).ok();
            assert_eq!(read.as_deref(), Some(login.token.expose().as_str()));
        }
    }
    let before: Vec<_> = names.iter().map(|name| value(&all, name)).collect();
    all.set("https://new.example", "{}");
    let text = all.indented(0);
    let Ok(mut again) = Members::parse(text.as_bytes()) else {
        panic!("what is written cannot be read: {text}");
    };
    again.remove("https://new.example");
    for (name, before) in names.iter().zip(before) {
        if name != "https://new.example" {
            assert_eq!(value(&again, name), before, "{name}");
        }
    }
}

fn value(members: &Members, name: &str) -> Option<String> {
    members.get(name).map(|value| value.get().to_owned())
}
