//! A credential that works for a while yet: from the environment, or the stored one, refreshed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{
    Answer, Bearer, Body, Wire, default_server, now, refusal,
    vault::{Login, Vault},
};
use crate::{failure::Failure, output::hint, when};

/// A token with less life than this is renewed before it is used.
pub(crate) const MARGIN: f64 = 90.0;
/// The variable whose token beats the stored one.
const VARIABLE: &str = "OMNIGENT_REMOTE_AUTH_TOKEN";

/// Whether the environment gives the credential.
pub(crate) fn is_from_environment() -> bool {
    default_server::set_variable(VARIABLE).is_some()
}

/// The credential for the server of `wire`; `None` when there is none.
pub(crate) fn fresh(wire: &Wire) -> Result<Option<Bearer>, Failure> {
    if let Some(token) = default_server::set_variable(VARIABLE) {
        let token = token.to_str().map(|text| text.trim().to_owned());
        return match token.and_then(Bearer::parse) {
            Some(token) => Ok(Some(token)),
            None => Err(Failure::Usage(format!("{VARIABLE} holds no token"))),
        };
    }
    let Some(vault) = Vault::open()? else {
        return Ok(None);
    };
    match vault.get(wire.server())? {
        None => Ok(None),
        Some(login) if login.lasts(now(), MARGIN) => Ok(Some(login.token)),
        Some(login) if login.refresh_token.is_none() && login.lasts(now(), 0.0) => {
            Ok(Some(login.token))
        }
        Some(_) => renew(&vault, wire).map(Some),
    }
}

#[derive(Deserialize)]
struct Renewed {
    access_token: Bearer,
    refresh_token: Option<Bearer>,
    expires_in: Option<f64>,
}

/// Renews the stored login. Under the lock, so that of several processes one asks and the others
/// find its result.
fn renew(vault: &Vault, wire: &Wire) -> Result<Bearer, Failure> {
    let server = wire.server();
    let again = format!("sign in again: omnigent login {server}");
    let locked = vault.lock()?;
    let Some(login) = locked.get(server)? else {
        return Err(Failure::SignedOut(format!(
            "signed out of {server} meanwhile; {again}"
        )));
    };
    if login.lasts(now(), MARGIN) {
        return Ok(login.token);
    }
    let Some(refresh) = &login.refresh_token else {
        return Err(Failure::SignedOut(format!(
            "the login to {server} has expired; {again}"
        )));
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose().as_str()),
    ];
    let answer = wire.send(Method::POST, "/oauth/token", None, Body::Form(&form));
    let is_usable = login.lasts(now(), 0.0);
    let answer = match answer {
        Ok(answer) if answer.status.is_success() => answer,
        // The old one does for now: whatever is wrong may be over when it is not any more.
        Ok(_) | Err(_) if is_usable => return Ok(login.token),
        Ok(answer) if answer.status == StatusCode::BAD_REQUEST => {
            let code = refusal::oauth_code(&answer.body).unwrap_or_default();
            return Err(Failure::SignedOut(format!(
                "the login to {server} has ended ({code}); {again}"
            )));
        }
        Ok(answer) => return Err(answer.failure()),
        Err(error) => return Err(error),
    };
    let renewed: Renewed = answer.json()?;
    let renewed = Login {
        token: renewed.access_token,
        user_id: login.user_id,
        expires_at: Some(now() + lifetime(renewed.expires_in)),
        // A server that gives none means the one we have.
        refresh_token: renewed.refresh_token.or(login.refresh_token),
    };
    locked.put(server, &renewed)?;
    Ok(renewed.token)
}

/// A lifetime in seconds as a server gives it; without one, eight hours as the original has it.
pub(crate) fn lifetime(seconds: Option<f64>) -> f64 {
    let fallback = Duration::from_secs(8 * 3600).as_secs_f64();
    seconds
        .filter(|seconds| seconds.is_finite() && (0.0..1e10).contains(seconds))
        .unwrap_or(fallback)
}

/// Says, once, when the server announces that the token ends soon. How soon is its policy.
pub(crate) fn warn_of_expiry(answer: &Answer) {
    static SAID: AtomicBool = AtomicBool::new(false);
    let at = answer.header("omnigent-token-expires");
    let Some(at) = at.and_then(|at| at.trim().parse::<f64>().ok()) else {
        return;
    };
    if !SAID.swap(true, Ordering::Relaxed) {
        hint(format_args!(
            "omnigent: this API token ends {}; omnigent token rotate makes a successor",
            when::lasting(at - now())
        ));
    }
}
