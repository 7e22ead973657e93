//! Signing in with a name and a password in the terminal, and whatever else the backend asks then.

use std::io::{BufRead, Write};

use omnigent_server::secret::Secret;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CLIENT, SignedIn, surroundings};
use crate::{
    client::{Answer, Bearer, Body, Wire},
    failure::Failure,
    output::{hint, plain},
    password::piped,
};

#[derive(Deserialize)]
struct Outcome {
    token: Option<Bearer>,
    user: Option<User>,
    expires_in: Option<f64>,
    refresh_token: Option<Bearer>,
    id: Option<String>,
    step: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

/// Asks for name and password and signs in with them.
pub(super) fn sign_in(
    wire: &Wire,
    username: Option<&str>,
    from_stdin: bool,
) -> Result<SignedIn, Failure> {
    let server = wire.server();
    refuse_unclaimed(wire)?;
    if !from_stdin && !surroundings::has_person() {
        return Err(Failure::Usage(format!(
            "no terminal to ask for a password; use --username NAME --password-stdin, --with-token or \
             omnigent login --device {server}"
        )));
    }
    if !from_stdin {
        hint(format_args!("Signing in to {server}"));
    }
    let username = match username {
        Some(username) => username.to_owned(),
        None => ask("Username", Some("admin"))?,
    };
    let password = if from_stdin {
        Secret::new(piped(std::io::stdin())?)
    } else {
        ask_hidden("Password")?
    };
    let body = json!({
        "username": username,
        "password": password.expose(),
        "client_id": CLIENT,
    });
    let answer = wire.send(Method::POST, "/auth/login", None, Body::Json(&body))?;
    go_on(wire, answer)
}

/// Goes on until the backend is satisfied.
pub(crate) fn go_on(wire: &Wire, mut answer: Answer) -> Result<SignedIn, Failure> {
    loop {
        if answer.status == StatusCode::UNAUTHORIZED {
            let Failure::SignedOut(why) = answer.failure() else {
                return Err(answer.failure());
            };
            return Err(Failure::Refused(why));
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let wait = answer
                .header("retry-after")
                .unwrap_or_else(|| "some".to_owned());
            return Err(Failure::Refused(format!(
                "too many attempts; wait {wait} seconds"
            )));
        }
        let outcome: Outcome = answer.success()?.json()?;
        let (id, fields) = match outcome {
            Outcome {
                token: Some(token),
                user: Some(user),
                expires_in,
                refresh_token,
                ..
            } => return Ok(SignedIn::new(token, user.id, expires_in, refresh_token)),
            Outcome {
                id: Some(id),
                step: Some(step),
                ..
            } => (id, answers(&step)?),
            _ => return Err(Failure::Failed("the server's answer makes no sense".into())),
        };
        let path = format!("/auth/conversations/{}", crate::output::escape(&id));
        let body = json!({"answers": fields, "client_id": CLIENT});
        answer = wire.send(Method::POST, &path, None, Body::Json(&body))?;
    }
}

/// What the person answers to a step.
fn answers(step: &Value) -> Result<Map<String, Value>, Failure> {
    let form = &step["ask"];
    let fields = form["fields"]
        .as_array()
        .filter(|fields| !fields.is_empty());
    let (Some(fields), true) = (fields, surroundings::has_person()) else {
        return Err(Failure::Refused(
            "this account signs in with a browser: omnigent login --no-browser".into(),
        ));
    };
    for text in [&form["title"], &form["message"]] {
        if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
            hint(plain(text));
        }
    }
    let mut answers = Map::new();
    for field in fields {
        let name = field["name"].as_str().unwrap_or_default();
        let label = plain(field["label"].as_str().unwrap_or(name));
        let is_hidden = matches!(field["kind"].as_str(), Some("password" | "secret"));
        let text = if is_hidden {
            ask_hidden(&label)?.expose().clone()
        } else {
            ask(&label, None)?
        };
        answers.insert(name.to_owned(), text.into());
    }
    Ok(answers)
}

fn refuse_unclaimed(wire: &Wire) -> Result<(), Failure> {
    let info = wire
        .get("/v1/info")
        .and_then(|answer| answer.json::<Value>());
    if info.is_ok_and(|info| info["needs_setup"] == true) {
        let page = wire.server().join("/setup");
        return Err(Failure::Refused(format!(
            "nobody has an account there yet; make the first one at {page}"
        )));
    }
    Ok(())
}

/// Asks for a text. The end of input is no answer.
pub(crate) fn ask(question: &str, default: Option<&str>) -> Result<String, Failure> {
    let hinted = default.map_or(String::new(), |default| format!(" [{default}]"));
    eprint!("{question}{hinted}: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let count = std::io::stdin().lock().read_line(&mut line);
    match count {
        Ok(0) => Err(Failure::Usage(format!("{question} was not answered"))),
        Ok(_) if line.trim().is_empty() => match default {
            Some(default) => Ok(default.to_owned()),
            None => Ok(String::new()),
        },
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(Failure::Usage(format!("cannot read the answer: {error}"))),
    }
}

fn ask_hidden(question: &str) -> Result<Secret<String>, Failure> {
    let text = rpassword::prompt_password(format!("{question}: "));
    let text =
        text.map_err(|error| Failure::Usage(format!("cannot ask for a password: {error}")))?;
    Ok(Secret::new(text))
}
