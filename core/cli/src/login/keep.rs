//! Storing what a sign-in yielded.

use serde_json::json;

use crate::{
    client::{
        Bearer, Wire,
        credential::lifetime,
        default_server, now,
        vault::{Login, Vault},
    },
    failure::Failure,
    output::{self, hint, plain},
    when,
};

/// What a sign-in yielded.
pub(crate) struct SignedIn {
    /// The access token.
    pub(crate) token: Bearer,
    /// Whose it is.
    pub(crate) user_id: String,
    /// When it ends; `None` when it does not.
    pub(crate) expires_at: Option<f64>,
    /// What it is renewed with.
    pub(crate) refresh_token: Option<Bearer>,
}

impl SignedIn {
    /// As the server's answer says it.
    pub(crate) fn new(
        token: Bearer,
        user_id: String,
        expires_in: Option<f64>,
        refresh_token: Option<Bearer>,
    ) -> Self {
        Self {
            token,
            user_id,
            expires_at: Some(now() + lifetime(expires_in)),
            refresh_token,
        }
    }
}

/// Stores a login, makes its server the default one, and says so.
pub(crate) fn keep(wire: &Wire, signed_in: SignedIn, json: bool) -> Result<(), Failure> {
    let server = wire.server();
    let login = Login {
        token: signed_in.token,
        user_id: Some(signed_in.user_id.clone()),
        expires_at: signed_in.expires_at,
        refresh_token: signed_in.refresh_token,
    };
    let vault = Vault::make()?;
    vault.lock()?.put(server, &login)?;
    // The login is there; that it is not the default is worth a word, not a failure.
    if let Err(why) = default_server::set(server) {
        hint(format_args!("omnigent: {why}"));
    }
    if json {
        output::json(&json!({
            "server": server.key(),
            "user_id": signed_in.user_id,
            "expires_at": login.expires_at,
        }));
        return Ok(());
    }
    output::say(format_args!("Logged in as {}", plain(&signed_in.user_id)));
    hint(format_args!("Set {server} as your default server."));
    if let (Some(at), None) = (login.expires_at, &login.refresh_token) {
        let left = when::lasting(at - now());
        hint(format_args!("This login ends {left}."));
    }
    Ok(())
}
