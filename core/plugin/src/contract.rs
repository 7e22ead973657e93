//! The part of the contract that may grow: messages as JSON. Authors never see these.
//!
//! **Invariants:** within a major version fields are only added; unknown ones are ignored, missing
//! ones defaulted; an unknown method or service is answered [`BackendError::NotSupported`].

use serde::{Deserialize, Serialize};

use crate::{BackendError, Password, State, step::Answer};

/// The contract this crate speaks, as `major.minor`. Same major: they understand each other.
pub const VERSION: (u32, u32) = (1, 0);

/// What a plugin says of itself before it is opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The name operators write into `plugin = "…"`.
    pub name: String,
    /// What people read.
    pub title: String,
    /// The plugin's own version.
    pub version: String,
    /// [`VERSION`] as the plugin was built with.
    pub contract: (u32, u32),
    /// The version of this crate it was built with.
    pub sdk: String,
    /// The compiler it was built with.
    pub rustc: String,
    /// What it can: `login`, `identify`, `revalidate`, `directory`, `logout`, `health`; and `redirect`,
    /// when a sign-in begins on a page elsewhere.
    pub capabilities: Vec<String>,
    /// JSON Schema of its own configuration keys.
    pub config_schema: serde_json::Value,
}

impl Manifest {
    /// Whether the plugin has a capability.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|has| has == capability)
    }
}

/// What the host gives an instance when it is opened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Opening {
    /// The instance's configured name.
    pub name: String,
    /// The plugin's own configuration keys.
    pub config: serde_json::Value,
    /// The server's public URL.
    pub public_url: String,
    /// Where people come back to after a redirect.
    pub callback_url: String,
}

/// What every call is answered with: a value, or why there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// The answer.
    Ok(T),
    /// Why there is none.
    Error(BackendError),
}

/// `login.resume`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// What the backend wanted to remember.
    pub state: State,
    /// What the person answered.
    pub answer: Answer,
}

/// `directory.create`, `directory.set_password`, `directory.change_password`, `directory.remove`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The name or subject.
    pub subject: String,
    /// The password in force.
    pub old: Password,
    /// The new password.
    pub new: Password,
}

/// `kv.get`, `kv.put`, `kv.swap`, `kv.list`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KvCall {
    /// The key, or the prefix to list.
    pub key: String,
    /// The key to list after.
    pub after: Option<String>,
    /// What must be there, for a swap: nothing for "no value".
    pub expect: Option<Vec<u8>>,
    /// The new value; nothing removes the key.
    pub value: Option<Vec<u8>>,
}

/// `password.hash`, `password.verify`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordCall {
    /// The password.
    pub password: Password,
    /// The stored hash as a PHC string; nothing verifies against a dummy, at the same cost.
    pub phc: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{from_value, json};

    use super::*;
    use crate::{Field, FieldKind, Form, Identity, LoginRequest, Purpose, Step};

    #[test]
    fn the_crate_has_the_contracts_version() {
        let (major, minor) = VERSION;
        assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{major}.{minor}.")));
    }

    #[test]
    fn what_a_newer_side_adds_is_ignored() {
        let step = json!({"step": "ask", "form": {"fields": [
            {"name": "x", "kind": "fingerprint", "glow": true}], "theme": "dark"}, "ttl": 9});
        let Step::Ask { form, .. } = from_value(step).unwrap() else {
            unreachable!("it asks");
        };
        assert_eq!(form.fields[0].kind, FieldKind::Unknown);
        assert!(form.fields[0].required);
        let request: LoginRequest = from_value(json!({"purpose": "sudo", "new": 1})).unwrap();
        assert_eq!(request.purpose, Purpose::Other);
        assert_eq!(
            from_value::<Manifest>(json!({"new": 1})).unwrap(),
            Manifest::default()
        );
    }

    #[test]
    fn what_an_older_side_lacks_is_defaulted() {
        assert_eq!(from_value::<Form>(json!({})).unwrap(), Form::default());
        assert_eq!(
            from_value::<Field>(json!({"name": "x"}))
                .unwrap()
                .max_length,
            1024
        );
        let identity: Identity = from_value(json!({"subject": "x"})).unwrap();
        assert_eq!(
            identity,
            Identity {
                subject: "x".into(),
                ..Identity::default()
            }
        );
        assert!(!identity.email_verified);
    }

    #[test]
    fn a_step_nobody_knows_is_an_error_and_no_way_in() {
        for reply in [
            json!({"ok": {"step": "teleport"}}),
            json!({"ok": null}),
            json!({}),
            json!([]),
        ] {
            assert!(from_value::<Reply<Step>>(reply).is_err());
        }
    }
}
