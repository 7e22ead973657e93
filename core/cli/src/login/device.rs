//! Signing in on another device, with a code (CONTRACT section 5, RFC 8628).

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{SignedIn, browser::show};
use crate::{
    claims,
    client::{Answer, Bearer, Body, Wire, default_server, now, refusal},
    failure::Failure,
    output::{hint, plain},
};

/// The client of the device grant; `omnigent-cli` is that of other logins and refused here.
const CLIENT: &str = "omnigent-device";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The secret some servers want of clients of this grant.
const SECRET: &str = "OMNIGENT_DEVICE_CLIENT_SECRET";

#[derive(Deserialize)]
struct Opened {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: f64,
    interval: Option<f64>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Bearer,
    refresh_token: Option<Bearer>,
    expires_in: Option<f64>,
}

/// Shows a code and waits until it is approved; `None` when the server has no such sign-in.
pub(super) fn sign_in(
    wire: &Wire,
    qr: bool,
    shows_results: bool,
) -> Result<Option<SignedIn>, Failure> {
    let body = json!({"client_id": CLIENT});
    let answer = ask(wire, "/oauth/device/authorize", Body::Json(&body))?;
    if matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    ) {
        return Ok(None);
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        return Err(Failure::Refused(format!(
            "the server wants a client secret for this: set {SECRET}"
        )));
    }
    let opened: Opened = answer.success()?.json()?;
    let is_page = |link: &String| link.starts_with("https://") || link.starts_with("http://");
    let complete = opened.verification_uri_complete.filter(is_page);
    if !is_page(&opened.verification_uri) {
        return Err(Failure::Refused(
            "the server sends to something that is no page".into(),
        ));
    }
    hint("Open this page on any device:");
    show(&opened.verification_uri, false, shows_results);
    if let (true, Some(complete)) = (qr, &complete) {
        // Only the picture: the link with the code in it is for cameras.
        if let Some(code) = super::qr::code(complete) {
            hint(code);
        }
    }
    hint(format_args!(
        "and enter the code {}",
        plain(&opened.user_code)
    ));
    hint("Waiting…");
    wait(
        wire,
        &opened.device_code,
        opened.expires_in,
        opened.interval,
    )
    .map(Some)
}

fn wait(
    wire: &Wire,
    device_code: &str,
    expires_in: f64,
    interval: Option<f64>,
) -> Result<SignedIn, Failure> {
    let form = [
        ("grant_type", GRANT),
        ("device_code", device_code),
        ("client_id", CLIENT),
    ];
    let until = now() + expires_in.clamp(1.0, 3600.0);
    let mut interval = interval.unwrap_or(5.0).clamp(1.0, 60.0);
    while now() < until {
        wire.pause(Duration::from_secs_f64(interval));
        // A network that is gone for a moment costs nothing.
        let Ok(answer) = ask(wire, "/oauth/token", Body::Form(&form)) else {
            continue;
        };
        if answer.status.is_success() {
            let granted: Granted = answer.json()?;
            // This token reaches no page that would say whose it is.
            let user_id = claims::read(granted.access_token.expose())
                .and_then(|claims| claims["sub"].as_str().map(str::to_owned));
            return Ok(SignedIn::new(
                granted.access_token,
                user_id.unwrap_or_default(),
                granted.expires_in,
                granted.refresh_token,
            ));
        }
        match refusal::oauth_code(&answer.body)
            .unwrap_or_default()
            .as_str()
        {
            "authorization_pending" => {}
            // RFC 8628 section 3.5: five seconds more from now on.
            "slow_down" => interval += 5.0,
            "access_denied" => return Err(Failure::Refused("denied".into())),
            "expired_token" => break,
            _ if answer.status.is_server_error() => {}
            _ => return Err(answer.failure()),
        }
    }
    Err(Failure::Refused("the code has expired; try again".into()))
}

fn ask(wire: &Wire, path: &str, body: Body<'_>) -> Result<Answer, Failure> {
    let secret = default_server::set_variable(SECRET).and_then(|value| value.into_string().ok());
    wire.send_as_client(Method::POST, path, secret.as_deref(), body)
}
