//! Backends: their plugins' files, whether they load and open with their keys, whether they are
//! well, and whether the provider takes the redirect URI.
//!
//! Everything is opened as the server would, on a store that is thrown away.

use omnigent_plugin::{LoginRequest, Step};
use omnigent_server::{
    app::wanted,
    backend::{Backends, Cost, Hashing, Instance, Services},
    clock::Clock,
    config::Config,
    store::{Options, Store},
};

use super::{finding::Findings, reach};
use crate::failure::Failure;

pub(super) async fn examine(findings: &mut Findings, config: &Config) -> Result<(), Failure> {
    let failed = |error: &dyn ToString| Failure::Failed(error.to_string());
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    // Nothing is hashed but what a backend hashes when it opens.
    let cheap = Cost {
        memory_kib: 1024,
        passes: 1,
        lanes: 1,
    };
    let services = Services {
        store: Store::open(folder.path(), &Options::default())?,
        hashing: Hashing::start(cheap, 1, 64).map_err(|error| failed(&error))?,
        clock: Clock::system(),
        runtime: tokio::runtime::Handle::current(),
    };
    let url = config.base_url(config.server.listen).to_string();
    let backends = Backends::open(wanted(config), &services, &url).await;
    for failure in backends.failures() {
        let message = format!(
            "{} ({}): {}",
            failure.name,
            failure.file.display(),
            failure.error
        );
        if failure.required {
            findings.fail(
                "backend",
                message,
                "the server does not start like this; `required = false` would let it",
            );
        } else {
            findings.warn("backend", message, "the server starts without it");
        }
    }
    for backend in backends.iter() {
        let pinned = config.auth.backends.iter();
        let is_pinned = pinned
            .filter(|configured| configured.name == backend.name())
            .any(|configured| configured.sha256.is_some());
        one(findings, backend, is_pinned).await;
    }
    Ok(())
}

async fn one(findings: &mut Findings, backend: &Instance, is_pinned: bool) {
    let (name, manifest) = (backend.name(), backend.manifest());
    if let Err(error) = backend.health().await {
        findings.fail(
            "backend",
            format!("{name} opens and is not well: {error}"),
            "nobody can sign in by it until what it names is mended",
        );
    } else {
        let pin = if is_pinned { ", pinned" } else { "" };
        findings.ok(
            "backend",
            format!(
                "{name}: {} {}{pin} opens and is well",
                manifest.name, manifest.version
            ),
        );
    }
    if backend.can("redirect") {
        redirect(findings, backend).await;
    }
}

/// Begins a sign-in and looks whether the provider takes it: an unknown redirect URI is refused on
/// the spot (RFC 6749 section 3.1.2.4).
async fn redirect(findings: &mut Findings, backend: &Instance) {
    let (name, ours) = (backend.name(), backend.callback_url());
    let request = LoginRequest {
        callback_url: ours.to_owned(),
        return_state: "omnigent-doctor".to_owned(),
        ..LoginRequest::default()
    };
    let url = match backend.begin(&request).await {
        Ok(Step::Redirect { url, .. }) => url,
        // A backend that cannot tell was found above.
        Ok(_) | Err(_) => return,
    };
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default().to_owned();
    let Ok(client) = reach::client() else { return };
    match client.get(url).send().await {
        Ok(answer) if answer.status().is_client_error() || answer.status().is_server_error() => {
            findings.fail(
                "redirect_uri",
                format!("{name}: {host} refuses a sign-in with {ours} ({})", answer.status()),
                format!("register exactly {ours} with the provider, for this client_id; or set server.public_url to what is registered"),
            );
        }
        Ok(_) => findings.ok(
            "redirect_uri",
            format!("{name}: {host} takes a sign-in with {ours}"),
        ),
        Err(error) => findings.fail(
            "redirect_uri",
            format!(
                "{name}: {host} cannot be reached: {}",
                super::provider::reason(&error)
            ),
            "people are sent there to sign in",
        ),
    }
}
