//! Signing in on a page in a browser, with a ticket that is polled (CONTRACT section 6).

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{SignedIn, qr};
use crate::{
    client::{Answer, Bearer, Body, Wire, now},
    failure::Failure,
    output::{hint, plain, say},
};

#[derive(Deserialize)]
struct Opened {
    ticket: String,
    login_url: String,
    user_code: Option<String>,
    expires_in: Option<f64>,
    interval: Option<f64>,
}

#[derive(Deserialize)]
struct Fulfilled {
    token: Bearer,
    user_id: String,
    expires_in: Option<f64>,
    refresh_token: Option<Bearer>,
}

/// How long the original waits for the person.
const PATIENCE: f64 = 300.0;

/// Opens a page in the browser, or shows its link, and waits until the person is done there.
pub(super) fn sign_in(
    wire: &Wire,
    opens: bool,
    qr: bool,
    shows_results: bool,
) -> Result<SignedIn, Failure> {
    let opened: Opened = open(wire)?.json()?;
    if !opened.login_url.starts_with('/') || opened.login_url.starts_with("//") {
        return Err(Failure::Refused(
            "the server sends to a page that is not its own".into(),
        ));
    }
    let link = wire.server().join(&opened.login_url);
    hint(if opens {
        "Opening this page in your browser:"
    } else {
        "Open this page in a browser:"
    });
    show(&link, qr, shows_results);
    if let Some(code) = &opened.user_code {
        hint(format_args!(
            "It asks you to confirm; it must show the code {}",
            plain(code)
        ));
    }
    if opens && webbrowser::open(&link).is_err() {
        hint("No browser could be opened: open it yourself.");
    }
    hint("Waiting…");
    let until = now() + opened.expires_in.unwrap_or(PATIENCE).clamp(1.0, 900.0);
    let interval = opened.interval.unwrap_or(2.0).clamp(1.0, 30.0);
    let ticket: String = url::form_urlencoded::byte_serialize(opened.ticket.as_bytes()).collect();
    let poll = format!("/auth/cli-poll?ticket={ticket}");
    while now() < until {
        wire.pause(Duration::from_secs_f64(interval));
        // A network that is gone for a moment costs nothing.
        let Ok(answer) = wire.get(&poll) else {
            continue;
        };
        match answer.status {
            StatusCode::ACCEPTED => {}
            StatusCode::OK => {
                let done: Fulfilled = answer.json()?;
                return Ok(SignedIn::new(
                    done.token,
                    done.user_id,
                    done.expires_in,
                    done.refresh_token,
                ));
            }
            status if status.is_server_error() => {}
            StatusCode::GONE => {
                return Err(Failure::Refused("denied, or not confirmed in time".into()));
            }
            _ => return Err(answer.failure()),
        }
    }
    Err(Failure::Refused(
        "nobody confirmed in time; try again".into(),
    ))
}

fn open(wire: &Wire) -> Result<Answer, Failure> {
    let answer = wire.send(Method::POST, "/auth/cli-login", None, Body::None)?;
    if matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    ) {
        let server = wire.server();
        return Err(Failure::Refused(format!(
            "{server} has no sign-in for a command line; is it an omnigent server?"
        )));
    }
    answer.success()
}

/// Shows a link alone on a line, as a result unless something else is the result.
pub(super) fn show(link: &str, qr: bool, shows_results: bool) {
    let link = plain(link);
    if shows_results {
        say(&link);
    } else {
        hint(&link);
    }
    if qr {
        match qr::code(&link) {
            Some(code) => hint(code),
            None => hint("(too long for a QR code)"),
        }
    }
}
