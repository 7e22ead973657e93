//! What stops an instance from opening: every configuration that is not one.

use omnigent_plugin::BackendError;
use serde_json::{Value, json};

use super::{super::OpenError, Report, Services, Wanted, open};

pub(super) async fn cases(report: &mut Report, wanted: &Wanted, services: &Services) {
    let mut unknown = wanted.config.clone();
    if let Some(keys) = unknown.as_object_mut() {
        keys.insert("conformance_unknown_key".into(), json!(true));
    }
    let name = "an unknown key is refused by its name";
    let outcome = refused(wanted, unknown, services).await;
    report.note(
        name,
        outcome.and_then(|message| {
            let names_it = message.contains("conformance_unknown_key");
            names_it
                .then_some(())
                .ok_or_else(|| format!("the message does not name it: {message}"))
        }),
    );
    for (name, config) in [
        ("a configuration that is a list is refused", json!([])),
        ("a configuration that is a number is refused", json!(7)),
        ("a configuration that is missing is refused", Value::Null),
    ] {
        report.note(name, refused(wanted, config, services).await.map(drop));
    }
}

/// The message it is refused with.
async fn refused(wanted: &Wanted, config: Value, services: &Services) -> Result<String, String> {
    let wanted = Wanted {
        config,
        ..wanted.clone()
    };
    match open(&wanted, services).await {
        Err(OpenError::Refused(BackendError::Misconfigured { message })) => Ok(message),
        Err(error) => Err(format!("refused, but not as misconfigured: {error}")),
        Ok(backends) => {
            backends.shutdown();
            Err("it opened".into())
        }
    }
}
