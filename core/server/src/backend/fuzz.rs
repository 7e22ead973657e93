//! What plugins say under fuzzing: messages, and the identities in them.

use omnigent_plugin::{
    BackendError, DirectoryError, Ended, Identity, LogoutTarget, Standing, Step,
    contract::{KvCall, Manifest, PasswordCall, Reply},
};
use serde::{Serialize, de::DeserializeOwned};

use super::error::tamed;
use crate::login;

/// The first byte chooses what was asked, the rest is the answer.
pub fn plugin_answer(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 10 {
        0 => answer::<Step>(bytes),
        1 => answer::<Standing>(bytes),
        2 => answer::<LogoutTarget>(bytes),
        3 => answer::<Option<Ended>>(bytes),
        4 => answer::<()>(bytes),
        5 => answer::<Result<(), DirectoryError>>(bytes),
        6 => survives::<Manifest>(bytes),
        7 => survives::<BackendError>(bytes),
        // What it asks of us.
        8 => survives::<KvCall>(bytes),
        _ => survives::<PasswordCall>(bytes),
    }
}

fn answer<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(Reply::<T>::Error(error)) = serde_json::from_slice(bytes) {
        let line = tamed(error).to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.chars().count() < 600, "{line:?}");
    }
    survives::<Reply<T>>(bytes);
}

/// What is read is written as what is read again.
fn survives<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_value(&message).ok();
    let again = written.clone().and_then(|json| T::deserialize(json).ok());
    let again = again.and_then(|message| serde_json::to_value(message).ok());
    assert!(written.is_some());
    assert_eq!(again, written);
}

/// An identity as JSON: what the core takes over of it is bounded and nobody's who is reserved.
pub fn identity(data: &[u8]) {
    let Ok(identity) = serde_json::from_slice::<Identity>(data) else {
        return;
    };
    let Ok(asserted) = login::taken_over("corp", &identity) else {
        return;
    };
    assert_eq!(asserted.key.backend, "corp");
    assert!(!asserted.key.subject.is_empty());
    let texts = [
        Some(&asserted.key.subject),
        Some(&asserted.key.issuer),
        Some(&asserted.name),
    ];
    let more = [asserted.email.as_ref(), asserted.username.as_ref()];
    for text in texts.into_iter().chain(more).flatten() {
        assert!(
            text.len() <= 512 && !text.chars().any(char::is_control),
            "{text:?}"
        );
    }
    for name in [
        Some(&asserted.name),
        asserted.username.as_ref(),
        Some(&asserted.key.subject),
    ] {
        assert!(
            !name.is_some_and(|name| crate::account::is_reserved(name)),
            "{name:?}"
        );
    }
    assert!(asserted.email_verified == identity.email_verified);
}
