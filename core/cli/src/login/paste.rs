//! Storing a token the person has already, from standard input.

use std::io::IsTerminal;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::SignedIn;
use crate::{
    claims,
    client::{Bearer, Body, Wire},
    failure::Failure,
    me,
    output::hint,
};

/// Reads a token and asks the server whose it is.
pub(super) fn token(wire: &Wire) -> Result<SignedIn, Failure> {
    if std::io::stdin().is_terminal() {
        hint("Paste the token, then a new line and Ctrl-D:");
    }
    let bearer = Bearer::from_input()?;
    let claims = claims::read(bearer.expose());
    let answer = wire.send(
        Method::GET,
        me::path_for(claims.as_ref()),
        Some(&bearer),
        Body::None,
    )?;
    if answer.status == StatusCode::UNAUTHORIZED {
        let server = wire.server();
        return Err(Failure::Refused(format!(
            "{server} does not accept this token"
        )));
    }
    let said: Value = answer.success()?.json()?;
    let claimed = |name| {
        claims
            .as_ref()
            .map_or(Value::Null, |claims| claims[name].clone())
    };
    let user_id = said["user_id"].as_str().map(str::to_owned);
    let user_id = user_id.or_else(|| claimed("sub").as_str().map(str::to_owned));
    Ok(SignedIn {
        token: bearer,
        user_id: user_id.unwrap_or_default(),
        expires_at: claimed("exp").as_f64(),
        refresh_token: None,
    })
}
